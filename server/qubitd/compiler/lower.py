"""Pass: scheduled operations become plays and acquisitions, sorted by line and start, one program per circuit, or for
each case (binding and point) of one circuit.

Before: rows, schedule and frames of the same columns. After: no decision is left but which port a line is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler import native
from qubitd.compiler.block import Cases
from qubitd.compiler.columns import Columns, Floats, Ints, Keys, is_ascending, picked, stable_order
from qubitd.compiler.frames import Frames
from qubitd.compiler.numbers import Numbers, Share
from qubitd.compiler.schedule import Schedule
from qubitd.compiler.turns import to_radians, to_steps
from qubitd.core.circuit import Circuit
from qubitd.core.program import Acquisitions, Plays, ProgramColumns, ProgramTables

_RARE = 16
"""Operations for each that plays or acquires, if these are so few that NumPy finds them as fast."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lower:
    """Turns columns into programs that speak of these lines and tables."""

    lines: tuple[str, ...]
    tables: ProgramTables

    def __call__(
        self,
        names: Sequence[str],
        num_clbits: Ints,
        columns: Columns,
        rows: Ints,
        numbers: Numbers,
        schedule: Schedule,
        frames: Frames,
    ) -> ProgramColumns:
        """Give the programs of the circuits of the block, in order."""
        plays, play_bounds = self._plays(columns, rows, numbers, schedule, frames)
        acquisitions, acquisition_bounds = self._acquisitions(columns, rows, numbers, schedule)
        return ProgramColumns(
            lines=self.lines,
            tables=self.tables,
            names=names,
            num_clbits=num_clbits,
            durations=schedule.duration,
            plays=plays,
            play_bounds=play_bounds,
            acquisitions=acquisitions,
            acquisition_bounds=acquisition_bounds,
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
    ) -> Cases:
        """Give the programs of one circuit, whose columns have an axis in front wherever its cases differ."""
        return Cases(
            lines=self.lines,
            tables=self.tables,
            name=circuit.name,
            num_clbits=circuit.num_clbits,
            durations=schedule.duration.repeat(count // len(schedule.duration)),
            plays=self._plays(columns, rows, numbers, schedule, frames)[0],
            acquisitions=self._acquisitions(columns, rows, numbers, schedule)[0],
        )

    def _plays(
        self, columns: Columns, rows: Ints, numbers: Numbers, schedule: Schedule, frames: Frames
    ) -> tuple[Plays, Ints]:
        done = self._plays_by_loop(columns, rows, numbers, schedule, frames) if native.are_many(rows) else None
        if done is not None:
            return done
        source = numbers.plays
        found = self._rows(columns, rows, numbers.own_plays, source.line)
        op, entry = found.op, found.entry
        plays = Plays(
            line=source.line.take(entry),
            start=picked(schedule.start, op),
            length=source.length[entry],
            envelope=source.envelope.take(entry),
            amplitude=source.amplitude.at(entry, op, columns),
            phase=_phases(columns, numbers, frames, op=op, entry=entry),
            frequency=picked(source.frequency, entry),
            frame=source.frame.take(entry),
        )
        return plays, found.bounds

    def _plays_by_loop(
        self, columns: Columns, rows: Ints, numbers: Numbers, schedule: Schedule, frames: Frames
    ) -> tuple[Plays, Ints] | None:
        source, share = numbers.plays, numbers.own_plays
        return native.plays(
            columns.circuit,
            rows,
            share.first,
            share.count,
            schedule.start,
            columns.qubit_start,
            frames.steps,
            source,
            source.amplitude.with_columns(columns),
            source.phase.with_columns(columns),
            circuits=columns.circuits,
            lines=max(1, len(self.lines)),
        )

    def _acquisitions(
        self, columns: Columns, rows: Ints, numbers: Numbers, schedule: Schedule
    ) -> tuple[Acquisitions, Ints]:
        source = numbers.acquisitions
        found = self._rows(columns, rows, numbers.own_acquisitions, source.line)
        op, entry = found.op, found.entry
        outcome = columns.clbit_start[op]
        if numbers.own_acquisitions.most > 1:
            outcome = outcome + entry - numbers.own_acquisitions.first[rows[op]]
        acquisitions = Acquisitions(
            line=source.line.take(entry),
            qubit=source.qubit.take(entry),
            start=picked(schedule.start, op) + source.delay[entry],
            length=source.length[entry],
            frequency=picked(source.frequency, entry),
            phase=np.zeros(len(op)),
            # 32 bits: HERALD_CLBIT of a circuit becomes HERALD of a program.
            clbit=columns.clbits[outcome].astype(np.uint32).view(np.int32),
            order=found.place.astype(np.int32),
            kernel=source.kernel.take(entry),
        )
        return acquisitions, found.bounds

    def origins(self, columns: Columns, rows: Ints, numbers: Numbers) -> tuple[Ints, Ints]:
        """Give the operation of each play, and of each acquisition, in the order of a program's rows."""
        plays = self._rows(columns, rows, numbers.own_plays, numbers.plays.line)
        return plays.op, self._rows(columns, rows, numbers.own_acquisitions, numbers.acquisitions.line).op

    def _rows(self, columns: Columns, rows: Ints, share: Share, line: NDArray[np.uint16]) -> _Rows:
        """Lay out what operations play or acquire: the share of the row of each.

        Sorted by circuit and line; on a line, operations already stand in the order of their starts.
        """
        lines = max(1, len(self.lines))
        has_any = share.is_any.take(rows)
        if native.are_many(rows) and np.count_nonzero(has_any) * _RARE > len(rows):
            done = native.lay_out(
                columns.circuit, rows, share.first, share.count, line, circuits=columns.circuits, lines=lines
            )
            if done is not None:
                op, entry, order, bounds = done
                return _Rows(op=op, entry=entry, order=order, bounds=bounds)
        op, entry = _spread(share, rows, has_any)
        key: Keys = line.take(entry)
        bounds, circuit = np.array([0, len(op)]), None
        if columns.circuits > 1:
            circuit = columns.circuit[op]
            key = circuit * lines + key
            bounds = circuit.searchsorted(np.arange(columns.circuits + 1))
        if is_ascending(key):
            order = np.arange(len(op))
        else:
            order = stable_order(key, columns.circuits * lines)
            op, entry = op[order], entry[order]
        return _Rows(op=op, entry=entry, order=order, bounds=bounds, circuit=circuit)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Plays or acquisitions of all operations, in the order of programs."""

    op: Ints
    """The operation of each."""
    entry: Ints
    """Its numbers."""
    order: Ints
    """Its place in the order of operations; of its circuit's own if `circuit` is None."""
    bounds: Ints
    """Where those of each circuit begin, and where those of the last one end; the same in both orders."""
    circuit: Ints | None = None

    @property
    def place(self) -> Ints:
        """Its place in the order of its circuit's operations."""
        return self.order if self.circuit is None else self.order - self.bounds[self.circuit]


def _spread(share: Share, rows: Ints, has_any: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Give (operation, entry) of everything that the operations play, the share of the row of each, if it has any."""
    if share.most <= 1:
        op = has_any.nonzero()[0]
        return op, share.first[rows[op]]
    times = share.count[rows]
    op = np.arange(len(rows)).repeat(times)
    within = np.arange(len(op)) - (times.cumsum() - times).repeat(times)
    return op, share.first[rows[op]] + within


def _phases(columns: Columns, numbers: Numbers, frames: Frames, *, op: Ints, entry: Ints) -> Floats:
    """Add the frame's phase to that of the pulse, where it has a frame."""
    own = numbers.plays.phase
    has_angles = own.factors.shape[1] > 0
    if not (has_angles or frames.is_turned):
        return picked(numbers.plays.phase_wrapped, entry)
    steps = to_steps(own.at(entry, op, columns)) if has_angles else picked(numbers.plays.phase_steps, entry)
    if not frames.is_turned:
        return to_radians(steps)
    position = numbers.plays.position[entry]
    frameless = (position < 0).nonzero()[0]
    operand = columns.qubit_start[op]
    operand += position
    operand[frameless] = 0
    turned = picked(frames.steps, operand)
    turned[..., frameless] = 0
    return to_radians(steps + turned)
