"""Pass: when each operation starts, as late as possible or as soon as possible.

As late as possible, seen from the end of the circuit: each operation ends where the next one on any of its qubits
starts; a qubit's last operation ends with the circuit, so measurements with nothing behind them end together. A barrier
takes no time: what is before it on its qubits ends before what is after it starts. Nothing is merged, reordered or left
out.

Before: columns without composite gates. After: along each wire an operation starts no earlier than the one before ends.
Operations on one qubit are summed up along its wire; only those on several qubits are visited one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler import native
from qubitd.compiler.columns import Columns, Ints, Wires, wires_of, without_operands


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """When operations happen."""

    start: Ints
    """Ticks from the start of its circuit; shape (operations,), or (times, operations)."""
    duration: Ints
    """Ticks of each circuit, or of the one circuit each time."""


def schedule_late(columns: Columns, laid_out: Callable[[], Wires], length: Ints) -> Schedule:
    """Schedule as late as possible.

    Args:
        columns: the operations.
        laid_out: gives the wires of the same columns.
        length: ticks that each operation takes on each of its qubits.
    """
    done = native.schedule_late(
        columns.circuit,
        columns.qubits,
        columns.qubit_start,
        length,
        num_qubits=columns.num_qubits,
        circuits=columns.circuits,
    )
    if done is not None:
        return Schedule(start=done[0], duration=done[1])
    wires = laid_out()
    op = wires.along(wires.op)
    ticks = wires.along(wires.of_operands(length))
    before = ticks.cumsum()
    before -= ticks
    if len(wires.joint):
        backward = _between_meetings(columns, wires, length, op=op, ticks=ticks, before=before)
    else:
        backward = (before + ticks)[wires.last].repeat(wires.count) - before
    end = backward
    if not (wires.is_single and wires.is_sorted):
        end = np.zeros(len(columns), dtype=np.int64)
        end[op] = backward
    duration = np.zeros(columns.circuits, dtype=np.int64)
    np.maximum.at(duration, columns.circuit[op[wires.begin]], backward[wires.begin])
    return Schedule(start=duration[columns.circuit] - end, duration=duration)


def schedule_early(columns: Columns, length: Ints) -> Schedule:
    """Schedule as soon as possible, which is as late as possible backwards; arguments as for `schedule_late`."""
    mirrored = _mirrored(columns)
    late = schedule_late(mirrored, lambda: wires_of(mirrored), length[::-1].copy())
    duration = late.duration[::-1].copy()
    return Schedule(start=duration[columns.circuit] - late.start[::-1] - length, duration=duration)


def _mirrored(columns: Columns) -> Columns:
    """The same circuits from their ends, the last one first."""
    backward = np.arange(len(columns))[::-1]
    return without_operands(
        columns, circuits=columns.circuits, order=backward, circuit=columns.circuits - 1 - columns.circuit[backward]
    )


def schedule_each(
    columns: Columns, lengths: Ints, schedule: Callable[[Columns, Callable[[], Wires], Ints], Schedule]
) -> Schedule:
    """Schedule one circuit several times, each with its own lengths, as so many circuits side by side.

    Args:
        columns: of the circuit.
        lengths: ticks of each operation, shape (times, operations).
        schedule: that of many circuits.
    """
    times = len(lengths)
    order = np.tile(np.arange(len(columns)), times)
    copies = without_operands(columns, circuits=times, order=order, circuit=np.repeat(np.arange(times), len(columns)))
    found = schedule(copies, lambda: wires_of(copies), lengths.reshape(-1))
    return Schedule(start=found.start.reshape(lengths.shape), duration=found.duration)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stretches:
    """Each wire, cut behind its meetings (operations on several qubits); entries are in the order of `Wires.order`."""

    count: Ints
    """Entries of each stretch."""
    last: Ints
    """Last entry of each stretch: a meeting, or the last of its wire."""
    closed: NDArray[np.bool_]
    """Whether that is a meeting."""
    sum: Ints
    """Ticks of all entries before the meeting that closes a stretch, or up to the end of its wire."""
    gap: Ints
    """For each meeting that closes a stretch, ticks from its end to the next one on the wire, or to the wire's end."""


def _between_meetings(columns: Columns, wires: Wires, length: Ints, *, op: Ints, ticks: Ints, before: Ints) -> Ints:
    """When each entry starts, seen from the end.

    Args:
        columns: the operations.
        wires: of the same columns.
        length: of each operation.
        op: of each entry.
        ticks: of each entry.
        before: ticks of all entries before each entry, whatever their wire.
    """
    joint = np.zeros(len(columns), dtype=bool)
    joint[wires.joint] = True
    stretches = _stretches(wires, joint[op], ticks, before)
    meeting_end = _meet(columns, wires, length, stretches)
    over = stretches.sum + np.where(stretches.closed, meeting_end[op[stretches.last]], 0)
    return over.repeat(stretches.count) - before


def _stretches(wires: Wires, meets: NDArray[np.bool_], ticks: Ints, before: Ints) -> _Stretches:
    is_first = np.zeros(len(ticks) + 1, dtype=bool)
    is_first[wires.begin] = is_first[-1] = True
    bounds = is_first.copy()
    bounds[1:] |= meets
    edges = bounds.nonzero()[0]
    last = edges[1:] - 1
    closed = meets[last]
    total = before[last] + np.where(closed, 0, ticks[last])
    meeting = last[closed]
    following = np.append(total, 0)[closed.nonzero()[0] + 1]
    gap = np.where(is_first[meeting + 1], 0, following - before[meeting] - ticks[meeting])
    return _Stretches(count=edges[1:] - edges[:-1], last=last, closed=closed, sum=total, gap=gap)


def _meet(columns: Columns, wires: Wires, length: Ints, stretches: _Stretches) -> Ints:
    """When each operation on several qubits is over, seen from the end; 0 for all others."""
    meeting_end = np.zeros(len(columns), dtype=np.int64)
    count = columns.qubit_start[1:] - columns.qubit_start[:-1]
    ops = wires.joint
    gap_of = np.zeros(len(wires.op), dtype=np.int64)
    gap_of[wires.order[stretches.last[stretches.closed]]] = stretches.gap
    operands = (count[wires.op] > 1).nonzero()[0]
    gaps: list[int] = gap_of[operands].tolist()
    wire: list[int] = wires.wire[operands].tolist()
    widths: list[int] = count[ops].tolist()
    lengths: list[int] = length[ops].tolist()
    ready = [0] * columns.num_wires
    ends: list[int] = []
    stop = len(operands)
    for width, ticks in zip(reversed(widths), reversed(lengths), strict=True):
        begin = stop - width
        if width == 2:
            a, b = wire[begin], wire[begin + 1]
            from_a, from_b = ready[a] + gaps[begin], ready[b] + gaps[begin + 1]
            ready[a] = ready[b] = end = max(from_a, from_b) + ticks
        else:
            end = max(ready[wire[i]] + gaps[i] for i in range(begin, stop)) + ticks
            for i in range(begin, stop):
                ready[wire[i]] = end
        ends.append(end)
        stop = begin
    meeting_end[ops[::-1]] = ends
    return meeting_end
