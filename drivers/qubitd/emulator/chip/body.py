"""One shot body for all shots at once: maps in the order of time, and what the readouts find in each shot.

A readout after which nothing happens to its qubit, and for which nobody waits, may wait: maps of other qubits commute
with it, so all such readouts are drawn together from the final diagonal. (A coupled qubit that is turned while it is
still being read sees, by ZZ, the level in which the reading found it.) Any other readout is drawn at once and splits
the shots into branches, as do pulses that are played in some shots only.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.choice import Choice
from qubitd.emulator.chip.drive import Turn
from qubitd.emulator.chip.flux import Exchange
from qubitd.emulator.chip.probe import Falls, Found, Probe
from qubitd.emulator.chip.reading import Reading
from qubitd.emulator.chip.register import Left, Register
from qubitd.emulator.chip.static_zz import Bond
from qubitd.emulator.errors import EmulatorError
from qubitd.emulator.events import EVERY_SHOT
from qubitd.emulator.outcomes import Mask, Outcomes
from qubitd.emulator.patience import GoOn

Pulse: TypeAlias = Turn | Exchange
Event: TypeAlias = Pulse | Probe
Listen = Callable[[int, Falls], NDArray[np.complex128]]
"""Number of a window and what the readouts found so far -> its points, shape (shots,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ending:
    """A window for whose points somebody waits."""

    start: int
    """ns: its end, when the points are known."""
    window: int
    """Its number among the body's windows."""
    row: int
    """In the table's acquisitions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Script:
    """What happens in a body."""

    events: Sequence[Event]
    """Each sorted by start, as those below."""
    choices: Sequence[Choice] = ()
    endings: Sequence[Ending] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beginning:
    """How shots begin that follow others without a reset."""

    left: Left
    state: NDArray[np.int64]
    """In which of its states each shot begins, shape (shots,)."""


Moment: TypeAlias = Event | Choice | Ending


class BodyRun:
    """A body being played; it begins in |0..0>, or as the shot before has left the qubits."""

    def __init__(
        self,
        script: Script,
        outcomes: Outcomes,
        *,
        t1: Sequence[float],
        t2: Sequence[float],
        zz: Mapping[Bond, float],
        rng: np.random.Generator,
        detuning: Sequence[float] | None = None,
        among: Iterable[int] = (),
        begin: Beginning | None = None,
    ) -> None:
        """Prepare a body.

        Args:
            script: what happens.
            outcomes: to which what is found is added, and by which choices are made.
            t1: relaxation time of every qubit of the chip, ns.
            t2: coherence time of every qubit of the chip, ns.
            zz: of the chip's coupled pairs, GHz.
            rng: for what the readouts find.
            detuning: f01 of every qubit beyond its usual one, GHz; None for 0.
            among: qubits that may not be in 0 though the body does nothing to them.
            begin: how the shots begin; None for |0..0>.
        """
        self.reading: Reading | None = None
        """What the last readouts find; None before the body was played, and where chance has a say before them."""
        self._is_sure = begin is None and not (script.choices or script.endings)
        self._script = script
        self._outcomes = outcomes
        moments = (*script.events, *script.choices)
        self._moved = sorted({*among, *(qubit for moment in moments for qubit in moves(moment))})
        self._register = Register(self._moved, t1=t1, t2=t2, detuning=detuning, zz=zz)
        self._bonds = tuple(zz)
        self._t1 = t1
        self._rng = rng
        self._branch = np.zeros(outcomes.shots, dtype=np.int64)
        if begin is not None:
            self._branch = begin.state
            self._register.take_over(begin.left)
        self._waiting: list[Probe] = []
        self._found: list[Found] = []
        """By each readout that waited."""
        self._falls: dict[tuple[int, int], Found] = {}
        self.points: dict[int, NDArray[np.complex128]] = {}
        """Of the windows for which somebody waits, by their numbers."""

    def play(self, listen: Listen, pulses: Callable[[Choice, Sequence[int]], Sequence[Pulse]], go_on: GoOn) -> Falls:
        """Play the body; gives what the readouts found.

        Args:
            listen: gives the points of a window.
            pulses: gives what a choice does while some of its conditions hold, sorted by start.
            go_on: called before everything that happens.
        """
        go_on()
        self._evolve(listen, pulses, go_on)
        if not self._waiting:
            return self._falls
        reading = Reading.of(self._waiting, self._register.joint([probe.qubit for probe in self._waiting]))
        self.reading = reading if self._is_sure else None
        self._found = reading.draw(self._branch, self._t1, self._rng)
        for found in self._found:
            self._falls |= found.by_tone
        return self._falls

    def _evolve(self, listen: Listen, pulses: Callable[[Choice, Sequence[int]], Sequence[Pulse]], go_on: GoOn) -> None:
        moments: list[Moment] = [*self._script.events, *self._script.choices, *self._script.endings]
        moments.sort(key=lambda moment: moment.start)
        last = {qubit: i for i, moment in enumerate(moments) for qubit in _touches(moment)}
        watched = self._watched_until(moments)
        queue: list[tuple[float, int, Moment, Mask | None]] = [
            (moment.start, number, moment, None) for number, moment in enumerate(moments)
        ]
        added = len(queue)
        while queue:
            go_on()
            _, number, moment, taken = heapq.heappop(queue)
            match moment:
                case Probe():
                    is_last = last[moment.qubit] == number and watched.get(moment.qubit, 0.0) <= moment.end
                    self._probe(moment, final=is_last and not self._is_awaited(moment))
                case Ending():
                    self.points[moment.window] = listen(moment.window, self._falls)
                    self._outcomes.record(moment.row, self.points[moment.window])
                case Choice():
                    for chosen, mask in self._decided(moment, pulses):
                        heapq.heappush(queue, (chosen.start, added, chosen, mask))
                        added += 1
                case _:
                    self._pulse(moment, taken)

    def leave(self, period: float, turns: Mapping[int, float]) -> Beginning:
        """Say how the shots that come next begin; arguments as for `Register.later`."""
        shape = (len(self._found), len(self._branch))
        found = np.array([each.level for each in self._found], dtype=np.int64).reshape(shape)
        left = np.array([each.left for each in self._found], dtype=np.int64).reshape(shape)
        ends = {probe.qubit: float(probe.end) for probe in self._waiting}
        over = max((float(moment.end) for moment in (*self._script.events, *self._script.choices)), default=0.0)
        states, state = self._register.leave(ends, self._branch, found=found, left=left, time=over)
        return Beginning(left=self._register.later(states, period, turns), state=state)

    def _watched_until(self, moments: Sequence[Moment]) -> dict[int, float]:
        """Say when a neighbour of each qubit, which by ZZ shows what the qubit does, is turned for the last time."""
        turned: dict[int, float] = {}
        for moment in moments:
            if isinstance(moment, Choice) or (isinstance(moment, Turn) and moment.mixes):
                turned.update(dict.fromkeys(_touches(moment), moment.start))
        watched: dict[int, float] = {}
        for a, b in self._bonds:
            watched[a] = max(watched.get(a, 0.0), turned.get(b, 0.0))
            watched[b] = max(watched.get(b, 0.0), turned.get(a, 0.0))
        return watched

    def _pulse(self, pulse: Pulse, taken: Mask | None) -> None:
        on = None
        if taken is not None:
            self._branch, on = self._register.separate(self._branch, taken)
        match pulse:
            case Turn():
                self._register.apply(
                    pulse.qubit, pulse.single, start=pulse.start, end=pulse.end, on=on, mixes=pulse.mixes
                )
            case Exchange():
                self._register.apply_pair(
                    pulse.pulsed, pulse.partner, pulse.pair, begin=pulse.begin, end=pulse.end, on=on
                )
            case _:
                assert_never(pulse)

    def _decided(
        self, choice: Choice, pulses: Callable[[Choice, Sequence[int]], Sequence[Pulse]]
    ) -> list[tuple[Pulse, Mask]]:
        """Give what a choice does in which shots, for every pattern of its conditions that occurs."""
        if not self._outcomes.are_known(choice.conditions):
            raise EmulatorError(
                f"a pulse at {choice.start} ns touches or overlaps one that depends on an acquisition which ends later"
            )
        held = np.stack([self._outcomes.mask(condition) for condition in choice.conditions])
        patterns, shot = np.unique(held, axis=1, return_inverse=True)
        return [
            (pulse, shot.reshape(-1) == number)
            for number, pattern in enumerate(patterns.T)
            for pulse in pulses(choice, np.array(choice.conditions)[pattern].tolist())
        ]

    def _is_awaited(self, probe: Probe) -> bool:
        """Whether somebody may want to know what a readout finds, or it overlaps a pulse that may be played."""
        listening = any(ending.start > probe.start for ending in self._script.endings)
        overlaps = any(choice.end > probe.start and probe.qubit in choice.touched for choice in self._script.choices)
        return listening or overlaps or probe.condition != EVERY_SHOT

    def _probe(self, probe: Probe, *, final: bool) -> None:
        if probe.qubit not in self._moved:
            return  # it is in 0 in every shot
        if final:
            self._register.freeze(probe.qubit, time=probe.start)
            self._waiting.append(probe)
            return
        self._is_sure = False
        self._register.hold(probe.qubit, time=probe.start)
        taken = self._outcomes.mask(probe.condition)
        (found,) = Reading.of([probe], self._register.joint([probe.qubit])).draw(self._branch, self._t1, self._rng)
        self._falls |= found.by_tone
        self._branch = self._register.collapse(
            probe.qubit,
            self._branch,
            found=found.level,
            left=found.left,
            taken=taken,
            start=probe.start,
            end=probe.end,
        )


def moves(moment: Event | Choice) -> tuple[int, ...]:
    """Give the qubits that something may take out of 0."""
    return () if isinstance(moment, Probe) else _touches(moment)


def _touches(moment: Moment) -> tuple[int, ...]:
    match moment:
        case Exchange():
            return (moment.pulsed, moment.partner)
        case Choice():
            return moment.touched
        case Ending():
            return ()
        case _:
            return (moment.qubit,)
