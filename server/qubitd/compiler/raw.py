"""What a circuit must be like for its traces to mean something: the digitiser records one mean per feedline and run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qubitd.compiler.calibrated import CalibratedGates
from qubitd.compiler.check import circuit_name
from qubitd.compiler.columns import gather
from qubitd.compiler.flatten import Flattened
from qubitd.compiler.places import problem_at
from qubitd.core.circuit import CircuitBatch
from qubitd.core.errors import Problem
from qubitd.core.feedforward import ALWAYS


def raw_problems(gates: CalibratedGates, batch: CircuitBatch, flat: Flattened) -> tuple[Problem, ...]:
    """Find circuits that measure nothing, or a qubit more than once, or in which an outcome decides.

    Args:
        gates: of the device.
        batch: as it was sent.
        flat: the same as it is played.
    """
    return (*_problems(gates, flat.batch), *_decisions(batch, flat))


def _decisions(batch: CircuitBatch, flat: Flattened) -> Iterator[Problem]:
    what = "is done in some shots only, and a trace (meas_level 0) is the mean of shots that are alike; leave it out"
    for index, guards in flat.guards.items():
        circuit, op = batch.circuits[index], int(guards.source[np.flatnonzero(guards.test != ALWAYS)[0]])
        yield problem_at(index, circuit.name, op, batch.operations[int(circuit.opcodes[op])].name, what)


def _problems(gates: CalibratedGates, batch: CircuitBatch) -> Iterator[Problem]:
    for index, circuit in enumerate(batch.circuits):
        columns = gather(batch, range(index, index + 1), gates.device.num_qubits)
        measures = np.repeat(np.diff(columns.clbit_start) > 0, np.diff(columns.qubit_start))
        times = np.bincount(columns.qubits[measures], minlength=gates.device.num_qubits)
        where = f"{circuit_name(index, circuit)}, meas_level 0"
        if not times.any():
            yield Problem(where=where, what="it measures nothing, so there is no trace", circuit=index)
        for qubit in np.flatnonzero(times > 1).tolist():
            what = f"it measures {gates.device.qubits[qubit]} {times[qubit]} times; a trace takes one measurement"
            yield Problem(where=where, what=what, circuit=index)
