"""The bindings of a batch: checked here row by row, so that the circuits are checked once and not once per row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qubitd.compiler.columns import Ints
from qubitd.core.circuit import Circuit, CircuitBatch, offsets
from qubitd.core.errors import Problem
from qubitd.core.ticks import GRID_TOLERANCE, nearest_ticks, to_seconds


def binding_problems(batch: CircuitBatch, index: int, *, longest: float, where: str) -> Iterator[Problem]:
    """Find delays that a row makes negative or too long; the first row of each kind is told.

    Args:
        batch: whose circuits are sound.
        index: of the circuit.
        longest: most seconds of a delay.
        where: the circuit in a message.
    """
    circuit = batch.circuits[index]
    if circuit.bindings is None:
        return
    ops, columns = _bound_delays(batch, circuit)
    values = circuit.bindings.values[:, columns]
    for wrong, why in ((values < 0, "is negative; the least is 0"), (values > longest, f"is above {longest:g} s")):
        rows, places = np.nonzero(wrong)
        for row, place in zip(rows[:1].tolist(), places[:1].tolist(), strict=True):
            op = int(ops[place])
            yield Problem(
                where=f"{where}, operation {op} (delay)",
                what=f"binding {row} makes it {values[row, place]:g} s, which {why}",
                circuit=index,
                operation=op,
            )


def rounded_bindings(batch: CircuitBatch, index: int, *, where: str) -> Iterator[str]:
    """Tell of delays that rows put off the grid."""
    circuit = batch.circuits[index]
    if circuit.bindings is None:
        return
    _, columns = _bound_delays(batch, circuit)
    seconds = circuit.bindings.values[:, np.unique(columns)]
    ticks = nearest_ticks(seconds)
    off = np.argwhere(np.abs(seconds * 1e9 - ticks) > GRID_TOLERANCE)
    if len(off):
        row, place = off[0].tolist()
        example = f"{seconds[row, place]:.9g} s of binding {row} to {to_seconds(int(ticks[row, place])):.9g} s"
        yield f"{where}: {len(off)} delays of its bindings rounded to the nearest 1 ns, such as {example}"


def _bound_delays(batch: CircuitBatch, circuit: Circuit) -> tuple[Ints, Ints]:
    """Give the delays whose length a binding sets, and the column that sets each."""
    bindings = circuit.bindings
    if bindings is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    is_delay = np.array([row.name == "delay" for row in batch.operations], dtype=bool)
    op = np.searchsorted(offsets(circuit, batch.operations).params, bindings.positions, side="right") - 1
    chosen = np.flatnonzero(is_delay[circuit.opcodes[op]])
    return op[chosen], bindings.columns[chosen].astype(np.int64)
