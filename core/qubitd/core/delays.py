"""How long a delay of a circuit may be: the one rule of the client, which refuses at once, and of the daemon."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qubitd.core.circuit import Circuit, CircuitBatch, offsets
from qubitd.core.errors import Problem
from qubitd.core.ticks import seconds_text

MAX_DELAY = 1.0
"""Longest delay of a circuit, seconds: a shot is never cut, and a run on the controller takes about this long."""


def delay_problem(seconds: float) -> str | None:
    """Say what is wrong with the length of a delay; None if it is in its limits, or is no number at all."""
    if seconds < 0:
        return f"a delay of {seconds_text(seconds)} is negative; the least is 0"
    if seconds > MAX_DELAY:
        most = seconds_text(MAX_DELAY)
        return f"a delay of {seconds_text(seconds)} is above {most}, the most; was it meant in another unit?"
    return None


def binding_problems(batch: CircuitBatch, index: int, *, where: str) -> Iterator[Problem]:
    """Find delays that a row makes negative or too long; the first row of each kind is told.

    Args:
        batch: whose circuits are sound.
        index: of the circuit.
        where: the circuit in a message.
    """
    circuit = batch.circuits[index]
    if circuit.bindings is None:
        return
    ops, columns = bound_delays(batch, circuit)
    values = circuit.bindings.values[:, columns]
    too_long = values > MAX_DELAY
    for wrong, why in ((values < 0, "is negative; the least is 0"), (too_long, f"is above {MAX_DELAY:g} s")):
        rows, places = np.nonzero(wrong)
        for row, place in zip(rows[:1].tolist(), places[:1].tolist(), strict=True):
            op = int(ops[place])
            yield Problem(
                where=f"{where}, operation {op} (delay)",
                what=f"binding {row} makes it {seconds_text(float(values[row, place]))}, which {why}",
                circuit=index,
                operation=op,
            )


def bound_delays(batch: CircuitBatch, circuit: Circuit) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the delays whose length a binding sets, and the column that sets each."""
    bindings = circuit.bindings
    if bindings is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    is_delay = np.array([row.name == "delay" for row in batch.operations], dtype=bool)
    op = np.searchsorted(offsets(circuit, batch.operations).params, bindings.positions, side="right") - 1
    chosen = np.flatnonzero(is_delay[circuit.opcodes[op]])
    return op[chosen], bindings.columns[chosen].astype(np.int64)
