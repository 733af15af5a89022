"""A chunk's programs laid out one after another in time, as one set of columns.

One iteration of the shot loop is: for each program, the passive reset, the program, a short tail. Every sequencer
follows the same layout, so all take exactly the same time per iteration and stay aligned once they were synchronised.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.core.program import Chunk, ProgramColumns, ProgramTables, SampledEnvelope
from qubitd.drivers.cluster.feedback import (
    Feedback,
    acquisition_conditions,
    feedback_of,
    play_conditions,
)
from qubitd.drivers.cluster.feedforward import LATEST

LEAD = 40
"""Ticks before a program for resetting phases and opening RF switches; a passive reset, if longer, includes them."""
FEEDBACK_LEAD = LATEST + 12
"""Ticks before each program of a chunk in which outcomes feed: the last trigger of the one before has arrived."""
TAIL = 20
"""Ticks after a program in which RF switches close."""

_SHORT = 2**12
"""Samples of an envelope that is looked at once for all jobs."""

Ints = NDArray[np.int64]
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """When each program runs within one iteration."""

    begin: Ints
    """Tick at which a program's passive reset begins, shape (programs,)."""
    lead: int
    """Ticks from there to tick 0 of the program."""
    duration: Ints
    """Ticks of each program itself."""
    total: int
    """Ticks of one iteration."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlayColumns:
    """Plays of one line or of all, in the order of program and start."""

    line: NDArray[np.uint16]
    program: Ints
    """Position in the chunk."""
    start: Ints
    """Ticks from the program's start."""
    length: Ints
    envelope: Ints
    amplitude: NDArray[np.float64]
    phase: NDArray[np.float64]
    frequency: NDArray[np.float64]
    frame: Ints
    """Qubit whose frame the phase belongs to, -1 for none."""
    condition: Ints
    """Index into `Feedback.conditions`, or ALWAYS."""

    def select(self, rows: NDArray[np.intp] | slice) -> PlayColumns:
        """Give some of the rows."""
        return PlayColumns(**{name: getattr(self, name)[rows] for name in self.__slots__})

    def by_line(self, lines: int) -> tuple[PlayColumns, list[int]]:
        """Give the plays line by line, and where those of each line begin and those of the last one end."""
        order, bounds = _line_order(self.line, lines)
        return self if order is None else self.select(order), bounds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AcquisitionColumns:
    """Acquisitions of one line or of all, in the order of program and start."""

    line: NDArray[np.uint16]
    program: Ints
    row: Ints
    """Position among the acquisitions of its program."""
    start: Ints
    length: Ints
    phase: NDArray[np.float64]
    frequency: NDArray[np.float64]
    qubit: Ints
    kernel: Ints
    """Index of its weights among the job's envelopes; -1 for a boxcar."""
    condition: Ints
    """Index into `Feedback.conditions`, or ALWAYS."""

    def select(self, rows: NDArray[np.intp] | slice) -> AcquisitionColumns:
        """Give some of the rows."""
        return AcquisitionColumns(**{name: getattr(self, name)[rows] for name in self.__slots__})

    def by_line(self, lines: int) -> tuple[AcquisitionColumns, list[int]]:
        """Give the acquisitions line by line, and where those of each line begin and those of the last one end."""
        order, bounds = _line_order(self.line, lines)
        return self if order is None else self.select(order), bounds


UsedLines: TypeAlias = list[tuple[int, PlayColumns, AcquisitionColumns]]
"""Lines on which something happens, by their number, and what."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EnvelopeColumns:
    """What is to be known of each envelope of a job; 0 for those that the chunk does not play."""

    length: Ints
    peak: NDArray[np.float64]
    """Largest |real| or |imaginary| part of its samples."""
    is_complex: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkColumns:
    """All programs of a chunk."""

    chunk: Chunk
    layout: Layout
    acquisition_counts: Sequence[int]
    """Of each program."""
    lines: tuple[str, ...]
    tables: ProgramTables
    envelopes: EnvelopeColumns
    plays: PlayColumns
    acquisitions: AcquisitionColumns
    feedback: Feedback | None
    """None if nothing depends on an outcome."""

    def used_lines(self) -> UsedLines:
        """Give the lines on which something happens, and what."""
        count = len(self.lines)
        (plays, play), (acquisitions, acquire) = self.plays.by_line(count), self.acquisitions.by_line(count)
        return [
            (line, plays.select(slice(*play[line : line + 2])), acquisitions.select(slice(*acquire[line : line + 2])))
            for line in range(count)
            if play[line] < play[line + 1] or acquire[line] < acquire[line + 1]
        ]

    def where(self, program: int, line: int) -> str:
        """Name a place for a message."""
        name = self.chunk.programs[program].name
        return f"program {self.chunk.first_program + program} ({name!r}), line {self.lines[line]}"


def chunk_columns(chunk: Chunk) -> ChunkColumns:
    """Lay out a chunk, which has at least one program."""
    programs = ProgramColumns.of(chunk.programs)
    feedback = feedback_of(programs)
    plays = _plays(programs, feedback)
    return ChunkColumns(
        chunk=chunk,
        layout=_layout(programs, lead_of(chunk.reset, feeds=feedback is not None)),
        acquisition_counts=np.diff(programs.acquisition_bounds).tolist(),
        lines=programs.lines,
        tables=programs.tables,
        envelopes=_envelopes(programs.tables, plays.envelope),
        plays=plays,
        acquisitions=_acquisitions(programs, feedback),
        feedback=feedback,
    )


def _line_order(line: NDArray[np.uint16], lines: int) -> tuple[NDArray[np.intp] | None, list[int]]:
    """Sort rows by line, those of each in their order; None if they are: one program's rows always are."""
    is_sorted = bool((line[1:] >= line[:-1]).all())
    order = None if is_sorted else np.argsort(line, kind="stable")
    bounds: list[int] = np.searchsorted(line if order is None else line[order], np.arange(lines + 1)).tolist()
    return order, bounds


def lead_of(reset: int, *, feeds: bool) -> int:
    """Give the ticks before each program of a chunk, its passive reset among them.

    Args:
        reset: ticks of that.
        feeds: whether outcomes feed.
    """
    return max(reset, FEEDBACK_LEAD if feeds else LEAD)


def _layout(programs: ProgramColumns, lead: int) -> Layout:
    duration = _in_a_row(programs.durations)
    each = duration + (lead + TAIL)
    end = each.cumsum()
    return Layout(begin=end - each, lead=lead, duration=duration, total=int(end[-1]))


def _envelopes(tables: ProgramTables, played: Ints) -> EnvelopeColumns:
    """Look at the envelopes that are played: a job may have thousands of others."""
    count = len(tables.envelopes)
    length, real, imag = np.zeros(count, dtype=np.int64), np.zeros(count), np.zeros(count)
    used: list[int] = np.bincount(played, minlength=count).nonzero()[0].tolist()
    for i in used:
        length[i], real[i], imag[i] = _looks(tables.envelopes[i])
    return EnvelopeColumns(length=length, peak=np.maximum(real, imag), is_complex=imag > 0)


def _looks(envelope: SampledEnvelope) -> tuple[int, float, float]:
    """Give the length of an envelope, and the largest of its real and of its imaginary parts."""
    return _short_looks(envelope) if len(envelope.samples) <= _SHORT else _short_looks.__wrapped__(envelope)


@functools.lru_cache(maxsize=256)
def _short_looks(envelope: SampledEnvelope) -> tuple[int, float, float]:
    samples = envelope.samples
    return len(samples), float(np.abs(samples.real).max()), float(np.abs(samples.imag).max())


def _plays(programs: ProgramColumns, feedback: Feedback | None) -> PlayColumns:
    rows = programs.plays
    return PlayColumns(
        line=_in_a_row(rows.line),
        program=_owners(programs.play_bounds),
        start=_in_a_row(rows.start),
        length=_in_a_row(rows.length),
        envelope=rows.envelope.astype(np.int64, order="C"),
        amplitude=_in_a_row(rows.amplitude),
        phase=_in_a_row(rows.phase),
        frequency=_in_a_row(rows.frequency),
        frame=rows.frame.astype(np.int64, order="C"),
        condition=play_conditions(programs, feedback),
    )


def _acquisitions(programs: ProgramColumns, feedback: Feedback | None) -> AcquisitionColumns:
    rows, bounds = programs.acquisitions, programs.acquisition_bounds
    program = _owners(bounds)
    return AcquisitionColumns(
        line=_in_a_row(rows.line),
        program=program,
        row=np.arange(len(program), dtype=np.int64) - bounds[program],
        start=_in_a_row(rows.start),
        length=_in_a_row(rows.length),
        phase=_in_a_row(rows.phase),
        frequency=_in_a_row(rows.frequency),
        qubit=rows.qubit.astype(np.int64, order="C"),
        kernel=rows.kernel.astype(np.int64, order="C"),
        condition=acquisition_conditions(programs, feedback),
    )


def _in_a_row(column: NDArray[_T]) -> NDArray[_T]:
    """Give a column whose numbers follow each other in memory, as loops in C take them; a compiler's need not."""
    return np.ascontiguousarray(column)


def _owners(bounds: Ints) -> Ints:
    return np.arange(len(bounds) - 1, dtype=np.int64).repeat(bounds[1:] - bounds[:-1])
