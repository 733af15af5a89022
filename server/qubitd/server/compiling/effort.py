"""How much there is to look at in a job, told from its circuits alone: a step of few bytes may stand for very much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qubitd.core.circuit import Circuit, Operation, brackets_of
from qubitd.core.control import CONTROL_ARITY, written_out
from qubitd.core.job import JobSpec

_ASKING = ("if", "while")


def effort(spec: JobSpec) -> float:
    """Count a job's operations with their loops written out; where outcomes decide, each may look at all before it."""
    table = spec.batch.operations
    if not any(row.name in CONTROL_ARITY or row.name == "reset" for row in table):
        return float(len(spec.batch.columns.opcodes))
    return sum(_effort(circuit, table) for circuit in spec.batch.circuits)


def _effort(circuit: Circuit, table: Sequence[Operation]) -> float:
    brackets = brackets_of(circuit, table)
    written = written_out(brackets, circuit.controls, num_operations=len(circuit))
    if np.isin(brackets.name, _ASKING).any():
        return written**2
    resets = [index for index, row in enumerate(table) if row.name == "reset"]
    return written * (1 + int(np.isin(circuit.opcodes, resets).sum()))
