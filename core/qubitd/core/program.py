"""A program: pulses on lines at whole ticks, as columns, after every decision of the compiler has been taken.

A program speaks of lines (`q0.drive`), never of ports. Each play carries its absolute frame phase and its frequency.
Tables of envelopes are shared: an entry is known by its content, and within one generation of a job's table an index
means the same envelope in every program, though a later program's table may be longer. All programs of a chunk have one
table.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from qubitd.core.feedforward import Dynamics

HERALD = -1
"""Classical bit of an acquisition whose outcome only decides whether the shot counts: it does if that is 0."""

BOXCAR = -1
"""Kernel of an acquisition whose samples all weigh the same."""

HIDDEN = -2
"""Classical bit of an acquisition whose outcome is in no result, such as one of an active reset."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledEnvelope:
    """An envelope as samples."""

    samples: NDArray[np.complex128]
    """Shape (length,), 1 tick apart, peak 1."""
    digest: str
    """`qubitd.core.envelope.samples_digest` of the samples."""
    peak: float = field(init=False)
    """The largest |sample|."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "peak", float(np.abs(self.samples).max(initial=0.0)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plays:
    """Pulses, one row each, sorted by (line, start). Every column has shape (plays,)."""

    line: NDArray[np.uint16]
    """Index into `Program.lines`."""
    start: NDArray[np.int64]
    """Ticks from the program's start."""
    length: NDArray[np.int64]
    """Ticks."""
    envelope: NDArray[np.int32]
    """Index into `ProgramTables.envelopes`."""
    amplitude: NDArray[np.float64]
    """Fraction of the output's full scale, -1..1."""
    phase: NDArray[np.float64]
    """Radians, absolute: the frame's accumulated phase plus the pulse's own."""
    frequency: NDArray[np.float64]
    """RF frequency in Hz at the line; 0 on a flux line."""
    frame: NDArray[np.int16]
    """Qubit whose frame the phase belongs to; -1 for a play without a frame (flux)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Acquisitions:
    """Integrations, one row each, sorted by (line, start). Every column has shape (acquisitions,)."""

    line: NDArray[np.uint16]
    """Index into `Program.lines`: a readout line."""
    qubit: NDArray[np.uint16]
    start: NDArray[np.int64]
    """Ticks from the program's start to the first sample at the digitiser: the time of flight is included."""
    length: NDArray[np.int64]
    """Ticks."""
    frequency: NDArray[np.float64]
    """Hz, RF frequency of the demodulation."""
    phase: NDArray[np.float64]
    """Radians, of the demodulation."""
    clbit: NDArray[np.int32]
    """Classical bit that gets the outcome, or HERALD or HIDDEN; of two into one bit the later in `order` wins."""
    order: NDArray[np.int32]
    """Position of the measurement in the circuit."""
    kernel: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    """Index into `ProgramTables.envelopes` of the real weights, as long as the window; `BOXCAR` for none.

    Left out: all are boxcars.
    """

    def __post_init__(self) -> None:
        if len(self.kernel) == 0:
            object.__setattr__(self, "kernel", np.full(len(self.line), BOXCAR, dtype=np.int32))


_Rows = TypeVar("_Rows", Plays, Acquisitions)
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProgramTables:
    """What the programs of one job share."""

    envelopes: tuple[SampledEnvelope, ...]
    generation: int = 0
    """Counts up when a job with very many envelopes begins a new table; indices hold within one generation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """One shot of one circuit at one grid point."""

    name: str
    lines: tuple[str, ...]
    """Names of the lines that `line` columns index; the same for all programs of a job."""
    plays: Plays
    acquisitions: Acquisitions
    duration: int
    """Ticks from the first pulse's slot to the end of the last slot; the passive reset comes on top."""
    num_clbits: int
    tables: ProgramTables
    dynamics: Dynamics | None = None
    """None if nothing depends on an outcome while the program runs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProgramColumns(Sequence[Program]):
    """Programs of one job, their rows one below the other. A `Program`, which is a view, is made when asked for."""

    lines: tuple[str, ...]
    tables: ProgramTables
    names: Sequence[str]
    num_clbits: NDArray[np.int64]
    """Of each program, shape (programs,)."""
    durations: NDArray[np.int64]
    """Ticks, shape (programs,)."""
    plays: Plays
    play_bounds: NDArray[np.int64]
    """Where the plays of each program begin, and where those of the last one end; shape (programs + 1,)."""
    acquisitions: Acquisitions
    acquisition_bounds: NDArray[np.int64]
    dynamics: Mapping[int, Dynamics] = field(default_factory=dict[int, Dynamics])
    """By program; only of those in which something depends on an outcome."""
    _views: dict[int, Program] = field(init=False, repr=False, default_factory=dict)

    @classmethod
    def of(cls, programs: Sequence[Program]) -> ProgramColumns:
        """Put programs of one job, at least one, below each other; those that are so already are given back."""
        if isinstance(programs, ProgramColumns):
            return programs
        return cls(
            lines=programs[0].lines,
            tables=programs[-1].tables,
            names=[program.name for program in programs],
            num_clbits=np.array([program.num_clbits for program in programs], dtype=np.int64),
            durations=np.array([program.duration for program in programs], dtype=np.int64),
            plays=_stacked([program.plays for program in programs]),
            play_bounds=_bounds([len(program.plays.start) for program in programs]),
            acquisitions=_stacked([program.acquisitions for program in programs]),
            acquisition_bounds=_bounds([len(program.acquisitions.start) for program in programs]),
            dynamics={i: program.dynamics for i, program in enumerate(programs) if program.dynamics is not None},
        )

    @classmethod
    def joined(cls, parts: Sequence[ProgramColumns]) -> ProgramColumns:
        """Put the programs of several columns, at least one, below each other; the last one's tables hold for all."""
        if len(parts) == 1:
            return parts[0]
        before = itertools.accumulate(map(len, parts), initial=0)
        dynamics = zip(before, (part.dynamics.items() for part in parts), strict=False)
        return cls(
            lines=parts[0].lines,
            tables=parts[-1].tables,
            names=[name for part in parts for name in part.names],
            num_clbits=np.concatenate([part.num_clbits for part in parts]),
            durations=np.concatenate([part.durations for part in parts]),
            plays=_stacked([part.plays for part in parts]),
            play_bounds=_bounds(np.concatenate([np.diff(part.play_bounds) for part in parts])),
            acquisitions=_stacked([part.acquisitions for part in parts]),
            acquisition_bounds=_bounds(np.concatenate([np.diff(part.acquisition_bounds) for part in parts])),
            dynamics={first + i: found for first, items in dynamics for i, found in items},
        )

    def without_plays(self) -> ProgramColumns:
        """Give the programs as far as they are read out."""
        return replace(self, plays=_rows(self.plays, 0, 0), play_bounds=np.zeros_like(self.play_bounds))

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Program: ...
    @overload
    def __getitem__(self, index: slice) -> ProgramColumns: ...
    def __getitem__(self, index: int | slice) -> Program | ProgramColumns:
        """Give a program, the same whenever it is asked for, or some that follow each other."""
        places = range(len(self))[index]
        if isinstance(places, range):
            return self if len(places) == len(self) else self._part(places.start, max(places.start, places.stop))
        found = self._views.get(places)
        if found is None:
            found = self._views[places] = self._view(places)
        return found

    def __iter__(self) -> Iterator[Program]:
        return map(self.__getitem__, range(len(self)))

    def _part(self, begin: int, end: int) -> ProgramColumns:
        play, acquire = self.play_bounds[begin : end + 1], self.acquisition_bounds[begin : end + 1]
        return replace(
            self,
            names=self.names[begin:end],
            num_clbits=self.num_clbits[begin:end],
            durations=self.durations[begin:end],
            plays=_rows(self.plays, play[0], play[-1]),
            play_bounds=play - play[0],
            acquisitions=_rows(self.acquisitions, acquire[0], acquire[-1]),
            acquisition_bounds=acquire - acquire[0],
            dynamics={i - begin: found for i, found in self.dynamics.items() if begin <= i < end},
        )

    def _view(self, i: int) -> Program:
        return Program(
            name=self.names[i],
            lines=self.lines,
            plays=_rows(self.plays, self.play_bounds[i], self.play_bounds[i + 1]),
            acquisitions=_rows(self.acquisitions, self.acquisition_bounds[i], self.acquisition_bounds[i + 1]),
            duration=int(self.durations[i]),
            num_clbits=int(self.num_clbits[i]),
            tables=self.tables,
            dynamics=self.dynamics.get(i),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """What runs on the controller in one go: programs first..first+n of a job, shots first_shot..first_shot+shots."""

    programs: Sequence[Program]
    """As `ProgramColumns` where they were made together."""
    first_program: int
    """Index of the first program in the job (circuit, binding, grid point)."""
    first_shot: int
    shots: int
    """Times that all programs are run, one after another inside each shot."""
    reset: int
    """Ticks of waiting before each program, for a passive reset or because it was asked for."""
    raw: bool = False
    """Whether the digitisers' averaged traces are wanted; then there is one program."""

    @property
    def num_rows(self) -> int:
        """Plays and acquisitions of all its programs."""
        parts = (self.programs,) if isinstance(self.programs, ProgramColumns) else self.programs
        return sum([len(part.plays.start) + len(part.acquisitions.start) for part in parts])


def _rows(rows: _Rows, begin: int, end: int) -> _Rows:
    return type(rows)(**{name: getattr(rows, name)[begin:end] for name in rows.__slots__})


def _stacked(parts: Sequence[_Rows]) -> _Rows:
    kind = type(parts[0])
    return kind(**{name: _joined([getattr(part, name) for part in parts]) for name in kind.__slots__})


def _joined(parts: Sequence[NDArray[_T]]) -> NDArray[_T]:
    """Put columns below each other; what programs share is one array."""
    if len(set(map(id, parts))) == 1:
        return parts[0] if len(parts) == 1 else np.tile(parts[0], len(parts))
    return np.concatenate(parts)


def _bounds(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=found[1:])
    return found
