"""Pass: virtual Z. How far each operation finds its qubits' frames advanced.

Rz(theta) advances the phase of all later plays in the qubit's frame by theta. Phases are summed as whole multiples of
2^-53 turn, which wrap without error, so a million gates lose nothing.

Before: columns without composite gates. After: every phase is in [0, 2 pi).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qubitd.compiler import native
from qubitd.compiler.columns import Columns, Floats, Ints, Wires, picked
from qubitd.compiler.numbers import Numbers
from qubitd.compiler.turns import to_radians, to_steps


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frames:
    """Phases of the frames."""

    is_turned: bool
    """Whether any of them ever advances."""
    steps: Ints
    """At the start of each operand's operation, in the order of `Columns.qubits`; any multiple of 2^-53 turn.

    Bindings and points, where phases depend on them, are an axis in front.
    """
    end: Ints
    """At the end of each wire, as `steps`."""
    columns: Columns

    @property
    def final(self) -> Floats:
        """At the end of the circuit, radians: virtual Z that nothing is played after; shape (..., circuits, qubits)."""
        return to_radians(self.end).reshape(*self.end.shape[:-1], self.columns.circuits, self.columns.num_qubits)


def advance_frames(columns: Columns, laid_out: Callable[[], Wires], rows: Ints, numbers: Numbers) -> Frames:
    """Sum up the frames' phases along the wires.

    Args:
        columns: the operations.
        laid_out: gives the wires of the same columns.
        rows: row of each operation in `numbers`.
        numbers: how far each row advances its operands' frames.
    """
    done = _by_loop(columns, rows, numbers) if native.are_many(rows) else None
    if done is not None:
        return done
    if numbers.shifts.is_any_turn and numbers.shifts.turns.take(rows).any():
        return _advanced(columns, laid_out(), rows, numbers)
    steps, end = np.zeros(len(columns.qubits), dtype=np.int64), np.zeros(columns.num_wires, dtype=np.int64)
    return Frames(is_turned=False, steps=steps, end=end, columns=columns)


def _by_loop(columns: Columns, rows: Ints, numbers: Numbers) -> Frames | None:
    shifts = numbers.shifts
    done = native.frames(
        columns.circuit,
        columns.qubits,
        columns.qubit_start,
        rows,
        shifts.turns,
        shifts.radians.with_columns(columns),
        num_qubits=columns.num_qubits,
        wires=columns.num_wires,
        width=shifts.width,
    )
    return None if done is None else Frames(steps=done[0], end=done[1], is_turned=done[2], columns=columns)


def _advanced(columns: Columns, wires: Wires, rows: Ints, numbers: Numbers) -> Frames:
    turning = wires.of_operands(numbers.shifts.turns.take(rows)).nonzero()[0]
    shift = wires.along(_shifts(columns, wires, rows, numbers, turning))
    before = wires.exclusive_sum(shift)
    end = np.zeros((*before.shape[:-1], columns.num_wires), dtype=np.int64)
    end[..., wires.wire[wires.order[wires.last]]] = picked(before, wires.last) + picked(shift, wires.last)
    return Frames(is_turned=True, steps=wires.back(before), end=end, columns=columns)


def _shifts(columns: Columns, wires: Wires, rows: Ints, numbers: Numbers, turning: Ints) -> Ints:
    """By how much each operand's frame advances, in steps of 2^-53 turn; only `turning` ones can."""
    op = turning if wires.is_single else wires.op[turning]
    entry = rows[op]
    entry *= numbers.shifts.width
    if not wires.is_single:
        position = turning - columns.qubit_start[op]
        entry += np.minimum(position, numbers.shifts.width - 1, out=position)
    radians = numbers.shifts.radians.at(entry, op, columns)
    shift = np.zeros((*radians.shape[:-1], len(wires.op)), dtype=np.int64)
    shift[..., turning] = to_steps(radians)
    return shift
