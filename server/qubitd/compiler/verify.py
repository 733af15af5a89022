"""Pass: any program against the rules of the lines that it plays on, whoever made it; it changes nothing.

What a rack allows beyond full scale comes in as `Ceilings`, by the names of lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.errors import InvalidProgramError
from qubitd.core.errors import Problem
from qubitd.core.program import Acquisitions, Plays, Program

_ROUNDING = 1e-9
"""Amplitudes may exceed a limit by this much, which no output resolves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What a rack allows on its lines."""

    amplitude: Mapping[str, float] = field(default_factory=dict[str, float])
    """Highest amplitude by line, fraction of full scale; a line that is not named may use all of it."""
    feedlines: tuple[tuple[str, ...], ...] = ()
    """Lines that share an output: their amplitudes must not sum to more than 1 at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """Refuses a program that overlaps on a line, leaves its time, or is too loud."""

    ceilings: Ceilings = field(default_factory=Ceilings)

    def __call__(self, program: Program) -> None:
        """Check one program.

        Raises:
            InvalidProgramError: with the first offence of each kind on each line.
        """
        problems = tuple(self.problems(program))
        if problems:
            raise InvalidProgramError(problems)

    def problems(self, program: Program) -> Iterator[Problem]:
        """Give the first offence of each kind on each line."""
        yield from _malformed(program)
        yield from _span_problems(program, program.plays, "play")
        yield from _span_problems(program, program.acquisitions, "acquisition")
        loudness = _loudness(program)
        yield from self._loud_lines(program, loudness)
        for feedline in self.ceilings.feedlines:
            yield from _loud_feedline(program, loudness, feedline)

    def _loud_lines(self, program: Program, loudness: NDArray[np.float64]) -> Iterator[Problem]:
        limits = np.array([min(1.0, self.ceilings.amplitude.get(line, 1.0)) for line in program.lines])
        limit = limits[program.plays.line]
        for i in _first_per_line(program.plays.line, loudness > limit + _ROUNDING):
            what = f"amplitude {loudness[i]:.6g} is above the line's limit of {limit[i]:g}; lower the gate's amplitude"
            yield Problem(where=_place(program, program.plays, i), what=what)


def _malformed(program: Program) -> Iterator[Problem]:
    """What would make the other checks meaningless."""
    plays = program.plays
    lengths = np.array([len(envelope.samples) for envelope in program.tables.envelopes], dtype=np.int64)
    for i in np.flatnonzero(lengths[plays.envelope] != plays.length)[:1]:
        what = f"is {plays.length[i]} ns long, its envelope {lengths[plays.envelope[i]]} ns"
        yield Problem(where=_place(program, plays, i), what=what)
    numbers = (plays.amplitude, plays.phase, plays.frequency)
    for i in np.flatnonzero(~np.all([np.isfinite(column) for column in numbers], axis=0))[:1]:
        yield Problem(where=_place(program, plays, i), what="has an amplitude, phase or frequency that is not finite")
    clbits = program.acquisitions.clbit
    for i in np.flatnonzero((clbits < 0) | (clbits >= program.num_clbits))[:1]:
        what = f"writes classical bit {clbits[i]} of {program.num_clbits}"
        yield Problem(where=_place(program, program.acquisitions, i), what=what)


def _span_problems(program: Program, spans: Plays | Acquisitions, kind: str) -> Iterator[Problem]:
    line, start, end = spans.line, spans.start, spans.start + spans.length
    same_line = line[1:] == line[:-1]
    for i in _first_per_line(line[1:], (line[1:] < line[:-1]) | (same_line & (start[1:] < start[:-1]))):
        yield Problem(
            where=_place(program, spans, i + 1), what="stands out of order; rows are sorted by line and start"
        )
    for i in _first_per_line(line[1:], same_line & (start[1:] >= start[:-1]) & (start[1:] < end[:-1])):
        what = f"starts before the {kind} at {start[i]} ns on the same line ends at {end[i]} ns"
        yield Problem(where=_place(program, spans, i + 1), what=what)
    for i in _first_per_line(line, (start < 0) | (spans.length < 1) | (end > program.duration)):
        what = f"lasts from {start[i]} to {end[i]} ns, which is not within the program's {program.duration} ns"
        yield Problem(where=_place(program, spans, i), what=what)


def _loudness(program: Program) -> NDArray[np.float64]:
    """The highest sample of each play, fraction of full scale."""
    used = np.unique(program.plays.envelope)
    peaks = np.zeros(len(program.tables.envelopes))
    peaks[used] = [np.abs(program.tables.envelopes[int(i)].samples).max() for i in used]
    return np.asarray(np.abs(program.plays.amplitude) * peaks[program.plays.envelope])


def _loud_feedline(program: Program, loudness: NDArray[np.float64], feedline: tuple[str, ...]) -> Iterator[Problem]:
    shares = np.array([line in feedline for line in program.lines], dtype=bool)[program.plays.line]
    start = program.plays.start[shares]
    time = np.concatenate((start, start + program.plays.length[shares]))
    step = np.concatenate((loudness[shares], -loudness[shares]))
    order = np.lexsort((step, time))
    total = np.cumsum(step[order])
    for i in np.flatnonzero(total > 1 + _ROUNDING)[:1]:
        what = f"amplitudes sum to {total[i]:.6g}; one output gives at most 1. Lower the readout amplitudes"
        where = f"program {program.name!r}, {', '.join(feedline)} at {time[order[i]]} ns"
        yield Problem(where=where, what=what)


def _first_per_line(line: NDArray[np.uint16], wrong: NDArray[np.bool_]) -> NDArray[np.intp]:
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return rows
    _, first = np.unique(line[rows], return_index=True)
    return rows[first]


def _place(program: Program, spans: Plays | Acquisitions, row: int | np.intp) -> str:
    return f"program {program.name!r}, {program.lines[spans.line[row]]} at {spans.start[row]} ns"
