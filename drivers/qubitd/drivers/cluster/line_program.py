"""What one sequencer does for a chunk, as register values: everything but the text, unless that of loops."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.drivers.cluster.columns import AcquisitionColumns, Layout, PlayColumns
from qubitd.drivers.cluster.line_feedback import LineFeedback
from qubitd.drivers.cluster.series import Series
from qubitd.drivers.cluster.timeline import Kind, Timeline
from qubitd.drivers.cluster.tones import Tones
from qubitd.drivers.cluster.waveforms import WaveformTable
from qubitd.drivers.cluster.weights import WeightTable
from qubitd.drivers.cluster.wiring import WiredLine

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineProgram:
    """One line's part of a chunk."""

    wired: WiredLine
    layout: Layout
    """Of the whole chunk."""
    plays: PlayColumns
    acquisitions: AcquisitionColumns
    waveforms: WaveformTable
    weights: WeightTable
    gain_real: Ints
    """Gain register of the first path, shape (plays,)."""
    gain_imag: Ints
    sets_gain: Bools
    """Whether a play needs another gain than the one before it; the first one always sets its own."""
    tones: Tones | None
    """None on a baseband output."""
    timeline: Timeline
    feedback: LineFeedback | None
    """None if nothing in the chunk depends on an outcome."""

    folds: tuple[Fold, ...] = ()
    """Programs that are played as loops, in their order."""
    turns: LineProgram | None = None
    """The same with what it repeats cut into programs, if it is only with these as loops that it fits."""
    written_out: str = ""
    """Why other programs are not; empty if there are none, or too few to ask."""
    is_known: bool = False
    """Whether it is remembered, and what follows from it."""

    @property
    def counts(self) -> bool:
        """Whether it looks at outcomes."""
        return self.feedback is not None and self.feedback.counts

    def between(self, first: int, stop: int) -> LineProgram:
        """Give the part that belongs to the programs from one to before another, written out; without feedback."""
        if first == 0 and stop == len(self.layout.begin):
            return replace(self, folds=())
        bounds = np.array([first, stop])
        plays = slice(*np.searchsorted(self.plays.program, bounds).tolist())
        acquisitions = slice(*np.searchsorted(self.acquisitions.program, bounds).tolist())
        events = slice(*np.searchsorted(self.timeline.program, bounds).tolist())
        begins = self.timeline.program[self.timeline.kind == Kind.BEGIN]
        return replace(
            self,
            plays=self.plays.select(plays),
            acquisitions=self.acquisitions.select(acquisitions),
            weights=self.weights.select(acquisitions),
            gain_real=self.gain_real[plays],
            gain_imag=self.gain_imag[plays],
            sets_gain=self.sets_gain[plays],
            tones=None
            if self.tones is None
            else self.tones.select(slice(*np.searchsorted(begins, bounds).tolist()), plays, acquisitions),
            timeline=self.timeline.select(events),
            folds=(),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """Programs of a chunk that one sequencer plays as a nest of loops."""

    first: int
    stop: int
    """Programs from here to before there."""
    begin: int
    end: int
    """Ticks of the iteration of the shot loop."""
    turns: tuple[int, ...]
    """Of each loop, outermost first."""
    part: LineProgram
    """One program with its settings as any of them needs, and of each gap the part that never changes."""
    lead_in: int
    """Ticks, of those before the first event, that never change."""
    series: tuple[Series, ...]
    counted: dict[str, dict[int, int]]
    """By the column of numbers (`gain_real`, `play_phase`, ...): the rows that count, and their series."""
    waits: dict[int, tuple[int, ...]]
    """Series of the rest of each gap that changes; gap 0 comes before the first event."""
    text: str = ""
    """Q1ASM of the loops, which are counted by it."""

    @property
    def instructions(self) -> int:
        """As many as the text has lines."""
        return self.text.count("\n")
