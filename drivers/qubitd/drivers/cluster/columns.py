"""A chunk's programs laid out one after another in time, as one set of columns.

One iteration of the shot loop is: for each program, the passive reset, the program, a short tail. Every sequencer
follows the same layout, so all take exactly the same time per iteration and stay aligned once they were synchronised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.program import Chunk, Program, ProgramTables
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

Ints = NDArray[np.int64]


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
    lines: tuple[str, ...]
    tables: ProgramTables
    envelopes: EnvelopeColumns
    plays: PlayColumns
    acquisitions: AcquisitionColumns
    feedback: Feedback | None
    """None if nothing depends on an outcome."""

    def used_lines(self) -> list[int]:
        """Give the lines on which something happens."""
        count = len(self.lines)
        events = np.bincount(self.plays.line, minlength=count) + np.bincount(self.acquisitions.line, minlength=count)
        return [int(line) for line in np.flatnonzero(events)]

    def plays_on(self, line: int) -> PlayColumns:
        """Give the plays of one line."""
        return self.plays.select(np.flatnonzero(self.plays.line == line))

    def acquisitions_on(self, line: int) -> AcquisitionColumns:
        """Give the acquisitions of one line."""
        return self.acquisitions.select(np.flatnonzero(self.acquisitions.line == line))

    def where(self, program: int, line: int) -> str:
        """Name a place for a message."""
        name = self.chunk.programs[program].name
        return f"program {self.chunk.first_program + program} ({name!r}), line {self.lines[line]}"


def chunk_columns(chunk: Chunk) -> ChunkColumns:
    """Lay out a chunk, which has at least one program."""
    first = chunk.programs[0]
    feedback = feedback_of(chunk.programs)
    plays = _plays(chunk.programs, feedback)
    return ChunkColumns(
        chunk=chunk,
        layout=_layout(chunk, LEAD if feedback is None else FEEDBACK_LEAD),
        lines=first.lines,
        tables=first.tables,
        envelopes=_envelopes(first.tables, plays.envelope),
        plays=plays,
        acquisitions=_acquisitions(chunk.programs, feedback),
        feedback=feedback,
    )


def _layout(chunk: Chunk, least: int) -> Layout:
    duration = np.array([program.duration for program in chunk.programs], dtype=np.int64)
    lead = max(chunk.reset, least)
    end = np.cumsum(duration + lead + TAIL)
    return Layout(begin=end - (duration + lead + TAIL), lead=lead, duration=duration, total=int(end[-1]))


def _envelopes(tables: ProgramTables, played: Ints) -> EnvelopeColumns:
    """Look at the envelopes that are played: a job may have thousands of others."""
    count = len(tables.envelopes)
    length, real, imag = np.zeros(count, dtype=np.int64), np.zeros(count), np.zeros(count)
    for i in np.flatnonzero(np.bincount(played, minlength=count)).tolist():
        samples = tables.envelopes[i].samples
        length[i], real[i], imag[i] = len(samples), np.abs(samples.real).max(), np.abs(samples.imag).max()
    return EnvelopeColumns(length=length, peak=np.maximum(real, imag), is_complex=imag > 0)


def _plays(programs: tuple[Program, ...], feedback: Feedback | None) -> PlayColumns:
    parts = [program.plays for program in programs]
    return PlayColumns(
        line=np.concatenate([part.line for part in parts]),
        program=_owners([len(part.line) for part in parts]),
        start=np.concatenate([part.start for part in parts]),
        length=np.concatenate([part.length for part in parts]),
        envelope=np.concatenate([part.envelope for part in parts]).astype(np.int64),
        amplitude=np.concatenate([part.amplitude for part in parts]),
        phase=np.concatenate([part.phase for part in parts]),
        frequency=np.concatenate([part.frequency for part in parts]),
        frame=np.concatenate([part.frame for part in parts]).astype(np.int64),
        condition=play_conditions(programs, feedback),
    )


def _acquisitions(programs: tuple[Program, ...], feedback: Feedback | None) -> AcquisitionColumns:
    parts = [program.acquisitions for program in programs]
    return AcquisitionColumns(
        line=np.concatenate([part.line for part in parts]),
        program=_owners([len(part.line) for part in parts]),
        row=np.concatenate([np.arange(len(part.line), dtype=np.int64) for part in parts]),
        start=np.concatenate([part.start for part in parts]),
        length=np.concatenate([part.length for part in parts]),
        phase=np.concatenate([part.phase for part in parts]),
        frequency=np.concatenate([part.frequency for part in parts]),
        qubit=np.concatenate([part.qubit for part in parts]).astype(np.int64),
        kernel=np.concatenate([part.kernel for part in parts]).astype(np.int64),
        condition=acquisition_conditions(programs, feedback),
    )


def _owners(counts: list[int]) -> Ints:
    return np.repeat(np.arange(len(counts), dtype=np.int64), counts)
