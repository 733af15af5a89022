"""Pass: any programs against the rules of the lines that they play on, whoever made them; it changes nothing.

What a rack allows beyond full scale comes in as `Ceilings`, by the names of lines; what it holds, as the `Pack` that
would cut the programs into chunks. Whether a program is what its circuit asked for is for `verify_circuit`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler import native
from qubitd.compiler.block import Block, Cases
from qubitd.compiler.chunk import Pack
from qubitd.compiler.errors import InvalidProgramError
from qubitd.compiler.verify_dynamics import dynamics_problems
from qubitd.core.errors import Problem
from qubitd.core.feedforward import FeedForward
from qubitd.core.program import BOXCAR, HIDDEN, Acquisitions, Plays, Program, ProgramColumns

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_Rows = TypeVar("_Rows", Plays, Acquisitions)

MAX_PROBLEMS = 100
"""More problems than these are not listed."""
_FEW = 32
"""Envelopes that are all looked at."""
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
    """Refuses programs that overlap on a line, leave their time, are too loud, or fit no chunk."""

    ceilings: Ceilings = field(default_factory=Ceilings)
    feedforward: FeedForward | None = None
    """Of the controller; None if no program looks at outcomes."""
    pack: Pack | None = None
    """That knows the controller's memories; None where programs are packed anyway, which judges the same."""

    def __call__(self, *programs: Program) -> None:
        """Check programs of one job, all at once; as `check`."""
        self.check(programs)

    def check(self, block: Block) -> None:
        """Check programs that were made together.

        Raises:
            InvalidProgramError: with the first offence of each kind on each line of each program.
        """
        problems = tuple(itertools.islice(self._found(block), MAX_PROBLEMS))
        if problems:
            raise InvalidProgramError(problems)

    def problems(self, *programs: Program) -> Iterator[Problem]:
        """Give the first offence of each kind on each line of each program."""
        return self._found(programs)

    def _found(self, block: Block) -> Iterator[Problem]:
        is_sound = True
        for problem in self._broken(block):
            is_sound = False
            yield problem
        if is_sound and self.pack is not None:  # memories of what cannot be played are not counted
            for index, program in enumerate(block):
                yield from self.pack.problems(program, index)

    def _broken(self, block: Block) -> Iterator[Problem]:
        match block:
            case Cases():
                yield from self._of_cases(block)
            case ProgramColumns():
                yield from self._of_columns(block)
            case ():
                return
            case _:
                yield from self._of_columns(ProgramColumns.of(block))
                yield from self._dynamics(block)

    def _of_cases(self, block: Cases) -> Iterator[Problem]:
        """All are sound if one is that has the largest of each of their numbers; if not, each is looked at.

        A compiled loop looks at each of them at once.
        """
        if self._is_sound(block):
            return
        worst = block.worst()
        if worst is None or next(self._of_columns(worst), None) is not None:
            yield from self._of_columns(ProgramColumns.of(tuple(block)))

    # `_of_cases` counts on this: what breaks a rule here breaks it, too, with more in any column of `LARGER_IS_WORSE`.
    def _of_columns(self, block: ProgramColumns) -> Iterator[Problem]:
        if self._is_sound(block):
            return
        together = _Together.of(block)
        yield from _malformed(together)
        overlaps = [
            *_span_problems(together, together.plays, "play"),
            *_span_problems(together, together.acquisitions, "acquisition"),
        ]
        yield from overlaps
        peaks = np.zeros(len(block.lines))
        with np.errstate(invalid="ignore"):  # what is no number was told above
            np.maximum.at(peaks, block.plays.line, together.loudness)
        loudest = _by_line(block, peaks)
        if not self._are_quiet(loudest):
            yield from self._loud_lines(together)
        # Plays that follow each other on each line never sum to more than the loudest of each line do.
        for feedline in self.ceilings.feedlines:
            if overlaps or not sum([loudest.get(line, 0.0) for line in feedline]) <= 1:
                yield from _loud_feedline(together, feedline)

    def _is_sound(self, block: ProgramColumns | Cases) -> bool:
        """Whether a compiled loop, if there is one, finds nothing wrong; what is wrong is not its to say."""
        if not native.are_there():
            return False
        peaks = native.loudest(
            block.durations,
            np.array([block.num_clbits]) if isinstance(block, Cases) else block.num_clbits,
            block.plays,
            block.play_bounds,
            block.acquisitions,
            block.acquisition_bounds,
            *_envelope_facts(block),
            lines=len(block.lines),
        )
        if peaks is None:
            return False
        loudest = _by_line(block, peaks)
        return self._are_quiet(loudest) and all(
            sum([loudest.get(line, 0.0) for line in feedline]) <= 1 for feedline in self.ceilings.feedlines
        )

    def _are_quiet(self, loudest: Mapping[str, float]) -> bool:
        return all(peak <= self._limit(line) + _ROUNDING for line, peak in loudest.items())

    def _dynamics(self, programs: Sequence[Program]) -> Iterator[Problem]:
        for program in programs:
            if program.dynamics is not None and self.feedforward is not None:
                yield from dynamics_problems(program, program.dynamics, self.feedforward)
            elif program.dynamics is not None:
                what = "looks at outcomes, and the controller has no feed-forward"
                yield Problem(where=f"program {program.name!r}", what=what)

    def _limit(self, line: str) -> float:
        return min(1.0, self.ceilings.amplitude.get(line, 1.0))

    def _loud_lines(self, together: _Together) -> Iterator[Problem]:
        spans, loudness = together.plays, together.loudness
        limit = np.array([self._limit(line) for line in together.block.lines])[spans.rows.line]
        for i in _first_per_line(spans.key, ~(loudness <= limit + _ROUNDING)):
            loud, most = f"{loudness[i]:.10g}", f"{limit[i]:.10g}"
            what = f"amplitude {loud} is above the line's limit of {most}; lower the gate's amplitude"
            yield Problem(where=together.place(spans, i), what=what)


def _by_line(block: ProgramColumns | Cases, peaks: Floats) -> dict[str, float]:
    """Name the lines on which anything is played, with the highest sample."""
    used: list[int] = peaks.nonzero()[0].tolist()
    return {block.lines[i]: float(peaks[i]) for i in used}


def _envelope_facts(block: ProgramColumns | Cases) -> tuple[Ints, Floats]:
    """Give length and peak of each envelope that is played or weighs; 0 for the others, of which there may be many."""
    envelopes = block.tables.envelopes
    length, peak = np.zeros(len(envelopes) + 1, dtype=np.int64), np.zeros(len(envelopes) + 1)
    used: Iterable[int] = range(len(envelopes))
    if len(envelopes) > _FEW:
        named = [column[column >= 0] for column in (block.plays.envelope, block.acquisitions.kernel)]
        used = np.bincount(np.concatenate(named), minlength=1).nonzero()[0].tolist()
    for i in used:
        length[i], peak[i] = len(envelopes[i].samples), envelopes[i].peak
    return length, peak


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Spans(Generic[_Rows]):
    """Plays or acquisitions of several programs, one program after another."""

    rows: _Rows
    program: Ints
    """Which program each row belongs to."""
    key: Ints
    """Program and line in one number."""
    end: Ints
    """Ticks from the program's start."""


def _spans(rows: _Rows, bounds: Ints, *, lines: int) -> _Spans[_Rows]:
    count = len(bounds) - 1
    program = np.arange(count).repeat(bounds[1:] - bounds[:-1] if count > 1 else len(rows.line))
    return _Spans(rows=rows, program=program, key=program * lines + rows.line, end=rows.start + rows.length)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Together:
    """Programs of one job as common columns."""

    block: ProgramColumns
    plays: _Spans[Plays]
    acquisitions: _Spans[Acquisitions]
    envelope_length: Ints
    """Ticks of the envelope of each play."""
    loudness: Floats
    """The highest sample of each play, fraction of full scale."""

    @classmethod
    def of(cls, block: ProgramColumns) -> _Together:
        plays, lines = block.plays, len(block.lines)
        length, peak = _envelope_facts(block)
        envelope = plays.envelope.astype(np.intp)
        return cls(
            block=block,
            plays=_spans(plays, block.play_bounds, lines=lines),
            acquisitions=_spans(block.acquisitions, block.acquisition_bounds, lines=lines),
            envelope_length=length[envelope],
            loudness=np.abs(plays.amplitude) * peak[envelope],
        )

    def place(self, spans: _Spans[Plays] | _Spans[Acquisitions], row: int | np.intp) -> str:
        name = self.block.names[int(spans.program[row])]
        return f"program {name!r}, {self.block.lines[spans.rows.line[row]]} at {spans.rows.start[row]} ns"


def _malformed(together: _Together) -> Iterator[Problem]:
    """What would make the other checks meaningless."""
    plays = together.plays.rows
    length = together.envelope_length
    for i in _first_rows(length != plays.length):
        what = f"is {plays.length[i]} ns long, its envelope {length[i]} ns"
        yield Problem(where=together.place(together.plays, i), what=what)
    # A sum is not finite if one of its terms is not; no three of these add up to more than a double holds.
    for i in _first_rows(~np.isfinite(plays.amplitude + plays.phase + plays.frequency)):
        what = "has an amplitude, phase or frequency that is not finite"
        yield Problem(where=together.place(together.plays, i), what=what)
    # Larger is worse: what is played without a carrier has none at any point of a sweep.
    for i in _first_rows((plays.phase != 0) & (plays.frequency == 0)):
        what = f"has a phase of {plays.phase[i]:.6g} rad and no carrier that could have it"
        yield Problem(where=together.place(together.plays, i), what=what)
    acquisitions = together.acquisitions
    yield from _kernel_problems(together)
    clbit = acquisitions.rows.clbit
    num_clbits = np.array(together.block.num_clbits, dtype=np.int64)[acquisitions.program]
    for i in _first_rows((clbit < HIDDEN) | (clbit >= num_clbits)):
        what = f"writes classical bit {clbit[i]} of {num_clbits[i]}"
        yield Problem(where=together.place(acquisitions, i), what=what)


def _kernel_problems(together: _Together) -> Iterator[Problem]:
    rows = together.acquisitions.rows
    is_weighted: NDArray[np.bool_] = rows.kernel != BOXCAR
    weighted = is_weighted.nonzero()[0]
    if not len(weighted):
        return
    kernels: list[int] = rows.kernel[weighted].tolist()
    lengths = [len(together.block.tables.envelopes[kernel].samples) for kernel in kernels]
    for i in _first_rows(rows.length[weighted] != lengths):
        what = f"is {rows.length[weighted[i]]} ns long, its kernel {lengths[i]} ns"
        yield Problem(where=together.place(together.acquisitions, int(weighted[i])), what=what)


def _span_problems(together: _Together, spans: _Spans[Plays] | _Spans[Acquisitions], kind: str) -> Iterator[Problem]:
    key, start, end = spans.key, spans.rows.start, spans.end
    duration = together.block.durations[spans.program]
    is_outside = (start < 0) | (spans.rows.length < 1) | (start > duration - spans.rows.length)
    follows = key[1:] == key[:-1]
    comes_after = (key[1:] > key[:-1]) | (follows & (start[1:] >= end[:-1]))
    if np.count_nonzero(comes_after) == len(comes_after) and not np.count_nonzero(is_outside):
        return
    is_disordered = (key[1:] < key[:-1]) | (follows & (start[1:] < start[:-1]))
    for i in _first_per_line(key[1:], is_disordered):
        what = "stands out of order; rows are sorted by line and start"
        yield Problem(where=together.place(spans, i + 1), what=what)
    for i in _first_per_line(key[1:], follows & ~is_disordered & (start[1:] < end[:-1])):
        what = f"starts before the {kind} at {start[i]} ns on the same line ends at {end[i]} ns"
        yield Problem(where=together.place(spans, i + 1), what=what)
    for i in _first_per_line(key, is_outside):
        what = f"lasts from {start[i]} to {end[i]} ns, which is not within the program's {duration[i]} ns"
        yield Problem(where=together.place(spans, i), what=what)


def _loud_feedline(together: _Together, feedline: tuple[str, ...]) -> Iterator[Problem]:
    lines, loudness = together.block.lines, together.loudness
    spans = together.plays
    shares = np.flatnonzero(np.array([line in feedline for line in lines], dtype=bool)[spans.rows.line])
    time = np.concatenate((spans.rows.start[shares], spans.end[shares]))
    program = np.tile(spans.program[shares], 2)
    step = np.concatenate((loudness[shares], -loudness[shares]))
    order = np.lexsort((step, time, program))
    total = np.cumsum(step[order])
    for i in _first_per_line(program[order], total > 1 + _ROUNDING):
        what = f"amplitudes sum to {total[i]:.10g}; one output gives at most 1. Lower the readout amplitudes"
        name = together.block.names[int(program[order[i]])]
        yield Problem(where=f"program {name!r}, {', '.join(feedline)} at {time[order[i]]} ns", what=what)


def _first_per_line(key: Ints, wrong: NDArray[np.bool_]) -> NDArray[np.intp]:
    rows = wrong.nonzero()[0]
    if not len(rows):
        return rows
    _, first = np.unique(key[rows], return_index=True)
    return rows[first]


def _first_rows(wrong: NDArray[np.bool_]) -> NDArray[np.intp]:
    return wrong.nonzero()[0][:1]
