"""Goes through the real-time instructions of all sequencers in the order of time, as triggers reach their counters:
what is carried out, and when.

Only instructions that have to do with triggers are looked at one by one. What acquisitions found is an input (`bits`):
the walk tells what would happen then. An arrival, a condition and a reset at the same time count in this order.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from qubitd.emulator.cluster.course import Course, Evaluation, Past, Path, Stop, path_of
from qubitd.emulator.cluster.player import Player
from qubitd.emulator.cluster.triggers import LATEST, SOONEST, Source, arrival
from qubitd.emulator.q1.conditions import COUNTERS, Guard
from qubitd.emulator.q1.isa import Op

Bits = Callable[[Source], bool]
"""Whether an acquisition that takes place sends its trigger."""


class Sent(NamedTuple):
    """An acquisition that sends triggers."""

    source: Source
    start: int
    """ns."""
    end: int
    """ns: the last sample has been integrated."""


class Uncertain(Exception):  # noqa: N818 - no error: what follows has to be worked out in another way
    """Something happens so soon after an acquisition that the network's slots decide whether its trigger is there."""


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
    waits: bool = False
    skipped: list[int] = field(default_factory=list[int])
    delays: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Index of an instruction, and ns that the next one comes later than the durations say."""
    evaluations: list[Evaluation] = field(default_factory=list[Evaluation])

    def copy(self) -> _Walker:
        """Give one that goes on by itself."""
        return _Walker(
            self.number,
            self.at,
            self.late,
            self.enabled,
            [sources[:] for sources in self.counted],
            self.taken,
            self.waits,
            list(self.skipped),
            list(self.delays),
            list(self.evaluations),
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

        Whatever `bits` raises, it can be gone on from there.

        Raises:
            Uncertain: see `certain`.
        """
        ends = self._ends if until is None else until
        while (going := self._next(ends)) is not None:
            self._step(*going, bits)

    def state(self) -> Hashable:
        """Give all that decides how it goes on: equal for two that go on alike."""
        return tuple(
            (
                walker.at,
                walker.late,
                walker.enabled,
                tuple(map(tuple, walker.counted)),
                tuple(self._arrivals[walker.taken :]),
                walker.waits,
            )
            for walker in self._walkers
        )

    def parting(self) -> tuple[list[Past], list[Sent]]:
        """Forget what each sequencer did so far; gives it, and which acquisitions could send triggers."""
        past = [Past(tuple(w.skipped), tuple(w.delays), tuple(w.evaluations)) for w in self._walkers]
        sent, self.sending = self.sending, []
        known = min((walker.taken for walker in self._walkers), default=0)
        del self._arrivals[:known]
        for walker in self._walkers:
            walker.taken -= known
            walker.skipped, walker.delays, walker.evaluations = [], [], []
        return past, sent

    def paths(self, until: Sequence[int] | None = None) -> list[Path]:
        """Give what was carried out, to the end or up to an instruction of each sequencer."""
        ends = self._ends if until is None else until
        return [
            path_of(
                self._courses[walker.number],
                [Past(tuple(walker.skipped), tuple(walker.delays), tuple(walker.evaluations))],
                min(end, self._index(walker)) if walker.waits else end,
                ends=not walker.waits,
            )
            for walker, end in zip(self._walkers, ends, strict=True)
        ]

    @property
    def is_over(self) -> bool:
        """Whether no sequencer waits."""
        return not any(walker.waits for walker in self._walkers)

    @property
    def _ends(self) -> list[int]:
        return [len(each.trace) for each in self._courses]

    def _next(self, ends: Sequence[int]) -> tuple[_Walker, Stop, int] | None:
        """Give who goes on first, with the instruction that it has come to and its start."""
        first: tuple[_Walker, Stop, int] | None = None
        for walker, here, end in zip(self._walkers, self._courses, ends, strict=True):
            if walker.waits or walker.at == len(here.stops):
                continue
            stop = here.stops[walker.at]
            if stop.at < end and (first is None or stop.began + walker.late < first[2]):
                first = walker, stop, stop.began + walker.late
        if first is None and self._members:
            members = [self._walkers[i] for i in self._members]
            if all(self._is_at(walker, Op.WAIT_SYNC) for walker in members):
                self._meet(members)
                return self._next(ends)
        return first

    def _stop(self, walker: _Walker) -> Stop | None:
        stops = self._courses[walker.number].stops
        return stops[walker.at] if walker.at < len(stops) else None

    def _index(self, walker: _Walker) -> int:
        stop = self._stop(walker)
        return len(self._courses[walker.number].trace) if stop is None else stop.at

    def _is_at(self, walker: _Walker, op: Op) -> bool:
        stop = self._stop(walker)
        return walker.waits and stop is not None and stop.op is op

    def _meet(self, members: Sequence[_Walker]) -> None:
        """Let those who wait for each other go on."""
        stops = [self._courses[walker.number].stops[walker.at] for walker in members]
        last = max(stop.began + walker.late for walker, stop in zip(members, stops, strict=True))
        for walker in members:
            self._release(walker, last)

    def _release(self, walker: _Walker, time: int) -> None:
        """Let a sequencer that waits go on as if it had come at a time."""
        stop = self._courses[walker.number].stops[walker.at]
        waited = time - stop.began - walker.late
        walker.delays.append((stop.at, waited))
        walker.late += waited
        walker.at += 1
        walker.waits = False

    def _step(self, walker: _Walker, stop: Stop, now: int, bits: Bits) -> None:
        configuration = self._courses[walker.number].player.configuration
        self._take_note(walker, now, self._sensitive(walker, stop))
        if stop.guard is not None and not self._holds(walker, stop, stop.guard, bits):
            walker.skipped.append(stop.at)
            walker.late -= stop.saved
            walker.at += 1
            return
        op = stop.op
        if op is Op.WAIT_SYNC and configuration.is_synchronised:
            walker.waits = True
            return
        if op is Op.WAIT_TRIGGER:
            self._await(walker, now, stop.operands[0], bits)
            return
        if op is Op.SET_LATCH_EN:
            walker.enabled = stop.operands[0] == 1
        elif op is Op.LATCH_RST:
            walker.counted = [[] for _ in range(COUNTERS)]
        elif (op is Op.ACQUIRE or op is Op.ACQUIRE_WEIGHED) and configuration.trigger is not None:
            self._acquire(walker, stop, now, configuration.trigger.address, bits)
        walker.at += 1

    def _sensitive(self, walker: _Walker, stop: Stop) -> Sequence[int]:
        """Give the addresses for which it matters whether a trigger has come by an instruction."""
        if stop.guard is not None:
            return [1 + counter for counter in stop.guard.counters] if walker.enabled else []
        is_switched = stop.op is Op.SET_LATCH_EN and (stop.operands[0] == 1) != walker.enabled
        is_cleared = stop.op is Op.LATCH_RST and walker.enabled
        return range(1, COUNTERS + 1) if is_switched or is_cleared else []

    def _take_note(self, walker: _Walker, now: int, sensitive: Sequence[int]) -> None:
        """Count the triggers that have arrived.

        Raises:
            Uncertain: one of them, to a sensitive address, may or may not have.
        """
        arrivals = self._arrivals
        sure = now - (LATEST - SOONEST) if self._certain else now
        while walker.taken < len(arrivals) and arrivals[walker.taken][0] <= sure:
            _, address, source = arrivals[walker.taken]
            walker.taken += 1
            if walker.enabled:
                walker.counted[address - 1].append(source)
        for number in range(walker.taken, len(arrivals)):
            time, address, _ = arrivals[number]
            if time > now:
                return
            if address in sensitive:
                raise Uncertain

    def _holds(self, walker: _Walker, stop: Stop, guard: Guard, bits: Bits) -> bool:
        thresholds = self._courses[walker.number].player.configuration.counters
        terms = [thresholds[i].of(sum(map(bits, walker.counted[i]))) for i in guard.counters]
        sources = frozenset(source for i in guard.counters for source in walker.counted[i])
        walker.evaluations.append(Evaluation(stop.at, sources))
        return guard.operator.of(terms)

    def _acquire(self, walker: _Walker, stop: Stop, now: int, address: int, bits: Bits) -> None:
        player = self._courses[walker.number].player
        length = integration(player, stop.op, stop.operands)
        if not length or stop.operands[0] not in player.acquisitions:
            return
        source, end = Source(walker.number, stop.at), now + length
        time = end + SOONEST if self._certain else arrival(end)
        waiting = [each for each in self._walkers if self._awaits(each, address)]
        if waiting and bits(source):
            for other in waiting:
                self._release(other, time)
        insort(self._arrivals, (time, address, source), key=itemgetter(0))
        self.sending.append(Sent(source, now, end))

    def _awaits(self, walker: _Walker, address: int) -> bool:
        stop = self._stop(walker)
        return walker.waits and stop is not None and stop.op is Op.WAIT_TRIGGER and stop.operands[0] == address

    def _await(self, walker: _Walker, now: int, address: int, bits: Bits) -> None:
        """Wait for a trigger, which may be on its way."""
        if self._certain:
            raise Uncertain
        coming = [time for time, to, source in self._arrivals if to == address and time > now and bits(source)]
        walker.waits = True
        if coming:
            self._release(walker, coming[0])


def integration(player: Player, op: int, operands: Sequence[int]) -> int:
    """Give how long an acquisition integrates, ns; 0 if its weights are missing."""
    if op == Op.ACQUIRE:
        return player.configuration.integration_length
    waves = [player.weights.by_index.get(number) for number in operands[2:4]]
    return max((len(wave.samples) for wave in waves if wave is not None), default=0)
