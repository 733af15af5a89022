"""Pass: when each operation starts, as late as possible.

Seen from the end of the circuit, each operation ends where the next one on any of its qubits starts; a qubit's last
operation ends with the circuit, so measurements with nothing behind them end together. A barrier takes no time: what is
before it on its qubits ends before what is after it starts. Nothing is merged, moved past another or left out.

Before: columns without composite gates. After: along each wire an operation starts no earlier than the one before ends.
Operations on one qubit are summed up along its wire; only those on several qubits are visited one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qubitd.compiler.columns import Columns, Ints, Wires


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """When operations happen."""

    start: Ints
    """Ticks from the start of its circuit; shape (operations,)."""
    duration: Ints
    """Ticks of each circuit."""


def schedule_late(columns: Columns, wires: Wires, length: Ints) -> Schedule:
    """Schedule as late as possible.

    Args:
        columns: the operations.
        wires: of the same columns.
        length: ticks that each operation takes on each of its qubits.
    """
    walk = _walk(columns, wires, length)
    meeting_end = _meet(columns, wires, length, walk)
    before_end = np.where(walk.last_meeting >= 0, meeting_end[wires.op[walk.backward[walk.last_meeting]]], 0)
    end = np.zeros(len(columns), dtype=np.int64)
    end[wires.op[walk.backward]] = before_end + walk.gap + length[wires.op[walk.backward]]
    several = np.diff(columns.qubit_start) > 1
    end[several] = meeting_end[several]
    duration = np.zeros(columns.circuits, dtype=np.int64)
    np.maximum.at(duration, columns.circuit, end)
    return Schedule(start=duration[columns.circuit] - end, duration=duration)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Walk:
    """The operands along each wire from its end; times count backwards from the circuit's end."""

    backward: Ints
    """Positions of the operands, by wire, the last operation of each wire first."""
    gap: Ints
    """Ticks of one-qubit operations since the last meeting on the wire, or since its end."""
    last_meeting: Ints
    """Index in `backward` of that meeting (an operation on several qubits); -1 if there was none."""


def _walk(columns: Columns, wires: Wires, length: Ints) -> _Walk:
    backward = wires.order[::-1]
    op = wires.op[backward]
    ticks = length[op]
    index = np.arange(len(backward))
    first = np.repeat(len(backward) - wires.begin[::-1] - wires.count[::-1], wires.count[::-1])
    meets = np.diff(columns.qubit_start)[op] > 1
    latest = np.maximum.accumulate(np.where(meets, index, -1)) if len(index) else index
    previous = np.concatenate(([-1], latest[:-1])) if len(index) else index
    last_meeting = np.where(previous >= first, previous, -1)
    before = np.cumsum(ticks) - ticks
    since = np.where(last_meeting >= 0, before[last_meeting] + ticks[last_meeting], before[first])
    return _Walk(backward=backward, gap=before - since, last_meeting=last_meeting)


def _meet(columns: Columns, wires: Wires, length: Ints, walk: _Walk) -> Ints:
    """When each operation on several qubits is over, seen from the end; 0 for all others."""
    gap_of = np.zeros(len(wires.op), dtype=np.int64)
    gap_of[walk.backward] = walk.gap
    ops = np.flatnonzero(np.diff(columns.qubit_start) > 1)[::-1]
    gaps: list[int] = gap_of.tolist()
    wire: list[int] = wires.wire.tolist()
    begins: list[int] = columns.qubit_start[ops].tolist()
    stops: list[int] = columns.qubit_start[ops + 1].tolist()
    lengths: list[int] = length[ops].tolist()
    ready = [0] * columns.num_wires
    ends: list[int] = []
    for begin, stop, ticks in zip(begins, stops, lengths, strict=True):
        if stop - begin == 2:
            a, b = wire[begin], wire[begin + 1]
            from_a, from_b = ready[a] + gaps[begin], ready[b] + gaps[begin + 1]
            ready[a] = ready[b] = end = max(from_a, from_b) + ticks
        else:
            end = max(ready[wire[i]] + gaps[i] for i in range(begin, stop)) + ticks
            for i in range(begin, stop):
                ready[wire[i]] = end
        ends.append(end)
    meeting_end = np.zeros(len(columns), dtype=np.int64)
    meeting_end[ops] = ends
    return meeting_end
