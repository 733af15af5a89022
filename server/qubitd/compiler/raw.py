"""What a circuit must be like for its traces to mean something: the digitiser records one mean per feedline and run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qubitd.compiler.calibrated import CalibratedGates
from qubitd.compiler.check import circuit_name
from qubitd.compiler.columns import gather
from qubitd.core.circuit import CircuitBatch
from qubitd.core.errors import Problem


def raw_problems(gates: CalibratedGates, batch: CircuitBatch) -> tuple[Problem, ...]:
    """Find circuits that measure nothing, or a qubit more than once."""
    return tuple(_problems(gates, batch))


def _problems(gates: CalibratedGates, batch: CircuitBatch) -> Iterator[Problem]:
    for index, circuit in enumerate(batch.circuits):
        columns = gather([circuit], batch.operations, gates.device.num_qubits)
        measures = np.repeat(np.diff(columns.clbit_start) > 0, np.diff(columns.qubit_start))
        times = np.bincount(columns.qubits[measures], minlength=gates.device.num_qubits)
        where = f"{circuit_name(index, circuit)}, meas_level 0"
        if not times.any():
            yield Problem(where=where, what="it measures nothing, so there is no trace", circuit=index)
        for qubit in np.flatnonzero(times > 1).tolist():
            what = f"it measures {gates.device.qubits[qubit]} {times[qubit]} times; a trace takes one measurement"
            yield Problem(where=where, what=what, circuit=index)
