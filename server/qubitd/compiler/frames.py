"""Pass: virtual Z. How far each operation finds its qubits' frames advanced.

Rz(theta) advances the phase of all later plays in the qubit's frame by theta. Phases are summed as whole multiples of
2^-53 turn, which wrap without error, so a million gates lose nothing.

Before: columns without composite gates. After: every phase is in [0, 2 pi).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qubitd.compiler.columns import Columns, Floats, Ints, Wires
from qubitd.compiler.numbers import Numbers

_TURN = 2**53
_TO_STEPS = 1 / (2 * np.pi)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frames:
    """Phases of the frames, radians."""

    phase: Floats
    """At the start of each operand's operation, in the order of `Columns.qubits`."""
    final: Floats
    """At the end of the circuit: a virtual Z that nothing is played after; shape (circuits, qubits)."""


def advance_frames(columns: Columns, wires: Wires, rows: Ints, numbers: Numbers) -> Frames:
    """Sum up the frames' phases along the wires.

    Args:
        columns: the operations.
        wires: of the same columns.
        rows: row of each operation in `numbers`.
        numbers: how far each row advances its operands' frames.
    """
    shift = _shifts(columns, wires, rows, numbers)[wires.order]
    before = wires.exclusive_sum(shift)
    phase = np.empty(len(wires.op))
    phase[wires.order] = _radians(before)
    final = np.zeros(columns.num_wires)
    last = wires.begin + wires.count - 1
    final[wires.wire[wires.order[last]]] = _radians(before[last] + shift[last])
    return Frames(phase=phase, final=final.reshape(columns.circuits, columns.num_qubits))


def _shifts(columns: Columns, wires: Wires, rows: Ints, numbers: Numbers) -> Ints:
    """By how much each operand's frame advances, in steps of 2^-53 turn."""
    position = np.arange(len(wires.op)) - columns.qubit_start[wires.op]
    entry = rows[wires.op] * numbers.width + np.minimum(position, numbers.width - 1)
    shifting = np.flatnonzero(numbers.has_shift[entry])
    radians = numbers.shift.at(entry[shifting], columns.params, columns.param_start[wires.op[shifting]])
    turns = radians * _TO_STEPS
    shift = np.zeros(len(entry), dtype=np.int64)
    shift[shifting] = np.rint((turns - np.rint(turns)) * _TURN)
    return shift


def _radians(steps: Ints) -> Floats:
    """Wrap into [0, 2 pi)."""
    return (steps & (_TURN - 1)).astype(np.float64) * (2 * np.pi / _TURN)
