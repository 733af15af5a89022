"""Runs in which outcomes decide when things happen, one iteration of the shot loop after another.

An iteration is laid out as if no acquisition sent a trigger that is not known to send one, and played with the random
numbers that belong to it. The first acquisition that finds otherwise is noted, and the iteration is laid out anew and
played with the same random numbers: all before that acquisition comes out the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.branches import openings
from qubitd.emulator.cluster.course import course
from qubitd.emulator.cluster.iterations import Section, whole
from qubitd.emulator.cluster.layout import Part, full_part
from qubitd.emulator.cluster.outputs import Rows, joined, rows_of
from qubitd.emulator.cluster.player import Performance, Player
from qubitd.emulator.cluster.pool import WaveformPool
from qubitd.emulator.cluster.recording import Intake, record
from qubitd.emulator.cluster.tables import table_of
from qubitd.emulator.cluster.triggers import Source, conflicts
from qubitd.emulator.cluster.walk import Walk
from qubitd.emulator.cluster.windows import Windows, joined_windows, windows_of
from qubitd.emulator.digitiser import Digitiser
from qubitd.emulator.errors import EmulatorError, SlowRunError
from qubitd.emulator.events import EventTable
from qubitd.emulator.outcomes import Decide
from qubitd.emulator.patience import MOST_SECONDS, GoOn
from qubitd.emulator.q1.flags import Flag
from qubitd.emulator.q1.issue import first_late
from qubitd.emulator.q1.shotloop import Run

_FEW = 20
"""Shots whose pace says nothing yet, unless they are slow: then a few of them tell that there is no hope."""
_SLOW = 10.0
"""Seconds."""
_HOPELESS = 2 * MOST_SECONDS
"""Seconds that all would take."""


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A run that was played."""

    parts: list[Part]
    performances: list[Performance]
    section: Section
    """All of it."""
    tables: list[EventTable]


class Pace:
    """How long the shots of a run take."""

    def __init__(self, shots: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; the clock gives seconds."""
        self._shots = shots
        self._clock = clock
        self._began = self._warm = clock()

    def watch(self, done: int) -> None:
        """Say how many shots are done, after each; the first does not count for the pace, as much is new to it.

        Raises:
            SlowRunError: all together take longer than `MOST_SECONDS`.
        """
        now = self._clock()
        if done == 1:
            self._warm = now
        seconds = now - self._began
        needed = seconds + (now - self._warm) / max(1, done - 1) * (self._shots - done)
        is_hopeless = done > 2 and seconds > _SLOW and needed > _HOPELESS
        if seconds > MOST_SECONDS or is_hopeless or (done > _FEW and needed > MOST_SECONDS):
            raise SlowRunError(shots=self._shots, done=done, seconds=seconds, needed=needed, most_seconds=MOST_SECONDS)

    def go_on(self, done: int, go_on: GoOn) -> GoOn:
        """Give what is called within the shot that comes after some: it ends a run that takes too long with this one.

        Raises:
            SlowRunError: when it is called, as `watch`.
        """

        def check() -> None:
            go_on()
            seconds = self._clock() - self._began
            if seconds > MOST_SECONDS:
                needed = seconds * self._shots / (done + 1)
                raise SlowRunError(
                    shots=self._shots, done=done, seconds=seconds, needed=needed, most_seconds=MOST_SECONDS
                )

        return check


class _DivergedError(EmulatorError):
    """An acquisition sends a trigger that it was not expected to send."""


def play_stepwise(
    players: Sequence[Player],
    runs: Sequence[Run],
    digitiser: Digitiser,
    rng: np.random.Generator,
    held: Mapping[int, int],
    go_on: GoOn,
) -> Played:
    """Play a run; `go_on` is called whenever something is played.

    Raises:
        SlowRunError: it takes longer than `MOST_SECONDS`.
    """
    parts: list[Part] = []
    for player, run in zip(players, runs, strict=True):
        go_on()
        parts.append(full_part(player, run))
    steps = _Steps(parts, digitiser, rng, held, go_on)
    iterations = _iterations(parts, runs)
    pace = Pace(len(iterations))
    for done, ends in enumerate(iterations, 1):
        steps.play(ends, pace.go_on(done - 1, go_on))
        pace.watch(done)
    return steps.finish()


def _iterations(parts: Sequence[Part], runs: Sequence[Run]) -> list[list[int]]:
    """Give the index of the instruction before which each iteration ends, for each sequencer; the last ends with the
    program."""
    last = [len(part.trace) for part in parts]
    shots = {run.shots if run.bounds else 1 for run in runs}
    if len(shots) != 1:
        return [last]
    inner = [
        [run.bounds[1] + number * (run.bounds[2] - run.bounds[1]) for run in runs] for number in range(shots.pop() - 1)
    ]
    return [*([min(pair) for pair in zip(ends, last, strict=True)] for ends in inner), last]


class _Steps:
    """A run under way."""

    def __init__(
        self,
        parts: list[Part],
        digitiser: Digitiser,
        rng: np.random.Generator,
        held: Mapping[int, int],
        go_on: GoOn,
    ) -> None:
        self._parts = parts
        self._digitiser = digitiser
        self._rng = rng
        self._held = held
        self._pool = WaveformPool()
        self._walk = Walk([course(part.player, part.trace, go_on) for part in parts], certain=False)
        self._bits: dict[Source, bool] = {}
        """Whether acquisitions that have been played sent their triggers."""
        self._begin = [0] * len(parts)
        """Where the iteration begins on each sequencer, ns."""
        self._tables: list[EventTable] = []

    def play(self, ends: Sequence[int], go_on: GoOn) -> None:
        """Play up to an instruction of each sequencer."""
        go_on()
        while not self._try(ends, go_on):
            go_on()

    def finish(self) -> Played:
        """Give the whole run."""
        for part, path in zip(self._parts, self._walk.paths(), strict=True):
            part.trace, part.timeline, part.ends = path.trace, path.timeline, part.ends and path.ends
            if first_late(part.trace, part.timeline) < len(part.trace):
                part.flags.add(Flag.RT_UNDERFLOW)
        self._flag_conflicts()
        performances = [part.perform() for part in self._parts]
        rows, windows = self._layout(performances, [0] * len(performances))
        end = max(part.timeline.end for part in self._parts)
        return Played(self._parts, performances, whole(rows, windows, end), self._tables)

    def _try(self, ends: Sequence[int], go_on: GoOn) -> bool:
        """Play once; False if an acquisition found something unexpected."""
        walk = self._walk.copy()
        walk.advance(self._sends, until=ends)
        paths = walk.paths(until=ends)
        parts = [Part(part.player, path.trace, path.timeline) for part, path in zip(self._parts, paths, strict=True)]
        rows, windows = self._layout([part.perform() for part in parts], self._begin)
        ends_at = [part.timeline.end for part in parts]
        section = Section(
            rows=rows,
            windows=windows,
            bin_step=np.zeros_like(windows.bin),
            begin=min(self._begin),
            duration=max(ends_at) - min(self._begin),
            shots=1,
        )
        sources = {(parts[s.source.player].player.identity, s.start): s.source for s in walk.sending}
        table = table_of([part.player for part in self._parts], self._pool, section, ())
        table = replace(table, acquisitions=replace(table.acquisitions, feeds=windows.sends == 1))
        rng = deepcopy(self._rng)
        intake = Intake.of(section, [part.player for part in self._parts])
        try:
            points = self._digitiser.run(table, rng, self._noting(section, intake, sources), go_on)
        except _DivergedError:
            return False
        record(section, intake, points, range(1), self._parts, None)
        self._rng.bit_generator.state = rng.bit_generator.state
        self._walk, self._begin = walk, ends_at
        self._tables.append(table)
        return True

    def _sends(self, source: Source) -> bool:
        return self._bits.get(source, False)

    def _noting(self, section: Section, intake: Intake, sources: Mapping[tuple[int, int], Source]) -> Decide:
        """Give the rule that compares what is found with what was expected."""
        windows = section.windows

        def note(row: int, points: NDArray[np.complex128]) -> NDArray[np.bool_]:
            sent = intake.sends_trigger(row, points)
            source = sources[int(windows.sequencer[row]), int(windows.start[row])]
            found, expected = bool(sent[0]), self._sends(source)
            if found != self._bits.setdefault(source, found):
                raise EmulatorError(f"sequencer {windows.sequencer[row]} found another bit when its shot was repeated")
            if found != expected:
                raise _DivergedError
            return sent

        return note

    def _layout(self, performances: Sequence[Performance], begin: Sequence[int]) -> tuple[Rows, Windows]:
        """Give what each sequencer plays and integrates from a time of its own on."""
        end = max(each.timeline.end for each in performances)
        opened = openings(performances, self._held)
        rows = [
            rows.take(rows.start >= first)
            for each, first in zip(performances, begin, strict=True)
            for rows in rows_of(each, self._pool, opened, end)
        ]
        windows = [
            (heard := windows_of(each, self._pool)).take(heard.start >= first)
            for each, first in zip(performances, begin, strict=True)
            if each.player.kind.is_readout
        ]
        return joined(rows), joined_windows(windows)

    def _flag_conflicts(self) -> None:
        sending = sorted(self._walk.sending, key=lambda sent: sent.end)
        end = np.array([sent.end for sent in sending], dtype=np.int64)
        met = conflicts(end, np.array([[self._sends(sent.source)] for sent in sending], dtype=np.bool_).reshape(-1, 1))
        for sent, has_met in zip(sending, met.tolist(), strict=True):
            if has_met:
                self._parts[sent.source.player].flags.add(Flag.TRIGGER_CONFLICT)
