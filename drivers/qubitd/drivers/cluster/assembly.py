"""A chunk as a Cluster takes it: per sequencer its program, waveforms, acquisition and settings. Made without I/O."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.plan import LoopPlan
from qubitd.core.ticks import to_seconds
from qubitd.drivers.cluster.line_feedback import Trigger
from qubitd.drivers.cluster.scope import ScopeLoad
from qubitd.drivers.cluster.waveforms import Waveform
from qubitd.drivers.cluster.wiring import WiredLine

SYNC_MARGIN = 1.0
"""Seconds that arming, synchronisation and time of flight may add to a run; the sequencers need microseconds."""
CLOCK_MARGIN = 0.01
"""Fraction by which a run may last longer than computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exertion:
    """What a line carries at most, in fractions of full scale."""

    amplitude: float
    """Largest |I + iQ|."""
    mean_power: float
    """Largest mean of |I + iQ|^2 over a shot with its reset."""
    mean: float
    """Largest |mean value| over a shot with its reset."""
    slew: float
    """Largest change from one nanosecond to the next."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SequencerLoad:
    """What one sequencer gets."""

    wired: WiredLine
    program: bytes
    """Q1ASM."""
    waveforms: tuple[Waveform, ...]
    """By index."""
    weights: tuple[Waveform, ...]
    """Of integrations, by index."""
    bins: int
    """Of its one acquisition; 0 for a sequencer that only plays."""
    integration: int
    """ns of each integration without weights; 0 if there is none."""
    nco_frequency: float
    """Hz at the start; 0 on a baseband output."""
    trigger: Trigger | None
    """What its acquisitions send to the others; None for nothing."""
    counts: bool
    """Whether it looks at what others send."""
    conditional: NDArray[np.bool_]
    """For each acquisition of an iteration, whether it takes place in some shots only."""
    exertion: Exertion
    digest: str
    """Of program, waveforms, weights and bins: equal digests need no new upload."""

    @property
    def waveform_bytes(self) -> int:
        """Bytes of the samples of waveforms and weights."""
        return sum(waveform.samples.nbytes for waveform in (*self.waveforms, *self.weights))

    @property
    def upload_bytes(self) -> int:
        """Bytes of program and samples."""
        return len(self.program) + self.waveform_bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadoutMap:
    """Where the acquisitions of one sequencer belong: one entry each, in the order of time within an iteration."""

    program: NDArray[np.int64]
    """Position of the program in the chunk."""
    column: NDArray[np.int64]
    """Position among the acquisitions of that program."""
    rotation: NDArray[np.complex64]
    """Factor that gives each the demodulation phase it asked for."""
    norm: NDArray[np.float64]
    """What each sum is divided by: the length of the window, or the sum of its weights."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClusterAssembly:
    """A chunk for a Cluster."""

    sequencers: tuple[SequencerLoad, ...]
    """Those that take part, by address."""
    readouts: tuple[ReadoutMap, ...]
    """For each sequencer that acquires, in the same order."""
    acquisitions: tuple[int, ...]
    """Number of acquisitions of each program."""
    feeds: bool
    """Whether outcomes feed."""
    scopes: tuple[ScopeLoad, ...]
    """What the scopes record, if the chunk wants traces."""
    loops: tuple[LoopPlan, ...]
    """How each sequencer plays the programs, if there are enough for a loop."""
    shots: int
    iteration: int
    """Ticks of one iteration of the shot loop: all programs once."""

    @property
    def duration(self) -> float:
        """Instrument time of the whole run in seconds."""
        return to_seconds(self.shots * self.iteration)

    @property
    def deadline(self) -> float:
        """Seconds of instrument time after which the run is stuck."""
        return self.duration * (1 + CLOCK_MARGIN) + SYNC_MARGIN

    @property
    def upload_bytes(self) -> int:
        """Bytes of programs and waveforms that are sent if the Cluster holds none of them."""
        return sum(load.upload_bytes for load in self.sequencers)
