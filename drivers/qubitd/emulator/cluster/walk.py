"""Goes through the real-time instructions of all sequencers in the order of time, as triggers reach their counters:
what is carried out, and when.

Only instructions that have to do with triggers are looked at one by one. What acquisitions found is an input (`bits`):
the walk tells what would happen then. An arrival, a condition and a reset at the same time count in this order.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.player import Player
from qubitd.emulator.cluster.triggers import LATEST, SOONEST, Source, arrival
from qubitd.emulator.q1.conditions import COUNTERS, UNCONDITIONAL, Guard, guards, without
from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.timeline import Timeline, durations, takes_time
from qubitd.emulator.q1.trace import Trace

Bits = Callable[[Source], bool]
"""Whether an acquisition that takes place sends its trigger."""
_LATCHES = (Op.SET_LATCH_EN, Op.LATCH_RST, Op.WAIT_TRIGGER)


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A trace prepared for walking."""

    player: Player
    trace: Trace
    guard: NDArray[np.int64]
    """Per instruction, see `conditions.guards`."""
    began: NDArray[np.int64]
    """Start of each instruction if all are carried out and nothing waits, ns; one more for the end."""
    stops: NDArray[np.int64]
    """Indices of the instructions to be looked at, in order."""


class Evaluation(NamedTuple):
    """A condition that was looked at."""

    at: int
    """Index of the instruction that stands under it."""
    sources: frozenset[Source]
    """Acquisitions that took place, whose triggers would have been counted by then."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """What one sequencer carries out."""

    trace: Trace
    """With waits where a condition was false; cut off where it waits for ever."""
    timeline: Timeline
    evaluations: tuple[Evaluation, ...]
    ends: bool


class Sent(NamedTuple):
    """An acquisition that sends triggers."""

    source: Source
    start: int
    """ns."""
    end: int
    """ns: the last sample has been integrated."""


class Uncertain(Exception):  # noqa: N818 - no error: what follows has to be worked out in another way
    """Something happens so soon after an acquisition that the network's slots decide whether its trigger is there."""


def course(player: Player, trace: Trace) -> Course:
    """Prepare a trace."""
    guard = guards(trace)
    looked_at = (guard != UNCONDITIONAL) | np.isin(trace.op, _LATCHES)
    if player.configuration.trigger is not None:
        looked_at |= (trace.op == Op.ACQUIRE) | (trace.op == Op.ACQUIRE_WEIGHED)
    if player.configuration.is_synchronised:
        looked_at |= trace.op == Op.WAIT_SYNC
    began = np.concatenate([[0], np.cumsum(durations(trace))])
    return Course(player, trace, guard, began, np.flatnonzero(looked_at))


@dataclass(slots=True)
class _Walker:
    """One sequencer under way."""

    number: int
    at: int = 0
    """Next of the instructions to be looked at."""
    late: int = 0
    """ns by which it is behind `Course.began`."""
    enabled: bool = False
    counted: list[list[Source]] = field(default_factory=lambda: [[] for _ in range(COUNTERS)])
    taken: int = 0
    """Arrivals that it has taken note of."""
    skipped: list[int] = field(default_factory=list[int])
    delays: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Index of an instruction, and ns that the next one comes later than the durations say."""
    evaluations: list[Evaluation] = field(default_factory=list[Evaluation])
    waits: bool = False

    def copy(self) -> _Walker:
        """Give one that goes on by itself."""
        return replace(
            self,
            counted=[list(sources) for sources in self.counted],
            skipped=list(self.skipped),
            delays=list(self.delays),
            evaluations=list(self.evaluations),
        )


class Walk:
    """All sequencers of a run, from its start."""

    def __init__(self, courses: Sequence[Course], *, certain: bool) -> None:
        """Begin at time 0.

        Args:
            courses: of the sequencers.
            certain: refuse to go on where the slots of the network decide.
        """
        self._courses = courses
        self._certain = certain
        self._walkers = [_Walker(number) for number in range(len(courses))]
        self._members = [i for i, each in enumerate(courses) if each.player.configuration.is_synchronised]
        self._arrivals: list[tuple[int, int, Source]] = []
        """Time, address and source of every trigger that could be sent, in the order of time."""
        self.sending: list[Sent] = []

    def copy(self) -> Walk:
        """Give a walk that goes on from here by itself."""
        made = Walk(self._courses, certain=self._certain)
        made._walkers, made._arrivals = [walker.copy() for walker in self._walkers], list(self._arrivals)
        made.sending = list(self.sending)
        return made

    def advance(self, bits: Bits, until: Sequence[int] | None = None) -> None:
        """Go on to the end, or up to an instruction of each sequencer.

        Raises:
            Uncertain: see `certain`.
        """
        ends = [len(each.trace) for each in self._courses] if until is None else until
        while (walker := self._next(ends)) is not None:
            self._step(walker, bits)

    def paths(self, until: Sequence[int] | None = None) -> list[Path]:
        """Give what was carried out, to the end or up to an instruction of each sequencer."""
        ends = [len(each.trace) for each in self._courses] if until is None else until
        return [self._path(walker, end) for walker, end in zip(self._walkers, ends, strict=True)]

    def time(self, player: int, index: int) -> int:
        """Give the start of an instruction that all have come up to, ns."""
        return int(self._courses[player].began[index]) + self._walkers[player].late

    def _next(self, ends: Sequence[int]) -> _Walker | None:
        going = [walker for walker in self._walkers if not walker.waits and self._index(walker) < ends[walker.number]]
        if going:
            return min(going, key=self._now)
        members = [self._walkers[i] for i in self._members]
        if members and all(self._is_at(walker, Op.WAIT_SYNC) for walker in members):
            self._meet(members)
            return self._next(ends)
        return None

    def _index(self, walker: _Walker) -> int:
        stops = self._courses[walker.number].stops
        return int(stops[walker.at]) if walker.at < len(stops) else np.iinfo(np.int64).max

    def _now(self, walker: _Walker) -> int:
        return self.time(walker.number, self._index(walker))

    def _is_at(self, walker: _Walker, op: Op) -> bool:
        index = self._index(walker)
        trace = self._courses[walker.number].trace
        return walker.waits and index < len(trace) and trace.op[index] == op

    def _meet(self, members: Sequence[_Walker]) -> None:
        """Let those who wait for each other go on."""
        last = max(self._now(walker) for walker in members)
        for walker in members:
            self._release(walker, last)

    def _release(self, walker: _Walker, time: int) -> None:
        """Let a sequencer that waits go on as if it had come at a time."""
        waited = time - self._now(walker)
        walker.delays.append((self._index(walker), waited))
        walker.late += waited
        walker.at += 1
        walker.waits = False

    def _step(self, walker: _Walker, bits: Bits) -> None:
        here = self._courses[walker.number]
        index, now = self._index(walker), self._now(walker)
        self._take_note(walker, now, self._sensitive(walker, index))
        if here.guard[index] != UNCONDITIONAL and not self._holds(walker, index, bits):
            self._skip(walker, index)
            return
        op, operands = int(here.trace.op[index]), here.trace.operands[index].tolist()
        if op == Op.WAIT_SYNC and here.player.configuration.is_synchronised:
            walker.waits = True
            return
        if op == Op.WAIT_TRIGGER:
            self._await(walker, now, operands[0], bits)
            return
        if op == Op.SET_LATCH_EN:
            walker.enabled = operands[0] == 1
        elif op == Op.LATCH_RST:
            walker.counted = [[] for _ in range(COUNTERS)]
        elif op in (Op.ACQUIRE, Op.ACQUIRE_WEIGHED) and here.player.configuration.trigger is not None:
            self._acquire(walker, index, now, bits)
        walker.at += 1

    def _sensitive(self, walker: _Walker, index: int) -> Sequence[int]:
        """Give the addresses for which it matters whether a trigger has come by an instruction."""
        here = self._courses[walker.number]
        if here.guard[index] != UNCONDITIONAL:
            guard = Guard.read(here.trace, int(here.guard[index]))
            return [1 + counter for counter in guard.counters] if walker.enabled else []
        op, operand = here.trace.op[index], here.trace.operands[index, 0]
        is_switched = op == Op.SET_LATCH_EN and (operand == 1) != walker.enabled
        is_cleared = op == Op.LATCH_RST and walker.enabled
        return range(1, COUNTERS + 1) if is_switched or is_cleared else []

    def _take_note(self, walker: _Walker, now: int, sensitive: Sequence[int]) -> None:
        """Count the triggers that have arrived.

        Raises:
            Uncertain: one of them, to a sensitive address, may or may not have.
        """
        sure = now - (LATEST - SOONEST) if self._certain else now
        while walker.taken < len(self._arrivals) and self._arrivals[walker.taken][0] <= sure:
            _, address, source = self._arrivals[walker.taken]
            walker.taken += 1
            if walker.enabled:
                walker.counted[address - 1].append(source)
        doubtful = takewhile(lambda arrival: arrival[0] <= now, self._arrivals[walker.taken :])
        if any(address in sensitive for _, address, _ in doubtful):
            raise Uncertain

    def _holds(self, walker: _Walker, index: int, bits: Bits) -> bool:
        here = self._courses[walker.number]
        guard = Guard.read(here.trace, int(here.guard[index]))
        sources = frozenset(source for i in guard.counters for source in walker.counted[i])
        walker.evaluations.append(Evaluation(index, sources))
        thresholds = here.player.configuration.counters
        return guard.operator.of([thresholds[i].of(sum(map(bits, walker.counted[i]))) for i in guard.counters])

    def _skip(self, walker: _Walker, index: int) -> None:
        here = self._courses[walker.number]
        if takes_time(here.trace.op[index : index + 1])[0]:
            else_time = int(here.trace.operands[here.guard[index], 3])
            walker.late += else_time - int(here.began[index + 1] - here.began[index])
        walker.skipped.append(index)
        walker.at += 1

    def _acquire(self, walker: _Walker, index: int, now: int, bits: Bits) -> None:
        here = self._courses[walker.number]
        trigger = here.player.configuration.trigger
        length = integration(here.player, int(here.trace.op[index]), here.trace.operands[index].tolist())
        if trigger is None or not length or int(here.trace.operands[index, 0]) not in here.player.acquisitions:
            return
        source, end = Source(walker.number, index), now + length
        time = end + SOONEST if self._certain else arrival(end)
        insort(self._arrivals, (time, trigger.address, source), key=itemgetter(0))
        self.sending.append(Sent(source, now, end))
        if bits(source):
            for other in self._walkers:
                if self._is_at(other, Op.WAIT_TRIGGER) and self._address(other) == trigger.address:
                    self._release(other, time)

    def _address(self, walker: _Walker) -> int:
        return int(self._courses[walker.number].trace.operands[self._index(walker), 0])

    def _await(self, walker: _Walker, now: int, address: int, bits: Bits) -> None:
        """Wait for a trigger, which may be on its way."""
        if self._certain:
            raise Uncertain
        walker.waits = True
        coming = [time for time, to, source in self._arrivals if to == address and time > now and bits(source)]
        if coming:
            self._release(walker, coming[0])

    def _path(self, walker: _Walker, end: int) -> Path:
        here = self._courses[walker.number]
        skipped = np.zeros(len(here.trace), dtype=np.bool_)
        skipped[walker.skipped] = True
        length = min(end, self._index(walker)) if walker.waits else end
        trace = without(here.trace, skipped).until(length)
        delay = np.zeros(len(trace) + 1, dtype=np.int64)
        for index, waited in walker.delays:
            if index < len(trace):
                delay[index + 1] += waited
        start = np.concatenate([[0], np.cumsum(durations(trace))]) + np.cumsum(delay)
        return Path(trace, Timeline(start=start), tuple(walker.evaluations), not walker.waits)


def integration(player: Player, op: int, operands: Sequence[int]) -> int:
    """Give how long an acquisition integrates, ns; 0 if its weights are missing."""
    if op == Op.ACQUIRE:
        return player.configuration.integration_length
    waves = [player.weights.by_index.get(number) for number in operands[2:4]]
    return max((len(wave.samples) for wave in waves if wave is not None), default=0)
