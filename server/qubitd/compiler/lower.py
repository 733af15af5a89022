"""Pass: scheduled operations become plays and acquisitions, sorted by line and start, one program per circuit, or for
each case (binding and point) of one circuit.

Before: rows, schedule and frames of the same columns. After: no decision is left but which port a line is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.block import Cases, SideBySide
from qubitd.compiler.columns import Columns, Floats, Ints, stable_order
from qubitd.compiler.frames import Frames
from qubitd.compiler.numbers import Numbers, Share
from qubitd.compiler.schedule import Schedule
from qubitd.compiler.turns import to_radians, to_steps
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
            durations=schedule.duration.repeat(count // len(schedule.duration)),
            plays=self._plays(columns, rows, numbers, schedule, frames)[0],
            acquisitions=self._acquisitions(columns, rows, numbers, schedule)[0],
        )

    def _plays(
        self, columns: Columns, rows: Ints, numbers: Numbers, schedule: Schedule, frames: Frames
    ) -> tuple[Plays, Ints]:
        source = numbers.plays
        found = self._rows(columns, rows, numbers.own_plays, source.line)
        op, entry = found.op, found.entry
        param_start = columns.param_start.take(op)
        plays = Plays(
            line=source.line.take(entry),
            start=schedule.start.take(op, axis=-1),
            length=source.length.take(entry),
            envelope=source.envelope.take(entry),
            amplitude=source.amplitude.at(entry, columns.params, param_start),
            phase=_phases(columns, numbers, frames, op=op, entry=entry, param_start=param_start),
            frequency=source.frequency.take(entry, axis=-1),
            frame=source.frame.take(entry),
        )
        return plays, found.bounds

    def _acquisitions(
        self, columns: Columns, rows: Ints, numbers: Numbers, schedule: Schedule
    ) -> tuple[Acquisitions, Ints]:
        source = numbers.acquisitions
        found = self._rows(columns, rows, numbers.own_acquisitions, source.line)
        op, entry = found.op, found.entry
        outcome = columns.clbit_start.take(op) + entry - numbers.own_acquisitions.first.take(rows.take(op))
        acquisitions = Acquisitions(
            line=source.line.take(entry),
            qubit=source.qubit.take(entry),
            start=schedule.start.take(op, axis=-1) + source.delay.take(entry),
            length=source.length.take(entry),
            frequency=source.frequency.take(entry, axis=-1),
            phase=np.zeros(len(op)),
            # 32 bits: HERALD_CLBIT of a circuit becomes HERALD of a program.
            clbit=columns.clbits.take(outcome).astype(np.uint32).view(np.int32),
            order=(found.order - found.bounds.take(found.circuit)).astype(np.int32),
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
        op, entry = _spread(share, rows)
        lines = max(1, len(self.lines))
        circuit = columns.circuit.take(op)
        order = stable_order(circuit * lines + line.take(entry), columns.circuits * lines)
        bounds = circuit.searchsorted(np.arange(columns.circuits + 1))
        return _Rows(op=op.take(order), entry=entry.take(order), circuit=circuit, order=order, bounds=bounds)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Plays or acquisitions of all operations, in the order of programs."""

    op: Ints
    """The operation of each."""
    entry: Ints
    """Its numbers."""
    circuit: Ints
    """Its circuit, whose plays or acquisitions stand together in both orders."""
    order: Ints
    """Its place in the order of operations."""
    bounds: Ints
    """Where those of each circuit begin, and where those of the last one end; the same in both orders."""


def _spread(share: Share, rows: Ints) -> tuple[Ints, Ints]:
    """Give (operation, entry) of everything that the operations play, the share of the row of each."""
    times = share.count.take(rows)
    if share.most <= 1:
        op = times.nonzero()[0]
        return op, share.first.take(rows.take(op))
    op = np.arange(len(rows)).repeat(times)
    within = np.arange(len(op)) - (times.cumsum() - times).repeat(times)
    return op, share.first.take(rows.take(op)) + within


def _phases(columns: Columns, numbers: Numbers, frames: Frames, *, op: Ints, entry: Ints, param_start: Ints) -> Floats:
    """Add the frame's phase to that of the pulse, where it has a frame."""
    own = numbers.plays.phase
    if own.factors.shape[1]:
        steps = to_steps(own.at(entry, columns.params, param_start))
    else:
        steps = numbers.plays.phase_steps.take(entry, axis=-1)
    if not frames.is_turned:
        return to_radians(steps)
    position = numbers.plays.position.take(entry)
    framed = (position >= 0).nonzero()[0]
    if len(framed) == len(op):
        return to_radians(steps + frames.steps.take(columns.qubit_start.take(op) + position, axis=-1))
    if frames.steps.ndim > steps.ndim:
        steps = np.repeat(steps[np.newaxis], len(frames.steps), axis=0)
    operand = columns.qubit_start.take(op.take(framed)) + position.take(framed)
    steps[..., framed] += frames.steps.take(operand, axis=-1)
    return to_radians(steps)
