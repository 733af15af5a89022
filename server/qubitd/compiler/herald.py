"""Pass: each circuit begins with a measurement of every qubit that it uses; a shot counts if all of these are 0.

Before: a batch that was checked. After: the same circuits behind a barrier; the heralds write no classical bit.
"""

from __future__ import annotations

import numpy as np

from qubitd.compiler.beginning import begin_with
from qubitd.compiler.calibrated import CalibratedGates
from qubitd.compiler.gate_table import GateKey
from qubitd.core.circuit import HERALD_CLBIT, CircuitBatch, Operation
from qubitd.core.errors import Problem

_MEASURE = Operation(name="measure", num_qubits=1, num_params=0, num_clbits=1)


def herald_problems(gates: CalibratedGates, batch: CircuitBatch) -> tuple[Problem, ...]:
    """Find qubits that are used and cannot be measured."""
    used: list[int] = np.unique(batch.columns.qubits).tolist()
    found = ((gates.device.qubits[qubit], _why_not(gates, qubit)) for qubit in used)
    return tuple(Problem(where="herald", what=f"{name} cannot be measured: {why}") for name, why in found if why)


def heralded(batch: CircuitBatch) -> CircuitBatch:
    """Put heralds in front of every circuit."""
    return begin_with(batch, _MEASURE, clbit=HERALD_CLBIT)


def _why_not(gates: CalibratedGates, qubit: int) -> str:
    gate = gates.device.gates.get("measure")
    if gate is None or (qubit,) not in gate.operands:
        return "the device has no measurement of it; leave the option out"
    return "; ".join(map(str, gates.problems(GateKey(name="measure", operands=(qubit,)))))
