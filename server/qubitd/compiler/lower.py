"""Pass: scheduled operations become plays and acquisitions, sorted by line and start, one `Program` per circuit.

Before: rows, schedule and frames of the same columns. After: no decision is left but which port a line is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from qubitd.compiler.columns import Columns, Floats, Ints, stable_order
from qubitd.compiler.frames import Frames
from qubitd.compiler.numbers import Numbers
from qubitd.compiler.schedule import Schedule
from qubitd.core.circuit import Circuit
from qubitd.core.program import Acquisitions, Plays, Program, ProgramTables


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
        plays, play_bounds = self._plays(columns, rows, numbers, schedule, frames)
        acquisitions, acquisition_bounds = self._acquisitions(columns, rows, numbers, schedule)
        for i, circuit in enumerate(circuits):
            yield Program(
                name=circuit.name,
                lines=self.lines,
                plays=_play_slice(plays, slice(play_bounds[i], play_bounds[i + 1])),
                acquisitions=_acquisition_slice(acquisitions, slice(acquisition_bounds[i], acquisition_bounds[i + 1])),
                duration=int(schedule.duration[i]),
                num_clbits=circuit.num_clbits,
                tables=self.tables,
            )

    def _plays(
        self, columns: Columns, rows: Ints, numbers: Numbers, schedule: Schedule, frames: Frames
    ) -> tuple[Plays, list[int]]:
        op, entry = _spread(numbers.play_first[rows], numbers.play_count[rows])
        source = numbers.plays
        order, bounds = self._sorted(columns, op, source.line[entry])
        op, entry = op[order], entry[order]
        phase = source.phase.at(entry, columns.params, columns.param_start[op])
        plays = Plays(
            line=source.line[entry].astype(np.uint16),
            start=schedule.start[op],
            length=source.length[entry],
            envelope=source.envelope[entry].astype(np.int32),
            amplitude=source.amplitude.at(entry, columns.params, columns.param_start[op]),
            phase=_in_frame(phase, source.position[entry], columns.qubit_start[op], frames),
            frequency=source.frequency[entry],
            frame=source.frame[entry].astype(np.int16),
        )
        return plays, bounds

    def _acquisitions(
        self, columns: Columns, rows: Ints, numbers: Numbers, schedule: Schedule
    ) -> tuple[Acquisitions, list[int]]:
        op, entry = _spread(numbers.acquisition_first[rows], numbers.acquisition_count[rows])
        source = numbers.acquisitions
        position = np.arange(len(op)) - np.searchsorted(columns.circuit[op], columns.circuit[op])
        clbit = columns.clbits[columns.clbit_start[op] + entry - numbers.acquisition_first[rows[op]]]
        order, bounds = self._sorted(columns, op, source.line[entry])
        op, entry = op[order], entry[order]
        acquisitions = Acquisitions(
            line=source.line[entry].astype(np.uint16),
            qubit=source.qubit[entry].astype(np.uint16),
            start=schedule.start[op] + source.delay[entry],
            length=source.length[entry],
            frequency=source.frequency[entry],
            phase=np.zeros(len(op)),
            clbit=clbit[order].astype(np.int32),
            order=position[order].astype(np.int32),
        )
        return acquisitions, bounds

    def _sorted(self, columns: Columns, op: Ints, line: Ints) -> tuple[Ints, list[int]]:
        """Sort by circuit and line; on a line, operations already stand in the order of their starts."""
        lines = max(1, len(self.lines))
        key = columns.circuit[op] * lines + line
        order = stable_order(key, columns.circuits * lines)
        bounds = np.searchsorted(columns.circuit[op], np.arange(columns.circuits + 1))
        return order, bounds.tolist()


def _spread(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Give (operation, entry) of everything that the operations play: `count` entries from `first` on for each."""
    op = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(op)) - np.repeat(np.cumsum(count) - count, count)
    return op, first[op] + within


def _in_frame(phase: Floats, position: Ints, qubit_start: Ints, frames: Frames) -> Floats:
    """Add the frame's phase to that of the pulse, where it has a frame."""
    framed = np.flatnonzero(position >= 0)
    phase[framed] += frames.phase[qubit_start[framed] + position[framed]]
    return np.mod(phase, 2 * np.pi)


def _play_slice(plays: Plays, part: slice) -> Plays:
    return Plays(
        line=plays.line[part],
        start=plays.start[part],
        length=plays.length[part],
        envelope=plays.envelope[part],
        amplitude=plays.amplitude[part],
        phase=plays.phase[part],
        frequency=plays.frequency[part],
        frame=plays.frame[part],
    )


def _acquisition_slice(acquisitions: Acquisitions, part: slice) -> Acquisitions:
    return Acquisitions(
        line=acquisitions.line[part],
        qubit=acquisitions.qubit[part],
        start=acquisitions.start[part],
        length=acquisitions.length[part],
        frequency=acquisitions.frequency[part],
        phase=acquisitions.phase[part],
        clbit=acquisitions.clbit[part],
        order=acquisitions.order[part],
    )
