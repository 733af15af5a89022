"""Whether the classical core keeps ahead of the real-time executor (the hardware's flag is RT EXEC COMMAND UNDERFLOW).

Model: one cycle of 4 ns per instruction, more for arithmetic and taken jumps; 32 instructions fit the queue between the
two, a full queue stops the core; the executor starts 10 cycles after the first instruction that takes time arrived.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.q1.shotloop import CONCRETE, Run
from qubitd.emulator.q1.timeline import Timeline, durations
from qubitd.emulator.q1.trace import TURN_CYCLES, Trace

CYCLE = 4
"""ns."""
QUEUE = 32
_HEAD_START = 10 * CYCLE
_EVER = -(2**62)
"""A time before all others, ns."""


def lateness(trace: Trace, timeline: Timeline) -> NDArray[np.int64]:
    """Give how much later than its start each instruction is issued, ns; above 0 is an underflow."""
    start = timeline.start[:-1]
    if not len(start):
        return start
    first = int(np.argmax(durations(trace) > 0))
    cost = (trace.cycles - trace.cycles[first]) * CYCLE - _HEAD_START
    # issue[k] = max(issue[k-1] + cost of k, start[k-32]): the queue has room again when its oldest instruction starts.
    # Settings before the first instruction that takes time leave the queue at once.
    stalled = np.zeros_like(start)
    if len(trace.folded):
        _stall(stalled, trace, start, cost, first)
    else:
        stalled[first + QUEUE :] = start[first:-QUEUE] - cost[first + QUEUE :]
    issue = cost + np.maximum.accumulate(np.maximum(stalled, 0))
    late: NDArray[np.int64] = issue - start
    return late


def _stall(
    stalled: NDArray[np.int64], trace: Trace, start: NDArray[np.int64], cost: NDArray[np.int64], first: int
) -> None:
    """Fill in how long the queue had no room, where waits stand for many turns, each of which takes a place in it."""
    folded, turns = trace.folded, trace.turns
    turn = durations(trace)[folded] // turns
    places = np.ones_like(start)
    places[folded] = turns
    place = np.cumsum(places) - places
    length = np.zeros_like(start)
    length[folded] = turn

    def leaves(own: NDArray[np.int64]) -> NDArray[np.int64]:
        """When what stood a queue before these places had left; `_EVER` if nothing stood there."""
        before = own - QUEUE
        row = np.maximum(np.searchsorted(place, before, side="right") - 1, 0)
        return np.where(before < place[first], _EVER, start[row] + (before - place[row]) * length[row])

    stalled[:] = leaves(place) - cost
    # The room for the first turns depends on what came before the loop, that for the last one on turns alone.
    others = np.minimum(np.append(np.arange(1, QUEUE + 1), turns.max()), turns[:, np.newaxis] - 1)
    found = leaves(place[folded, np.newaxis] + others) - cost[folded, np.newaxis] - others * TURN_CYCLES * CYCLE
    behind = folded + 1 < len(start)
    np.maximum.at(stalled, folded[behind] + 1, found.max(axis=1)[behind])


def first_late(trace: Trace, timeline: Timeline) -> int:
    """Give the index of the first instruction that is issued too late; the trace's length if there is none."""
    late = lateness(trace, timeline) > 0
    return int(np.argmax(late)) if late.any() else len(trace)


def keeps_ahead(run: Run, timeline: Timeline) -> bool:
    """Whether no instruction is late in any iteration of a shot loop that was executed in short.

    From one iteration to the next the lead shrinks by at most what the core needs more than the executor.
    """
    late = lateness(run.trace, timeline)
    if (late > 0).any():
        return False
    if run.shots <= CONCRETE:
        return True
    begin, end = run.bounds[-3], run.bounds[-2]
    needed = int(run.trace.cycles[end] - run.trace.cycles[begin]) * CYCLE
    loss = needed - int(timeline.start[end] - timeline.start[begin])
    return int(late[end:].max()) + max(loss, 0) * (run.shots - CONCRETE) <= 0
