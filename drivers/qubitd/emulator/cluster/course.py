"""What a sequencer would carry out, prepared for walking; and what it does carry out once a walk has shown what it
skips and how long it waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.player import Player
from qubitd.emulator.cluster.triggers import Source
from qubitd.emulator.patience import GoOn, nothing
from qubitd.emulator.q1.conditions import UNCONDITIONAL, Guard, guards, without
from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.timeline import Timeline, durations, takes_time
from qubitd.emulator.q1.trace import Trace

_LATCHES = (Op.SET_LATCH_EN, Op.LATCH_RST, Op.WAIT_TRIGGER)
_AT_ONCE = 4096
"""Instructions that are prepared before it is asked whether somebody waits for them."""


class Stop(NamedTuple):
    """An instruction that has to be looked at."""

    at: int
    """Its index in the trace."""
    began: int
    """Its start if all before it are carried out and nothing waits, ns."""
    op: Op
    operands: tuple[int, ...]
    guard: Guard | None
    """The condition it stands under."""
    saved: int
    """ns by which the next one is earlier if this one is not carried out."""


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A trace prepared for walking."""

    player: Player
    trace: Trace
    guard: NDArray[np.int64]
    """Per instruction, see `conditions.guards`."""
    began: NDArray[np.int64]
    """Start of each instruction if all are carried out and nothing waits, ns; one more for the end."""
    stops: Sequence[Stop]
    """In order."""


class Evaluation(NamedTuple):
    """A condition that was looked at."""

    at: int
    """Index of the instruction that stands under it."""
    sources: frozenset[Source]
    """Acquisitions that took place, whose triggers would have been counted by then."""


class Past(NamedTuple):
    """What a sequencer did in a stretch of time."""

    skipped: tuple[int, ...]
    """Indices of the instructions that were not carried out."""
    delays: tuple[tuple[int, int], ...]
    """Index of an instruction, and ns that the next one comes later than the durations say."""
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """What one sequencer carries out."""

    trace: Trace
    """With waits where a condition was false; cut off where it waits for ever."""
    timeline: Timeline
    ends: bool


def course(player: Player, trace: Trace, go_on: GoOn = nothing) -> Course:
    """Prepare a trace; `go_on` is called now and then."""
    guard = guards(trace)
    looked_at = (guard != UNCONDITIONAL) | np.isin(trace.op, _LATCHES)
    if player.configuration.trigger is not None:
        looked_at |= (trace.op == Op.ACQUIRE) | (trace.op == Op.ACQUIRE_WEIGHED)
    if player.configuration.is_synchronised:
        looked_at |= trace.op == Op.WAIT_SYNC
    began = np.concatenate([[0], np.cumsum(durations(trace))])
    index = np.flatnonzero(looked_at)
    stops: list[Stop] = []
    for first in range(0, len(index), _AT_ONCE):
        go_on()
        stops += _stops(trace, guard, began, index[first : first + _AT_ONCE])
    return Course(player, trace, guard, began, stops)


def _stops(
    trace: Trace, guard: NDArray[np.int64], began: NDArray[np.int64], index: NDArray[np.int64]
) -> Sequence[Stop]:
    conditions = {at: Guard.read(trace, at) for at in np.unique(guard[index]).tolist() if at != UNCONDITIONAL}
    else_time = trace.operands[guard[index], 3]
    saved = np.where(takes_time(trace.op[index]), began[index + 1] - began[index] - else_time, 0)
    columns = (index, began[index], trace.op[index], trace.operands[index], guard[index], saved)
    return [
        Stop(at, time, Op(op), tuple(operands), conditions.get(under), less)
        for at, time, op, operands, under, less in zip(*(column.tolist() for column in columns), strict=True)
    ]


def path_of(course: Course, pasts: Sequence[Past], length: int, *, ends: bool) -> Path:
    """Give what a sequencer carried out up to an instruction.

    Args:
        course: its own.
        pasts: what it did, in order.
        length: index of the instruction.
        ends: whether it goes on from there.
    """
    skipped = np.zeros(len(course.trace), dtype=np.bool_)
    skipped[[index for past in pasts for index in past.skipped]] = True
    trace = without(course.trace, skipped, course.guard).until(length)
    delay = np.zeros(len(trace) + 1, dtype=np.int64)
    for index, waited in (each for past in pasts for each in past.delays):
        if index < len(trace):
            delay[index + 1] += waited
    start = np.concatenate([[0], np.cumsum(durations(trace))]) + np.cumsum(delay)
    return Path(trace, Timeline(start=start), ends)
