"""Plays what started sequencers hold: event tables go to the digitiser, its points into the bins, and what went wrong
becomes flags.

What is started again unchanged is not laid out again.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cache import Cache, Key
from qubitd.emulator.cluster.branches import RunCondition, branches, openings
from qubitd.emulator.cluster.course import course
from qubitd.emulator.cluster.ensemble import Ensemble, explore
from qubitd.emulator.cluster.iterations import Cut, Section, common_period, sections, whole
from qubitd.emulator.cluster.layout import Part, in_full, in_short, is_steady, may_be_laid_out
from qubitd.emulator.cluster.outputs import Rows, joined, rows_of
from qubitd.emulator.cluster.overflow import overflowing
from qubitd.emulator.cluster.player import Performance, Player
from qubitd.emulator.cluster.pool import WaveformPool
from qubitd.emulator.cluster.recording import Intake, flag_slow_binning, record, taken
from qubitd.emulator.cluster.stepwise import play_stepwise
from qubitd.emulator.cluster.tables import table_of
from qubitd.emulator.cluster.walk import Uncertain
from qubitd.emulator.cluster.windows import Windows, joined_windows, missing_acquisition, missing_weights, windows_of
from qubitd.emulator.digitiser import Digitiser
from qubitd.emulator.events import EventTable
from qubitd.emulator.outcomes import Decide
from qubitd.emulator.patience import GoOn, nothing
from qubitd.emulator.q1.core import Code
from qubitd.emulator.q1.flags import Flag
from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.shotloop import Run, run
from qubitd.emulator.q1.stretches import invalid_plays

log = logging.getLogger(__name__)

_POINTS_AT_ONCE = 1 << 19
"""Points that the digitiser is asked for at a time, to bound memory."""
_POINTS_RECORDED = 1 << 16
"""Points that are put into bins at a time: other threads wait meanwhile."""
_FEEDS_BACK = np.zeros(256, dtype=np.bool_)
_FEEDS_BACK[[Op.SET_COND, Op.SET_LATCH_EN, Op.LATCH_RST, Op.WAIT_TRIGGER]] = True
_REMEMBERED = 8
"""Runs that need not be laid out when they are started again."""
_MOST_REMEMBERED = 20_000
"""Instructions that were executed in what is remembered, all sequencers together."""
_RUNS = 64
"""Programs that need not be executed again."""
QUICK = 0.01
"""Seconds of a processor after which a run no longer counts as quick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a sequencer came out of a run."""

    slot: int
    number: int
    flags: frozenset[Flag]
    ends: bool
    """False: it runs until it is stopped."""
    marker: int
    """Left on its marker outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run did."""

    tables: tuple[EventTable, ...]
    """In order; nothing was played in between."""
    duration: int
    """ns of instrument time."""
    endings: tuple[Ending, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A run laid out, before anything is played."""

    parts: list[Part]
    performances: list[Performance]
    """Of the parts, in the same order."""
    sections: list[Section]
    """In order of time."""
    pool: WaveformPool
    duration: int
    """ns."""
    conditions: tuple[RunCondition, ...] = ()
    """That rows and windows of the sections have."""
    others: tuple[Performance, ...] = ()
    """What could have been performed instead, had acquisitions found something else."""


@dataclass(slots=True, kw_only=True, eq=False)
class Sheet:
    """A run laid out, with all that is the same however often it is played."""

    parts: list[Part]
    """Their players without acquisitions, which belong to whoever plays."""
    tables: tuple[EventTable, ...]
    """Of the sections in which something is played or acquired, in order."""
    acquiring: list[tuple[Section, EventTable, Intake]]
    """Those of them in which something is acquired, and what is made of their points."""
    endings: list[Ending]
    """By part, as far as they do not depend on what is acquired."""
    takers: list[int]
    """Positions of the parts that acquire."""
    duration: int
    """ns."""
    took: float = math.inf
    """Seconds of a processor for which it was played last."""


def content_of(players: Sequence[Key], held_markers: Mapping[int, int]) -> Key:
    """Give all that decides what a run plays and when it acquires.

    Args:
        players: what each of the sequencers that were started together holds.
        held_markers: for each slot the marker bits that sequencers outside this run hold.
    """
    return Key((tuple(players), tuple(sorted(held_markers.items()))))


class Performer:
    """Plays runs on one rack, and remembers how the last ones were laid out."""

    def __init__(self, digitiser: Digitiser) -> None:
        """Prepare for what the connectors lead to."""
        self._digitiser = digitiser
        self._runs: Cache[Code, Run] = Cache(_RUNS)
        self._sheets: Cache[Key, Sheet | None] = Cache(_REMEMBERED)

    def is_quick(self, content: Key) -> bool:
        """Whether a run with this content was played lately, and within `QUICK`."""
        sheet = self._sheets.find(content)
        return sheet is not None and sheet.took <= QUICK

    def perform(
        self,
        players: Sequence[Player],
        rng: np.random.Generator,
        *,
        content: Key,
        held_markers: Mapping[int, int],
        go_on: GoOn = nothing,
    ) -> Outcome:
        """Run sequencers that were started together, from their start to their end.

        Args:
            players: the sequencers.
            rng: for the digitiser's noise.
            content: what `content_of` gives of them.
            held_markers: for each slot the marker bits that sequencers outside this run hold.
            go_on: called now and then; raises what ends the run if nobody waits for it any more.
        """
        go_on()
        runs: list[Run] = []

        def lay_out() -> Sheet | None:
            runs.extend(self._executed(players, go_on))
            return laid_out(players, runs, held_markers, go_on)

        sheet = self._sheets.get(content, lay_out, is_kept=_is_small)
        if sheet is None:
            runs = runs or self._executed(players, go_on)
            return perform_stepwise(players, runs, self._digitiser, rng, held_markers, go_on)
        began = time.thread_time()
        outcome = play(sheet, players, self._digitiser, rng, go_on)
        sheet.took = time.thread_time() - began
        return outcome

    def _executed(self, players: Sequence[Player], go_on: GoOn) -> list[Run]:
        runs: list[Run] = []
        for each in players:
            runs.append(self._runs.get(each.code, partial(run, each.code), is_kept=_is_short))
            go_on()
        return runs

    def forget(self) -> None:
        """Lay everything out anew from now on."""
        self._sheets.clear()


def _is_short(executed: Run) -> bool:
    return len(executed.trace) <= _MOST_REMEMBERED


def _is_small(sheet: Sheet | None) -> bool:
    return sheet is None or sum(len(part.trace) for part in sheet.parts) <= _MOST_REMEMBERED


def laid_out(
    players: Sequence[Player], runs: Sequence[Run], held: Mapping[int, int], go_on: GoOn = nothing
) -> Sheet | None:
    """Lay out a run; None if outcomes decide when things happen in it."""
    if any(map(uses_triggers, players, runs)):
        score = score_with_conditions(players, runs, held, go_on)
    else:
        score = score_in_short(players, runs, held, go_on) or score_in_full(players, runs, held, go_on)
    return None if score is None else sheet_of(score, go_on)


def sheet_of(score: Score, go_on: GoOn = nothing) -> Sheet:
    """Work out what is the same however often a run is played."""
    players = [part.player for part in score.parts]
    found: list[tuple[Section, EventTable]] = []
    for section in score.sections:
        go_on()
        found.append((section, table_of(players, score.pool, section, score.conditions)))
        go_on()
        _flag_overflow(found[-1][1], score.parts)
    flag_slow_binning(score.sections, score.parts)
    for part in score.parts:
        for performance in (*score.performances, *score.others):
            go_on()
            if performance.player is part.player:
                part.flags |= _faults(performance)
    acquiring = {identity for section in score.sections for identity in section.windows.sequencer.tolist()}
    return Sheet(
        parts=[replace(part, player=part.player._replace(acquisitions={})) for part in score.parts],
        tables=tuple(table for section, table in found if len(section.rows.start) or len(section.windows.start)),
        acquiring=[
            (section, table, Intake.of(section, players)) for section, table in found if len(section.windows.start)
        ],
        endings=list(map(_ending, score.parts, map(_left_marker, score.performances))),
        takers=[i for i, part in enumerate(score.parts) if part.player.identity in acquiring],
        duration=score.duration,
    )


def perform_stepwise(
    players: Sequence[Player],
    runs: Sequence[Run],
    digitiser: Digitiser,
    rng: np.random.Generator,
    held: Mapping[int, int],
    go_on: GoOn,
) -> Outcome:
    """Run sequencers shot by shot: for runs in which outcomes decide when things happen."""
    played = play_stepwise(players, runs, digitiser, rng, held, go_on)
    for table in played.tables:
        _flag_overflow(table, played.parts)
    flag_slow_binning([played.section], played.parts)
    for part, performance in zip(played.parts, played.performances, strict=True):
        part.flags |= _faults(performance)
    endings = tuple(map(_ending, played.parts, map(_left_marker, played.performances)))
    return Outcome(tables=tuple(played.tables), duration=played.section.duration, endings=endings)


def uses_triggers(player: Player, run: Run) -> bool:
    """Whether a sequencer sends triggers or may depend on them."""
    return player.configuration.trigger is not None or bool(_FEEDS_BACK[run.trace.op].any())


def play(
    sheet: Sheet,
    players: Sequence[Player],
    digitiser: Digitiser,
    rng: np.random.Generator,
    go_on: GoOn = nothing,
) -> Outcome:
    """Hand a run to the digitiser, section by section, and record what it gives for players of the same content."""
    endings = list(sheet.endings)
    parts = [replace(sheet.parts[i], player=players[i], flags=set(endings[i].flags)) for i in sheet.takers]
    for section, table, intake in sheet.acquiring:
        for shots, points in _points(table, digitiser, rng, intake.sends_trigger, go_on):
            takes_place = taken(table, section, intake, points, parts)
            for some in _slices(len(shots), _POINTS_RECORDED // len(points)):
                go_on()
                there = None if takes_place is None else takes_place[:, some]
                record(section, intake, points[:, some], shots[some], parts, there)
    log.debug("run played", extra={"duration_ns": sheet.duration, "tables": len(sheet.tables)})
    for i, part in zip(sheet.takers, parts, strict=True):
        endings[i] = _ending(part, endings[i].marker)
    return Outcome(tables=sheet.tables, duration=sheet.duration, endings=tuple(endings))


def _left_marker(performance: Performance) -> int:
    return int(performance.latches.marker[-1])


def _ending(part: Part, marker: int) -> Ending:
    player = part.player
    return Ending(slot=player.slot, number=player.number, flags=frozenset(part.flags), ends=part.ends, marker=marker)


def score_in_short(
    players: Sequence[Player], runs: Sequence[Run], held: Mapping[int, int], go_on: GoOn = nothing
) -> Score | None:
    """Lay out a run whose shot loop repeats; None if it has none that all share."""
    timelines = in_short(players, runs)
    period = common_period(runs, timelines) if timelines is not None else None
    if timelines is None or period is None:
        return None
    parts = [Part(player, run.trace, timeline) for player, run, timeline in zip(players, runs, timelines, strict=True)]
    performances = [part.perform() for part in parts]
    end = max(timeline.end for timeline in timelines)
    pool = WaveformPool()
    rows, windows = _played(performances, pool, held, end, go_on)
    cut = Cut(period=period[0], first=period[1], shots=runs[0].shots)
    found = sections(rows, windows, pool, cut, end=end)
    if found is None:
        return None
    total = end + (cut.shots - cut.executed) * cut.period
    return Score(parts=parts, performances=performances, sections=found, pool=pool, duration=total)


def score_with_conditions(
    players: Sequence[Player], runs: Sequence[Run], held: Mapping[int, int], go_on: GoOn = nothing
) -> Score | None:
    """Lay out a run in which all that can happen takes the same time; None if it is not such a run."""
    if not all(map(may_be_laid_out, players, runs)):
        return None
    try:
        courses = [course(player, run.trace) for player, run in zip(players, runs, strict=True)]
        ensemble = explore(courses, list(zip(*(run.bounds for run in runs), strict=False)), go_on)
        return _score_of(ensemble, players, runs, held, go_on)
    except Uncertain:
        return None


def _score_of(
    ensemble: Ensemble, players: Sequence[Player], runs: Sequence[Run], held: Mapping[int, int], go_on: GoOn
) -> Score | None:
    timelines = [path.timeline for path in ensemble.paths]
    period = common_period(runs, timelines)
    if period is None and any(each.shots > 1 for each in runs):
        return None
    for executed, own in zip(runs, ensemble.performances, strict=True):
        for each in own:
            go_on()
            if not is_steady(executed, own[0], each):
                return None
    end = max(timeline.end for timeline in timelines)
    cut = None if period is None else Cut(period=period[0], first=period[1], shots=runs[0].shots)
    pool = WaveformPool()
    bounds = np.zeros(0, dtype=np.int64) if cut is None else cut.bounds
    rows, windows, conditions = branches(ensemble, pool, held, bounds, end, go_on)
    go_on()
    found = [whole(rows, windows, end)] if cut is None else sections(rows, windows, pool, cut, end=end)
    if found is None:
        return None
    return Score(
        parts=[Part(player, path.trace, path.timeline) for player, path in zip(players, ensemble.paths, strict=True)],
        performances=[own[0] for own in ensemble.performances],
        sections=found,
        pool=pool,
        duration=end if cut is None else end + (cut.shots - cut.executed) * cut.period,
        conditions=conditions,
        others=tuple(each for own in ensemble.performances for each in own[1:]),
    )


def score_in_full(
    players: Sequence[Player], runs: Sequence[Run], held: Mapping[int, int], go_on: GoOn = nothing
) -> Score:
    """Lay out every iteration of everything, as one section."""
    parts = in_full(players, runs)
    performances = [part.perform() for part in parts]
    end = max(part.timeline.end for part in parts)
    pool = WaveformPool()
    rows, windows = _played(performances, pool, held, end, go_on)
    return Score(parts=parts, performances=performances, sections=[whole(rows, windows, end)], pool=pool, duration=end)


def _played(
    performances: Sequence[Performance], pool: WaveformPool, held: Mapping[int, int], end: int, go_on: GoOn
) -> tuple[Rows, Windows]:
    opened = openings(performances, held)
    rows: list[Rows] = []
    for each in performances:
        go_on()
        rows += rows_of(each, pool, opened, end)
    windows = [windows_of(each, pool) for each in performances if each.player.kind.is_readout]
    return joined(rows), joined_windows(windows)


def _points(
    table: EventTable, digitiser: Digitiser, rng: np.random.Generator, decide: Decide, go_on: GoOn
) -> Iterator[tuple[range, NDArray[np.complex128]]]:
    """Ask a table with windows for the points of some shots at a time; gives the numbers of the shots and their points,
    shape (windows, shots)."""
    at_once = max(1, _POINTS_AT_ONCE // len(table.acquisitions.start))
    for begin in range(0, table.shots, at_once):
        go_on()
        shots = range(begin, min(begin + at_once, table.shots))
        some = table if len(shots) == table.shots else replace(table, shots=len(shots))
        yield shots, digitiser.run(some, rng, decide, go_on)


def _slices(count: int, length: int) -> list[slice]:
    length = max(1, length)
    return [slice(begin, begin + length) for begin in range(0, count, length)]


def _flag_overflow(table: EventTable, parts: Sequence[Part]) -> None:
    names = {table.outputs[port].name for port in overflowing(table)}
    for part in parts:
        if any(f"slot{part.player.slot}.out{output}" in names for output in part.player.connected_outputs()):
            part.flags.add(Flag.OUTPUT_OVERFLOW)


def _faults(performance: Performance) -> set[Flag]:
    """What the program asked for that is not there."""
    wave0, wave1 = invalid_plays(performance.trace, performance.player.waves.lengths)
    weight0, weight1 = missing_weights(performance)
    found = {
        Flag.WAVE_INVALID_0: wave0,
        Flag.WAVE_INVALID_1: wave1,
        Flag.WEIGHT_INVALID_0: weight0,
        Flag.WEIGHT_INVALID_1: weight1,
        Flag.ACQUISITION_INVALID: missing_acquisition(performance),
    }
    return {flag for flag, raised in found.items() if raised}
