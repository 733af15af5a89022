"""Pass: scheduled operations become plays and acquisitions, sorted by line and start, one `Program` per circuit, or for
each case (binding and point) of one circuit.

Before: rows, schedule and frames of the same columns. After: no decision is left but which port a line is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from qubitd.compiler.columns import Columns, Floats, Ints, stable_order
from qubitd.compiler.frames import Frames, to_radians, to_steps
from qubitd.compiler.numbers import Numbers
from qubitd.compiler.schedule import Schedule
from qubitd.core.circuit import Circuit
from qubitd.core.program import Acquisitions, Plays, Program, ProgramTables

_Rows = TypeVar("_Rows", Plays, Acquisitions)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lower:
    """Turns columns into programs that speak of these lines and tables."""

    lines: tuple[str, ...]
    tables: ProgramTables

    def __call__(
        self,
        circuits: Sequence[Circuit],
        columns: Columns,
        rows: Ints,
        numbers: Numbers,
        schedule: Schedule,
        frames: Frames,
    ) -> Iterator[Program]:
        """Give the program of each circuit of the block, in order."""
        plays = _parts(*self._plays(columns, rows, numbers, schedule, frames))
        acquisitions = _parts(*self._acquisitions(columns, rows, numbers, schedule))
        durations = schedule.duration.tolist()
        for circuit, own_plays, own_acquisitions, duration in zip(
            circuits, plays, acquisitions, durations, strict=True
        ):
            yield Program(
                name=circuit.name,
                lines=self.lines,
                plays=own_plays,
                acquisitions=own_acquisitions,
                duration=duration,
                num_clbits=circuit.num_clbits,
                tables=self.tables,
            )

    def cases(
        self,
        circuit: Circuit,
        columns: Columns,
        rows: Ints,
        numbers: Numbers,
        schedule: Schedule,
        frames: Frames,
        *,
        count: int,
    ) -> Iterator[Program]:
        """Give the programs of one circuit, whose columns have an axis in front wherever its cases differ."""
        plays, _ = self._plays(columns, rows, numbers, schedule, frames)
        acquisitions, _ = self._acquisitions(columns, rows, numbers, schedule)
        durations = np.broadcast_to(schedule.duration, count).tolist()
        for own_plays, own_acquisitions, duration in zip(
            _cases(plays, count), _cases(acquisitions, count), durations, strict=True
        ):
            yield Program(
                name=circuit.name,
                lines=self.lines,
                plays=own_plays,
                acquisitions=own_acquisitions,
                duration=duration,
                num_clbits=circuit.num_clbits,
                tables=self.tables,
            )

    def _plays(
        self, columns: Columns, rows: Ints, numbers: Numbers, schedule: Schedule, frames: Frames
    ) -> tuple[Plays, list[int]]:
        op, entry, bounds = self._play_rows(columns, rows, numbers)
        source = numbers.plays
        param_start = columns.param_start.take(op)
        plays = Plays(
            line=source.line.astype(np.uint16).take(entry),
            start=schedule.start.take(op, axis=-1),
            length=source.length.take(entry),
            envelope=source.envelope.astype(np.int32).take(entry),
            amplitude=source.amplitude.at(entry, columns.params, param_start),
            phase=_phases(columns, numbers, frames, op=op, entry=entry, param_start=param_start),
            frequency=source.frequency.take(entry, axis=-1),
            frame=source.frame.astype(np.int16).take(entry),
        )
        return plays, bounds

    def _acquisitions(
        self, columns: Columns, rows: Ints, numbers: Numbers, schedule: Schedule
    ) -> tuple[Acquisitions, list[int]]:
        op, entry = _spread(numbers.acquisition_first, numbers.acquisition_count, rows)
        source = numbers.acquisitions
        position = np.arange(len(op)) - np.searchsorted(columns.circuit[op], columns.circuit[op])
        clbit = columns.clbits[columns.clbit_start[op] + entry - numbers.acquisition_first[rows[op]]]
        order, bounds = self._sorted(columns, op, source.line[entry])
        op, entry = op[order], entry[order]
        acquisitions = Acquisitions(
            line=source.line[entry].astype(np.uint16),
            qubit=source.qubit[entry].astype(np.uint16),
            start=schedule.start.take(op, axis=-1) + source.delay[entry],
            length=source.length[entry],
            frequency=source.frequency.take(entry, axis=-1),
            phase=np.zeros(len(op)),
            # 32 bits: HERALD_CLBIT of a circuit becomes HERALD of a program.
            clbit=clbit[order].astype(np.uint32).view(np.int32),
            order=position[order].astype(np.int32),
            kernel=source.kernel.astype(np.int32)[entry],
        )
        return acquisitions, bounds

    def origins(self, columns: Columns, rows: Ints, numbers: Numbers) -> tuple[Ints, Ints]:
        """Give the operation of each play, and of each acquisition, in the order of a program's rows."""
        play_op, _, _ = self._play_rows(columns, rows, numbers)
        op, entry = _spread(numbers.acquisition_first, numbers.acquisition_count, rows)
        order, _ = self._sorted(columns, op, numbers.acquisitions.line[entry])
        return play_op, op[order]

    def _play_rows(self, columns: Columns, rows: Ints, numbers: Numbers) -> tuple[Ints, Ints, list[int]]:
        op, entry = _spread(numbers.play_first, numbers.play_count, rows)
        order, bounds = self._sorted(columns, op, numbers.plays.line.take(entry))
        return op.take(order), entry.take(order), bounds

    def _sorted(self, columns: Columns, op: Ints, line: Ints) -> tuple[Ints, list[int]]:
        """Sort by circuit and line; on a line, operations already stand in the order of their starts."""
        lines = max(1, len(self.lines))
        circuit = columns.circuit.take(op)
        bounds = np.searchsorted(circuit, np.arange(columns.circuits + 1))
        order = stable_order(circuit * lines + line, columns.circuits * lines)
        return order, bounds.tolist()


def _spread(first: Ints, count: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Give (operation, entry) of everything that the operations play: `count` entries from `first` on for each row."""
    times = count.take(rows)
    op = np.repeat(np.arange(len(rows)), times)
    entry = first.take(rows).take(op)
    if count.max(initial=0) > 1:
        entry += np.arange(len(op)) - np.repeat(np.cumsum(times) - times, times)
    return op, entry


def _phases(columns: Columns, numbers: Numbers, frames: Frames, *, op: Ints, entry: Ints, param_start: Ints) -> Floats:
    """Add the frame's phase to that of the pulse, where it has a frame."""
    own, position = numbers.plays.phase, numbers.plays.position.take(entry)
    if own.factors.shape[1]:
        steps = to_steps(own.at(entry, columns.params, param_start))
    else:
        steps = to_steps(own.constant).take(entry, axis=-1)
    framed = np.flatnonzero(position >= 0)
    if frames.steps.ndim > steps.ndim:
        steps = np.repeat(steps[np.newaxis], len(frames.steps), axis=0)
    steps[..., framed] += frames.steps.take(columns.qubit_start.take(op[framed]) + position[framed], axis=-1)
    return to_radians(steps)


def _parts(rows: _Rows, bounds: Sequence[int]) -> Iterator[_Rows]:
    """Give the rows of each circuit, which end where those of the next one begin."""
    kind, names = type(rows), rows.__slots__
    columns = [getattr(rows, name) for name in names]
    for begin, end in itertools.pairwise(bounds):
        yield kind(**dict(zip(names, [column[begin:end] for column in columns], strict=True)))


def _cases(rows: _Rows, count: int) -> Iterator[_Rows]:
    """Give the rows of each case; what is alike in all of them is one array, or one value altogether."""
    columns = [getattr(rows, name) for name in rows.__slots__]
    if all(column.ndim == 1 for column in columns):
        yield from itertools.repeat(rows, count)
        return
    kind, names = type(rows), rows.__slots__
    each = [iter(column) if column.ndim == 2 else itertools.repeat(column, count) for column in columns]
    for values in zip(*each, strict=True):
        yield kind(**dict(zip(names, values, strict=True)))
