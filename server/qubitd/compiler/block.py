"""Programs that were made together, as columns; a `Program`, which is a view of them, is made when it is asked for.

Passes look at all programs of a block at once: there is no object for each until the last moment.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from qubitd.compiler.columns import Ints
from qubitd.core.program import Acquisitions, Plays, Program, ProgramTables

_Rows = TypeVar("_Rows", Plays, Acquisitions)

LARGER_IS_WORSE = frozenset({"amplitude", "phase", "frequency"})
"""Columns of which `worst` takes the largest number, in size."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SideBySide:
    """Programs of circuits, their rows one below the other."""

    lines: tuple[str, ...]
    tables: ProgramTables
    names: Sequence[str]
    num_clbits: Ints
    """Of each program, shape (programs,)."""
    durations: Ints
    """Ticks, shape (programs,)."""
    plays: Plays
    play_bounds: Ints
    """Where the plays of each program begin, and where those of the last one end; shape (programs + 1,)."""
    acquisitions: Acquisitions
    acquisition_bounds: Ints

    @classmethod
    def of(cls, programs: Sequence[Program]) -> SideBySide:
        """Put programs of one job, at least one, below each other."""
        return cls(
            lines=programs[0].lines,
            tables=programs[-1].tables,
            names=[program.name for program in programs],
            num_clbits=np.array([program.num_clbits for program in programs], dtype=np.int64),
            durations=np.array([program.duration for program in programs], dtype=np.int64),
            plays=_stacked([program.plays for program in programs]),
            play_bounds=np.cumsum([0, *(len(program.plays.start) for program in programs)]),
            acquisitions=_stacked([program.acquisitions for program in programs]),
            acquisition_bounds=np.cumsum([0, *(len(program.acquisitions.start) for program in programs)]),
        )

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Program]:
        parts = zip(
            self.names,
            self.num_clbits.tolist(),
            self.durations.tolist(),
            _cut(self.plays, self.play_bounds),
            _cut(self.acquisitions, self.acquisition_bounds),
            strict=True,
        )
        for name, num_clbits, duration, plays, acquisitions in parts:
            yield Program(
                name=name,
                lines=self.lines,
                plays=plays,
                acquisitions=acquisitions,
                duration=duration,
                num_clbits=num_clbits,
                tables=self.tables,
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cases:
    """Programs of one circuit that differ in numbers only, such as the points of a sweep.

    A column in which they differ has an axis for the programs in front; others they share.
    """

    lines: tuple[str, ...]
    tables: ProgramTables
    name: str
    num_clbits: int
    durations: Ints
    """Ticks, shape (programs,)."""
    plays: Plays
    acquisitions: Acquisitions

    def __len__(self) -> int:
        return len(self.durations)

    def __iter__(self) -> Iterator[Program]:
        parts = zip(
            self.durations.tolist(), _each(self.plays, len(self)), _each(self.acquisitions, len(self)), strict=True
        )
        for duration, plays, acquisitions in parts:
            yield Program(
                name=self.name,
                lines=self.lines,
                plays=plays,
                acquisitions=acquisitions,
                duration=duration,
                num_clbits=self.num_clbits,
                tables=self.tables,
            )

    @property
    def differ_in_phases_only(self) -> bool:
        """Whether the programs are alike but for the phases of plays in a frame, and those of acquisitions."""
        differ = {name for rows in (self.plays, self.acquisitions) for name in _differing(rows)}
        if not differ <= {"phase"} or not (self.durations == self.durations[0]).all():
            return False
        phase = self.plays.phase[..., self.plays.frame < 0]
        return phase.ndim == 1 or bool((phase == phase[0]).all())

    def worst(self) -> SideBySide | None:
        """Give one program whose numbers are as large as those of any; None if others than `LARGER_IS_WORSE` differ."""
        plays, acquisitions = _largest(self.plays), _largest(self.acquisitions)
        if plays is None or acquisitions is None or not (self.durations == self.durations[0]).all():
            return None
        return SideBySide(
            lines=self.lines,
            tables=self.tables,
            names=[self.name],
            num_clbits=np.array([self.num_clbits], dtype=np.int64),
            durations=self.durations[:1],
            plays=plays,
            play_bounds=np.array([0, len(self.plays.line)]),
            acquisitions=acquisitions,
            acquisition_bounds=np.array([0, len(self.acquisitions.line)]),
        )


Block: TypeAlias = SideBySide | Cases | tuple[Program, ...]
"""Some programs of a job, in order: those with dynamics stand alone."""


def _cut(rows: _Rows, bounds: Ints) -> Iterator[_Rows]:
    """Give the rows of each program."""
    kind, names = type(rows), rows.__slots__
    columns = [getattr(rows, name) for name in names]
    for begin, end in itertools.pairwise(bounds.tolist()):
        yield kind(**dict(zip(names, [column[begin:end] for column in columns], strict=True)))


def _each(rows: _Rows, count: int) -> Iterator[_Rows]:
    """Give the rows of each case; what is alike in all of them is one array, or one value altogether."""
    columns = [getattr(rows, name) for name in rows.__slots__]
    if all(column.ndim == 1 for column in columns):
        yield from itertools.repeat(rows, count)
        return
    kind, names = type(rows), rows.__slots__
    each = [iter(column) if column.ndim == 2 else itertools.repeat(column, count) for column in columns]
    for values in zip(*each, strict=True):
        yield kind(**dict(zip(names, values, strict=True)))


def _stacked(parts: Sequence[_Rows]) -> _Rows:
    if len(parts) == 1:
        return parts[0]
    kind = type(parts[0])
    return kind(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in kind.__slots__})


def _differing(rows: Plays | Acquisitions) -> list[str]:
    """Name the columns in which cases differ."""
    return [name for name in rows.__slots__ if getattr(rows, name).ndim == 2]


def _largest(rows: _Rows) -> _Rows | None:
    """Give rows whose numbers are the largest, in size, of those of any case; NaN is larger than all."""
    differ = _differing(rows)
    if not LARGER_IS_WORSE.issuperset(differ):
        return None
    if not differ:
        return rows
    columns = {name: getattr(rows, name) for name in rows.__slots__}
    columns.update({name: np.abs(columns[name]).max(axis=0) for name in differ})
    return type(rows)(**columns)
