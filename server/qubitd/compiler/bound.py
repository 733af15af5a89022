"""What the job's owner is told of the bindings of a batch: found row by row, and not by looking at every circuit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qubitd.core.circuit import CircuitBatch
from qubitd.core.delays import bound_delays
from qubitd.core.ticks import GRID_TOLERANCE, nearest_ticks, to_seconds


def rounded_bindings(batch: CircuitBatch, index: int, *, where: str) -> Iterator[str]:
    """Tell of delays that rows put off the grid."""
    circuit = batch.circuits[index]
    if circuit.bindings is None:
        return
    _, columns = bound_delays(batch, circuit)
    seconds = circuit.bindings.values[:, np.unique(columns)]
    ticks = nearest_ticks(seconds)
    off = np.argwhere(np.abs(seconds * 1e9 - ticks) > GRID_TOLERANCE)
    if len(off):
        row, place = off[0].tolist()
        example = f"{seconds[row, place]:.9g} s of binding {row} to {to_seconds(int(ticks[row, place])):.9g} s"
        yield f"{where}: {len(off)} delays of its bindings rounded to the nearest 1 ns, such as {example}"
