"""Programs that were made together: side by side as `ProgramColumns`, or as cases of one circuit.

Passes look at all programs of a block at once: there is no object for each until the last moment.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from qubitd.compiler.columns import Ints
from qubitd.core.program import Acquisitions, Plays, Program, ProgramColumns, ProgramTables

_Rows = TypeVar("_Rows", Plays, Acquisitions)

LARGER_IS_WORSE = frozenset({"amplitude", "phase", "frequency"})
"""Columns of which `worst` takes the largest number, in size."""


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
    def play_bounds(self) -> Ints:
        """Where the plays of the one program begin, and where they end."""
        return np.array([0, len(self.plays.line)])

    @property
    def acquisition_bounds(self) -> Ints:
        """The same for its acquisitions."""
        return np.array([0, len(self.acquisitions.line)])

    @property
    def differ_in_phases_only(self) -> bool:
        """Whether the programs are alike but for the phases of plays in a frame, and those of acquisitions."""
        differ = {name for rows in (self.plays, self.acquisitions) for name in _differing(rows)}
        if not differ <= {"phase"} or not (self.durations == self.durations[0]).all():
            return False
        phase = self.plays.phase[..., self.plays.frame < 0]
        return phase.ndim == 1 or bool((phase == phase[0]).all())

    def worst(self) -> ProgramColumns | None:
        """Give one program whose numbers are as large as those of any; None if others than `LARGER_IS_WORSE` differ."""
        plays, acquisitions = _largest(self.plays), _largest(self.acquisitions)
        if plays is None or acquisitions is None or not (self.durations == self.durations[0]).all():
            return None
        return ProgramColumns(
            lines=self.lines,
            tables=self.tables,
            names=[self.name],
            num_clbits=np.array([self.num_clbits], dtype=np.int64),
            durations=self.durations[:1],
            plays=plays,
            play_bounds=self.play_bounds,
            acquisitions=acquisitions,
            acquisition_bounds=self.acquisition_bounds,
        )


Block: TypeAlias = ProgramColumns | Cases | tuple[Program, ...]
"""Some programs of a job, in order: those with dynamics stand alone."""


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
