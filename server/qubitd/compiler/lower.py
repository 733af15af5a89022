"""Pass: scheduled operations become plays and acquisitions, sorted by line and start, one program per circuit, or for
each case (binding and point) of one circuit.

Before: rows, schedule and frames of the same columns. After: no decision is left but which port a line is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qubitd.compiler.block import Cases, SideBySide
from qubitd.compiler.columns import Columns, Floats, Ints, stable_order
from qubitd.compiler.frames import Frames, to_radians, to_steps
from qubitd.compiler.numbers import Numbers
from qubitd.compiler.schedule import Schedule
from qubitd.core.circuit import Circuit
from qubitd.core.program import Acquisitions, Plays, ProgramTables


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
    ) -> SideBySide:
        """Give the programs of the circuits of the block, in order."""
        plays, play_bounds = self._plays(columns, rows, numbers, schedule, frames)
        acquisitions, acquisition_bounds = self._acquisitions(columns, rows, numbers, schedule)
        return SideBySide(
            lines=self.lines,
            tables=self.tables,
            names=[circuit.name for circuit in circuits],
            num_clbits=[circuit.num_clbits for circuit in circuits],
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
            durations=np.broadcast_to(schedule.duration, count),
            plays=self._plays(columns, rows, numbers, schedule, frames)[0],
            acquisitions=self._acquisitions(columns, rows, numbers, schedule)[0],
        )

    def _plays(
        self, columns: Columns, rows: Ints, numbers: Numbers, schedule: Schedule, frames: Frames
    ) -> tuple[Plays, Ints]:
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
    ) -> tuple[Acquisitions, Ints]:
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

    def _play_rows(self, columns: Columns, rows: Ints, numbers: Numbers) -> tuple[Ints, Ints, Ints]:
        op, entry = _spread(numbers.play_first, numbers.play_count, rows)
        order, bounds = self._sorted(columns, op, numbers.plays.line.take(entry))
        return op.take(order), entry.take(order), bounds

    def _sorted(self, columns: Columns, op: Ints, line: Ints) -> tuple[Ints, Ints]:
        """Sort by circuit and line; on a line, operations already stand in the order of their starts."""
        lines = max(1, len(self.lines))
        circuit = columns.circuit.take(op)
        bounds = np.searchsorted(circuit, np.arange(columns.circuits + 1))
        order = stable_order(circuit * lines + line, columns.circuits * lines)
        return order, bounds


def _spread(first: Ints, count: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Give (operation, entry) of everything that the operations play: `count` entries from `first` on for each row."""
    times = count.take(rows)
    if count.max(initial=0) <= 1:
        op = np.flatnonzero(times)
        return op, first.take(rows.take(op))
    op = np.repeat(np.arange(len(rows)), times)
    within = np.arange(len(op)) - np.repeat(np.cumsum(times) - times, times)
    return op, first.take(rows.take(op)) + within


def _phases(columns: Columns, numbers: Numbers, frames: Frames, *, op: Ints, entry: Ints, param_start: Ints) -> Floats:
    """Add the frame's phase to that of the pulse, where it has a frame."""
    own, position = numbers.plays.phase, numbers.plays.position.take(entry)
    if own.factors.shape[1]:
        steps = to_steps(own.at(entry, columns.params, param_start))
    else:
        steps = to_steps(own.constant).take(entry, axis=-1)
    framed = np.flatnonzero(position >= 0)
    if len(framed) == len(op):
        return to_radians(steps + frames.steps.take(columns.qubit_start.take(op) + position, axis=-1))
    if frames.steps.ndim > steps.ndim:
        steps = np.repeat(steps[np.newaxis], len(frames.steps), axis=0)
    operand = columns.qubit_start.take(op.take(framed)) + position.take(framed)
    steps[..., framed] += frames.steps.take(operand, axis=-1)
    return to_radians(steps)
