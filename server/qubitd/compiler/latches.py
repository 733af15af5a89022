"""Pass: when one line opens, closes and clears its counters, so that each test finds in them what it asks for.

A line counts the outcomes that its own tests look at and no others: it is open when these arrive, and closed when
others do. Clearing takes all counters back to 0, so it must come between the last look at one set of outcomes and the
arrival of the next. If two sets overlap, the line cannot do it and the circuit is refused.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from qubitd.core.feedforward import FeedForward, Latch


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A line looks at outcomes for an operation."""

    first: int
    """Ticks at which it looks for the first time."""
    last: int
    """Ticks up to which it may look again."""
    outcomes: frozenset[int]
    op: int
    """The operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An outcome that reaches all counters, if it is 1."""

    time: int
    qubit: int
    outcome: int
    """Its number; -1 for one that no test looks at."""


_Awaited = dict[frozenset[int], dict[int, list[int]]]
"""When the outcomes that are looked at together arrive, by them and by qubit, in the order of time."""


class ClashError(Exception):
    """A line cannot hold what an operation looks at."""

    def __init__(self, op: int, qubit: int) -> None:
        self.op = op
        self.qubit = qubit
        super().__init__(op, qubit)


def plan_latches(
    looks: Sequence[Look],
    arrivals: Sequence[Arrival],
    busy: Sequence[tuple[int, int]],
    facts: FeedForward,
) -> list[tuple[int, Latch]]:
    """Plan one line.

    Args:
        looks: at outcomes, at least one.
        arrivals: all of the program, in the order of time.
        busy: (first tick, ticks that it takes) of everything else that the line does, in the order of time.
        facts: of the controller.

    Returns:
        (tick, what to do), in the order of time.

    Raises:
        ClashError: there is no plan.
    """
    free = _Free(busy, facts.step)
    counted = frozenset[int]().union(*(look.outcomes for look in looks))
    kept = [arrival for arrival in arrivals if arrival.outcome in counted]
    clears = _clears(looks, kept, free, facts.step)
    switches = _switches(looks, arrivals, free, facts.step)
    return sorted([*((tick, Latch.CLEAR) for tick in clears), *switches])


class _Free:
    """Ticks at which the line can do one thing more."""

    def __init__(self, busy: Sequence[tuple[int, int]], step: int) -> None:
        self._step = step
        self._begin = [first - step for first, _ in busy]
        self._end = [first + max(step, ticks) for first, ticks in busy]

    def take(self, low: int, high: int) -> int | None:
        """Take the last free tick of a range, its ends included."""
        tick = high
        while tick >= low:
            place = bisect_left(self._begin, tick)
            if place == 0 or self._end[place - 1] <= tick:
                self._begin.insert(place, tick - self._step)
                self._end.insert(place, tick + self._step)
                return tick
            tick = self._begin[place - 1]
        return None


def _clears(looks: Sequence[Look], kept: Sequence[Arrival], free: _Free, step: int) -> list[int]:
    """Stab every gap in which a counter must go back to 0, the gap that ends first at its last possible tick."""
    awaited = _awaited(looks, kept)
    held = _united((min(own[0] for own in awaited[look.outcomes].values()) - step, look.last + step) for look in looks)
    found: list[int] = []
    for high, low, op, qubit in sorted(_gaps(looks, kept, awaited, step)):
        place = bisect_left(found, low)
        if place < len(found) and found[place] <= high:
            continue
        ticks = (free.take(first, last) for first, last in _outside(held, low, high))
        tick = next((tick for tick in ticks if tick is not None), None)
        if tick is None:
            raise ClashError(op, qubit)
        insort(found, tick)
    return found


def _awaited(looks: Sequence[Look], kept: Sequence[Arrival]) -> _Awaited:
    """Sort the arrivals of the outcomes that are looked at together; many looks are at the same ones."""
    order = {arrival.outcome: place for place, arrival in enumerate(kept)}
    qubit = np.array([arrival.qubit for arrival in kept], dtype=np.int64)
    time = np.array([arrival.time for arrival in kept], dtype=np.int64)
    found: _Awaited = {}
    for outcomes in {look.outcomes for look in looks}:
        places = np.sort(np.fromiter(map(order.__getitem__, outcomes), dtype=np.int64, count=len(outcomes)))
        whose, when = qubit[places], time[places]
        found[outcomes] = {int(one): when[whose == one].tolist() for one in np.unique(whose)}
    return found


def _gaps(
    looks: Sequence[Look], kept: Sequence[Arrival], awaited: _Awaited, step: int
) -> Iterator[tuple[int, int, int, int]]:
    """Give (last tick, first tick, operation, qubit) of each clearing that a look asks for."""
    times: dict[int, list[int]] = {}
    for arrival in kept:
        times.setdefault(arrival.qubit, []).append(arrival.time)
    for look in looks:
        for qubit, own in awaited[look.outcomes].items():
            first = bisect_left(times[qubit], own[0])
            if bisect_right(times[qubit], look.last) - first > bisect_right(own, look.last):
                raise ClashError(look.op, qubit)  # one that it does not look at comes between
            if first > 0:
                yield times[qubit][first] - step, times[qubit][first - 1] + step, look.op, qubit


def _united(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that overlap."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first < found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def _outside(held: Sequence[tuple[int, int]], low: int, high: int) -> Iterator[tuple[int, int]]:
    """Give the parts of a range in which nothing is held, the last one first; the ends of what is held are free."""
    for first, last in reversed(held):
        if first >= high:
            continue
        if last <= high:
            yield max(low, last), high
        high = first
        if high < low:
            return
    yield low, high


def _switches(
    looks: Sequence[Look], arrivals: Sequence[Arrival], free: _Free, step: int
) -> Iterator[tuple[int, Latch]]:
    """Open before an outcome that is counted, close before one that is not; nobody cares behind the last look."""
    counted = frozenset[int]().union(*(look.outcomes for look in looks))
    before, is_open = 0, False
    until = max(look.last for look in looks)
    for arrival in arrivals[: bisect_right([arrival.time for arrival in arrivals], until)]:
        wanted = arrival.outcome in counted
        if wanted != is_open:
            tick = free.take(before, arrival.time - step)
            if tick is None:
                raise ClashError(looks[-1].op, arrival.qubit)
            yield tick, Latch.OPEN if wanted else Latch.CLOSE
            is_open = wanted
        before = arrival.time + step
