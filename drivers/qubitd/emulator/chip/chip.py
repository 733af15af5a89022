"""The simulated chip: plays and windows of one shot loop in, IQ points of every shot out.

A table normally holds many circuits, one after another: it is cut into shot bodies that each begin in |0..0>, where
nothing happened for long enough. If that is so nowhere between two iterations of the shot loop, the next begins in the
state that the last one has left.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from operator import itemgetter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cabling import FEEDLINE, Cabling, ChipTruth
from qubitd.emulator.cache import Cache
from qubitd.emulator.chip.basis import SIZE
from qubitd.emulator.chip.body import Beginning, BodyRun, Ending, Event, Pulse, Script, moves
from qubitd.emulator.chip.choice import Choice, choices
from qubitd.emulator.chip.drive import DriveLines
from qubitd.emulator.chip.feedline import FeedlineModel, Heard
from qubitd.emulator.chip.flux import FluxLines
from qubitd.emulator.chip.frequency_noise import FrequencyNoise
from qubitd.emulator.chip.intervals import chains
from qubitd.emulator.chip.lines import Arrivals, Signals, Windows, arrive, oscillators_of
from qubitd.emulator.chip.probe import Falls
from qubitd.emulator.chip.reading import Reading
from qubitd.emulator.chip.register import Left
from qubitd.emulator.chip.shot_chain import ShotChain, Shots
from qubitd.emulator.chip.static_zz import static_zz
from qubitd.emulator.errors import EmulatorError
from qubitd.emulator.events import EVERY_SHOT, Acquisitions, EventTable, Waveform
from qubitd.emulator.outcomes import Decide, Outcomes, needs_no_decision
from qubitd.emulator.patience import GoOn, nothing

MOST_NUMBERS = 1 << 24
"""Of all branches together, where a shot may become a branch of its own: 128 MiB."""
_END = np.iinfo(np.int64).max
_HELD = 8
"""Tables whose script is remembered."""
_MOST_HELD = 5_000
"""Plays and windows of such a table."""
Started = TypeVar("Started", Event, Choice)


class Chip:
    """A chip at the end of a rack's cables. It keeps what it computed, but no state from one table to the next: each
    begins in |0..0>.
    """

    def __init__(self, cabling: Cabling) -> None:
        """Build the chip that a cabling file describes."""
        self.cabling = cabling
        self.flux_lines = FluxLines(cabling.chip)
        self.drive_lines = DriveLines(cabling.chip)
        self.feedline = FeedlineModel(cabling.chip)
        self.t1 = [qubit.t1 * 1e9 for qubit in cabling.chip.qubits]
        """ns, by qubit."""
        self.t2 = [qubit.t2 * 1e9 for qubit in cabling.chip.qubits]
        """ns, by qubit."""
        self.zz = static_zz(cabling.chip)
        """GHz, by coupled pair."""
        self._noise = FrequencyNoise(cabling.chip.qubits)
        self._scripts: Cache[Hashable, TableScript] = Cache(_HELD)

    @property
    def truth(self) -> ChipTruth:
        """What the chip is."""
        return self.cabling.chip

    @property
    def time_of_flight(self) -> int:
        """From the readout output over the feedline to the digitiser, ns."""
        return sum(cable.delay for cable in self.cabling.cables if cable.line == FEEDLINE)

    def run(
        self,
        table: EventTable,
        rng: np.random.Generator,
        decide: Decide = needs_no_decision,
        go_on: GoOn = nothing,
    ) -> NDArray[np.complex128]:
        """Play a table; `go_on` is called every few ms.

        Returns:
            Mean over each integration window, shape (acquisitions, shots), fraction of ADC full scale.

        Raises:
            InvalidTableError: the table breaks its contract.
            SlowShotsError: shots without a reset between them take too long.
        """
        played = _Played(self, self._script(table, go_on), rng, go_on)
        at_once = table.shots
        if table.conditions:  # each shot may become a branch of its own
            at_once = max(1, MOST_NUMBERS // SIZE ** len(self.truth.qubits))
        at_once = min(at_once, self._noise.alike(table.shots))
        groups = [min(at_once, table.shots - first) for first in range(0, table.shots, at_once)]
        detunings = self._noise.drawn(len(groups), rng)
        chain = ShotChain(table.shots) if played.follows else None
        parts = [
            played.points(Outcomes(table, decide, shots=shots), detuning)
            if chain is None
            else chain.run(partial(played.following, table, decide, detuning), shots, at_once=at_once)
            for shots, detuning in zip(groups, detunings, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def trace(self, table: EventTable, row: int, length: int, rng: np.random.Generator) -> NDArray[np.complex128]:
        """Play a table without conditions and record the digitiser's input from the start of one window on, mean over
        shots, each of which begins in |0..0>.

        Raises:
            InvalidTableError: the table breaks its contract.
        """
        window = arrive(_listening(table, row, length), self.cabling).windows
        outcomes = Outcomes(table, needs_no_decision, shots=table.shots)
        return _Played(self, self._script(table, nothing), rng, nothing).trace(window, outcomes)

    def _script(self, table: EventTable, go_on: GoOn) -> TableScript:
        parts = (table.plays, table.acquisitions, table.conditions, table.outputs, table.inputs, table.waveforms)
        key = (table.duration, *map(id, parts))  # of what the script itself keeps, so that they stay its own
        is_kept = len(table.plays.start) + len(table.acquisitions.start) <= _MOST_HELD
        return self._scripts.get(
            key,
            lambda: _script_of(self, table, go_on, is_remembered=is_kept),
            is_kept=lambda script: script.is_remembered,
        )

    def events(self, table: EventTable) -> list[Event]:
        """Find what a table without conditions does to the qubits, sorted by start."""
        return self.events_of(arrive(table, self.cabling))

    def events_of(self, arrivals: Arrivals, go_on: GoOn = nothing) -> list[Event]:
        """Find what arrives does to the qubits, sorted by start; conditions are left aside."""
        pulses = self.pulses(arrivals.drives, arrivals.fluxes, arrivals.waveforms, go_on)
        return sorted([*pulses, *self.feedline.probes(arrivals.tones)], key=lambda event: event.start)

    def pulses(
        self, drives: Signals, fluxes: Signals, waveforms: tuple[Waveform, ...], go_on: GoOn = nothing
    ) -> list[Pulse]:
        """Find what plays on drive and flux lines do together, sorted by start."""
        shifts = self.flux_lines.pulses(fluxes, waveforms)
        pulses: list[Pulse] = [
            *self.drive_lines.turns(drives, waveforms, shifts, go_on),
            *self.flux_lines.exchanges(shifts),
        ]
        return sorted(pulses, key=lambda pulse: pulse.start)


@dataclass(slots=True, kw_only=True, eq=False)
class Body:
    """What is the same in every run of a body."""

    row: NDArray[np.int64]
    """Of each window, in the table's acquisitions."""
    heard: tuple[Heard, ...]
    """By each window."""
    endings: list[Ending]
    later: list[int]
    """Windows for whose points nobody waits."""
    is_all: bool
    """Whether its windows are all of the table's, in their order."""
    reading: Reading | None = None
    """Once it was played from |0..0> with the qubits' usual frequencies."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableScript:
    """What a table does to the chip, by shot body, whatever is found on the way."""

    table: EventTable
    """Or another one of the same parts."""
    arrivals: Arrivals
    spans: list[tuple[int, int]]
    """ns, of the bodies: start of each, and of what comes after it."""
    events: list[list[Event]]
    choices: list[list[Choice]]
    period: int
    """ns from one iteration to the next."""
    turns: dict[int, float]
    """Of each qubit's phase against its drive's oscillator in a period."""
    is_remembered: bool
    """Whether it is kept for the next time."""
    follows: bool
    """Whether an iteration begins before the qubits have forgotten the last one."""
    bodies: dict[int, Body] = field(default_factory=dict[int, Body])
    """By number; those that were played, if it is remembered."""

    def body(self, number: int, find: Callable[[], Body]) -> Body:
        """Give what is the same in every run of a body, as it was found before if it is remembered."""
        body = self.bodies.get(number)
        if body is None:
            body = find()
            if self.is_remembered:
                self.bodies[number] = body
        return body

    @property
    def moved(self) -> set[int]:
        """Give the qubits that leave 0."""
        moments: list[Event | Choice] = []
        for events in self.events:
            moments += events
        for pending in self.choices:
            moments += pending
        return {qubit for moment in moments for qubit in moves(moment)}


def _script_of(chip: Chip, table: EventTable, go_on: GoOn, *, is_remembered: bool) -> TableScript:
    go_on()
    arrivals = arrive(table, chip.cabling)
    go_on()
    pairs = [(pair.pulsed, pair.partner) for pair in chip.truth.pairs]
    found, drives, fluxes = choices(arrivals.drives, arrivals.fluxes, pairs)
    sure = replace(arrivals, drives=arrivals.drives.take(drives), fluxes=arrivals.fluxes.take(fluxes))
    starts = body_starts(arrivals, passive_reset=chip.truth.passive_reset)
    go_on()
    return TableScript(
        table=table,
        arrivals=arrivals,
        spans=list(pairwise([*starts.tolist(), _END])),
        events=_distribute(chip.events_of(sure, go_on), starts),
        choices=_distribute(sorted(found, key=lambda choice: choice.start), starts),
        period=table.duration,
        turns=_turns(table, chip.cabling),
        is_remembered=is_remembered,
        follows=_idle_time(arrivals, table.duration) < chip.truth.passive_reset,
    )


def _idle_time(arrivals: Arrivals, period: int) -> int:
    """Give the ns from the end of all that happens in an iteration to the beginning of the next."""
    kinds = [kind for kind in (arrivals.drives, arrivals.fluxes, arrivals.tones, arrivals.windows) if len(kind.start)]
    first = min((int(kind.start.min()) for kind in kinds), default=0)
    return period + first - max((int(kind.end.max()) for kind in kinds), default=first)


def _turns(table: EventTable, cabling: Cabling) -> dict[int, float]:
    """By how much each qubit's drive, whose oscillator goes on while its NCO begins anew, is ahead of the qubit after a
    period; what is not driven is in no frame.
    """
    oscillators = oscillators_of(table, cabling)
    return {
        i: (oscillators.get(i, 0.0) - qubit.frequency * 1e-9) * table.duration % 1.0
        for i, qubit in enumerate(cabling.chip.qubits)
    }


class _Played:
    """A table on its way through the chip."""

    def __init__(self, chip: Chip, script: TableScript, rng: np.random.Generator, go_on: GoOn) -> None:
        self._chip = chip
        self._arrivals = script.arrivals
        self._rng = rng
        self._go_on = go_on
        self._events = script.events
        self._choices = script.choices
        self._script = script

    @property
    def follows(self) -> bool:
        """Whether each shot begins with what the one before has left."""
        return self._script.follows and bool(self._script.moved)

    def points(self, outcomes: Outcomes, detuning: Sequence[float] | None) -> NDArray[np.complex128]:
        """Give the points of some shots in which the qubits' frequencies are alike, shape (acquisitions, shots)."""
        return self._iteration(outcomes, detuning, None)[0]

    def following(
        self,
        table: EventTable,
        decide: Decide,
        detuning: Sequence[float] | None,
        left: Left | None,
        state: NDArray[np.int64],
    ) -> Shots:
        """Play shots that begin in given states; as `shot_chain.Play`."""
        begin = None if left is None else Beginning(left=left, state=state)
        points, run = self._iteration(Outcomes(table, decide, shots=len(state)), detuning, begin)
        if run is None:
            raise EmulatorError("an iteration in which nothing happens is followed by another")
        ends = run.leave(self._script.period, self._script.turns)
        return Shots(points=points, left=ends.left, state=ends.state)

    def _iteration(
        self, outcomes: Outcomes, detuning: Sequence[float] | None, begin: Beginning | None
    ) -> tuple[NDArray[np.complex128], BodyRun | None]:
        """Play all bodies, the first of which begins as it is told; gives the points, and the last one, if any."""
        run: BodyRun | None = None
        points: NDArray[np.complex128] | None = None
        for number, span in enumerate(self._script.spans):
            body = self._script.body(number, partial(self._body_of, span))
            run, found = self._played(number, body, outcomes, detuning, begin if number == 0 else None)
            if body.is_all:
                return found, run
            if points is None:
                points = np.empty((len(self._arrivals.windows.start), outcomes.shots), dtype=np.complex128)
            points[body.row] = found
        return np.empty((0, outcomes.shots), dtype=np.complex128) if points is None else points, run

    def trace(self, window: Windows, outcomes: Outcomes) -> NDArray[np.complex128]:
        """Give what comes in during one window, mean over shots."""
        body = bisect_right(self._script.spans, int(window.start[0]), key=itemgetter(0)) - 1
        tones = _rows(self._arrivals.tones.start, *self._script.spans[body])
        return self._chip.feedline.trace(
            self._arrivals.tones.take(tones),
            window,
            self._arrivals.waveforms,
            first_tone=tones.start,
            falls=BodyRun(
                Script(events=self._events[body]),
                outcomes,
                t1=self._chip.t1,
                t2=self._chip.t2,
                zz=self._chip.zz,
                rng=self._rng,
            ).play(_nobody_listens, self._pulses, self._go_on),
            shots=outcomes.shots,
            rng=self._rng,
        )

    def _body_of(self, span: tuple[int, int]) -> Body:
        start, end = span
        arrivals = self._arrivals
        rows = _rows(arrivals.tones.start, start, end)
        windows = arrivals.windows.take(_rows(arrivals.windows.start, start, end))
        tones = arrivals.tones.take(rows)
        return Body(
            row=windows.row,
            heard=self._chip.feedline.heard(tones, windows, arrivals.waveforms, first_tone=rows.start),
            endings=_endings(windows),
            later=np.flatnonzero(~windows.feeds).tolist(),
            is_all=len(self._script.spans) == 1 and np.array_equal(windows.row, np.arange(len(arrivals.windows.start))),
        )

    def _played(
        self,
        number: int,
        body: Body,
        outcomes: Outcomes,
        detuning: Sequence[float] | None,
        begin: Beginning | None,
    ) -> tuple[BodyRun | None, NDArray[np.complex128]]:
        """Play a body; gives no run where what its readouts find was known."""
        chip, script = self._chip, self._script

        def points(chosen: Sequence[int], falls: Falls) -> NDArray[np.complex128]:
            return chip.feedline.points([body.heard[i] for i in chosen], falls=falls, outcomes=outcomes, rng=self._rng)

        is_usual = detuning is None and not script.follows
        if is_usual and body.reading is not None:
            self._go_on()
            drawn = body.reading.draw(np.zeros(outcomes.shots, dtype=np.int64), chip.t1, self._rng)
            return None, points(body.later, {key: found for found in drawn for key in found.by_tone})
        run = BodyRun(
            Script(events=self._events[number], choices=self._choices[number], endings=body.endings),
            outcomes,
            t1=chip.t1,
            t2=chip.t2,
            zz=chip.zz,
            rng=self._rng,
            detuning=detuning,
            among=script.moved if script.follows else (),
            begin=begin,
        )
        falls = run.play(lambda window, falls: points([window], falls)[0], self._pulses, self._go_on)
        if is_usual:
            body.reading = run.reading
        found = np.empty((len(body.heard), outcomes.shots), dtype=np.complex128)
        found[body.later] = points(body.later, falls)
        for window, known in run.points.items():
            found[window] = known
        return run, found

    def _pulses(self, choice: Choice, holding: Sequence[int]) -> list[Pulse]:
        return self._chip.pulses(*choice.played(holding), self._arrivals.waveforms)


def _listening(table: EventTable, row: int, length: int) -> EventTable:
    """The table with nothing but one window, at the place of another, that neither weighs nor demodulates."""
    rows = table.acquisitions
    scope = Acquisitions(
        start=rows.start[[row]],
        length=np.array([length]),
        port=rows.port[[row]],
        sequencer=rows.sequencer[[row]],
        weight=np.array([-1], dtype=np.int32),
        frequency=np.zeros(1),
        phase=np.zeros(1),
        condition=np.full(1, EVERY_SHOT, dtype=np.int32),
        feeds=np.zeros(1, dtype=np.bool_),
    )
    return replace(table, acquisitions=scope)


def _nobody_listens(window: int, falls: Falls) -> NDArray[np.complex128]:
    """Stand in where no window feeds a condition."""
    raise EmulatorError(f"window {window} was waited for, with {len(falls)} tones read, in a table without conditions")


def _endings(windows: Windows) -> list[Ending]:
    return [
        Ending(start=int(windows.end[i]), window=i, row=int(windows.row[i]))
        for i in np.flatnonzero(windows.feeds).tolist()
    ]


def body_starts(arrivals: Arrivals, *, passive_reset: int) -> NDArray[np.int64]:
    """Find the starts of shot bodies, ns: after a window, nothing happens on any line for a passive reset."""
    kinds = (arrivals.drives, arrivals.fluxes, arrivals.tones, arrivals.windows)
    start = np.concatenate([kind.start for kind in kinds])
    end = np.concatenate([kind.end for kind in kinds])
    window = np.concatenate([np.full(len(kind.start), kind is arrivals.windows) for kind in kinds])
    order = np.argsort(start, kind="stable")
    labels = chains(start[order], end[order], gap=passive_reset, full=window[order])
    return start[order][np.flatnonzero(np.diff(labels, prepend=-1))]


def _distribute(events: Sequence[Started], starts: NDArray[np.int64]) -> list[list[Started]]:
    bodies: list[list[Started]] = [[] for _ in starts]
    of = np.searchsorted(starts, [event.start for event in events], side="right") - 1
    for event, body in zip(events, of.tolist(), strict=True):
        bodies[body].append(event)
    return bodies


def _rows(start: NDArray[np.int64], begin: int, end: int) -> slice:
    """Give the rows, sorted by start, that begin within a body."""
    first, last = np.searchsorted(start, [begin, end]).tolist()
    return slice(first, last)
