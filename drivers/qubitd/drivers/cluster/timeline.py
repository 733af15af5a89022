"""The real-time instructions of one sequencer for one iteration of the shot loop: what happens at which tick.

The gap after an instruction is its own waiting time. All gaps of an iteration add up to the layout's total, on every
sequencer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from qubitd.drivers.cluster import native
from qubitd.drivers.cluster.columns import AcquisitionColumns, Layout, PlayColumns
from qubitd.drivers.cluster.line_feedback import LineFeedback
from qubitd.drivers.cluster.waits import SHORTEST

OPEN_BEFORE = 20
"""Ticks before the first sample at which an RF switch opens: it needs about 15."""

Ints = NDArray[np.int64]


class Kind(IntEnum):
    """What an event is."""

    BEGIN = 0
    """At the beginning of a program the oscillator's phase is reset, and trigger counters that matter are closed and
    cleared."""
    OPEN = 1
    """The RF switch opens."""
    PLAY = 2
    ACQUIRE = 3
    CLOSE = 4
    """The RF switch closes."""
    SHIFT = 5
    """The oscillator's phase changes, if a condition holds."""
    LATCH = 6
    """Trigger counters are cleared, opened or closed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """Events of one sequencer in the order of time."""

    kind: NDArray[np.int8]
    row: Ints
    """Position among the events of the same kind."""
    program: Ints
    """Position of its program in the chunk."""
    time: Ints
    """Ticks from the start of the iteration."""
    gap: Ints
    """Ticks to the next event, or to the end of the iteration."""

    def select(self, rows: slice) -> Timeline:
        """Give some of the events."""
        return Timeline(**{name: getattr(self, name)[rows] for name in self.__slots__})

    @property
    def first_gap(self) -> int:
        """Ticks from the start of the iteration to the first event."""
        return int(self.time[0])


def make_timeline(
    plays: PlayColumns,
    acquisitions: AcquisitionColumns,
    layout: Layout,
    *,
    rf: bool,
    feedback: LineFeedback | None = None,
) -> Timeline:
    """Put the events of one line, of which there is at least one, into the order of time."""
    play_time = _iteration_time(plays.program, plays.start, layout)
    acquire_time = _iteration_time(acquisitions.program, acquisitions.start, layout)
    kinds = [(Kind.PLAY, plays.program, play_time), (Kind.ACQUIRE, acquisitions.program, acquire_time)]
    taken = acquire_time
    if feedback is not None:
        for kind, rows in ((Kind.SHIFT, feedback.shifts), (Kind.LATCH, feedback.latches)):
            kinds.append((kind, rows.program, _iteration_time(rows.program, rows.start, layout)))
        taken = np.sort(np.concatenate([acquire_time, *(times for _, _, times in kinds[2:])]))
    if rf or (feedback is not None and feedback.counts):
        programs = len(layout.begin)
        events = np.bincount(plays.program, minlength=programs) + np.bincount(acquisitions.program, minlength=programs)
        using = np.flatnonzero(events)
        kinds.append((Kind.BEGIN, using, layout.begin[using]))
    if rf:
        kinds += _switching(plays.program, play_time, plays.length, taken)
    return _merge(kinds, layout.total)


def _iteration_time(program: Ints, start: Ints, layout: Layout) -> Ints:
    return layout.begin[program] + layout.lead + start


def _switching(program: Ints, start: Ints, length: Ints, taken: Ints) -> list[tuple[Kind, Ints, Ints]]:
    """Open the switch once before the first play of each program, and close it after the last."""
    if not len(program):
        return []
    edges = np.ones(len(program) + 1, dtype=np.bool_)
    np.not_equal(program[1:], program[:-1], out=edges[1:-1])
    bounds = edges.nonzero()[0]
    first, last = bounds[:-1], bounds[1:] - 1
    playing = program[first]
    close = np.maximum(start[last] + length[last], start[last] + SHORTEST)
    return [
        (Kind.OPEN, playing, _free_tick(start[first] - OPEN_BEFORE, taken, -SHORTEST)),
        (Kind.CLOSE, playing, _free_tick(close, taken, SHORTEST)),
    ]


def _free_tick(wanted: Ints, taken: Ints, step: int) -> Ints:
    """Move ticks by steps until none lies closer to a taken one than instructions may."""
    if not len(taken):
        return wanted
    while True:
        index = np.searchsorted(taken, wanted - SHORTEST + 1)
        nearest = np.append(taken, np.iinfo(np.int64).max // 2)[index]
        is_near = nearest < wanted + SHORTEST
        if not np.any(is_near):
            return wanted
        wanted = np.where(is_near, nearest + step, wanted)


def _merge(kinds: list[tuple[Kind, Ints, Ints]], total: int) -> Timeline:
    time = np.concatenate([times for _, _, times in kinds])
    counts = [len(times) for _, _, times in kinds]
    programs = np.concatenate([program for _, program, _ in kinds])
    found = native.merged([kind for kind, _, _ in kinds], time, programs, counts, total)
    if found is not None:
        return Timeline(kind=found[0], row=found[1], program=found[2], time=found[3], gap=found[4])
    order = np.argsort(time, kind="stable")
    time = time[order]
    kind = np.array([kind for kind, _, _ in kinds], dtype=np.int8)
    return Timeline(
        kind=kind.repeat(counts)[order],
        row=np.concatenate([np.arange(count) for count in counts])[order],
        program=programs[order],
        time=time,
        gap=np.concatenate([time[1:], [total]]) - time,
    )
