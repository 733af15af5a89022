"""A program: pulses on lines at whole ticks, as columns, after every decision of the compiler has been taken.

A program speaks of lines (`q0.drive`), never of ports. Each play carries its absolute frame phase and its frequency.
Tables of envelopes are shared: an entry is known by its content, and within one generation of a job's table an index
means the same envelope in every program, though a later program's table may be longer. All programs of a chunk have one
table.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
class Chunk:
    """What runs on the controller in one go: programs first..first+n of a job, shots first_shot..first_shot+shots."""

    programs: tuple[Program, ...]
    first_program: int
    """Index of the first program in the job (circuit, binding, grid point)."""
    first_shot: int
    shots: int
    """Times that all programs are run, one after another inside each shot."""
    reset: int
    """Ticks of waiting before each program, for a passive reset or because it was asked for."""
    raw: bool = False
    """Whether the digitisers' averaged traces are wanted; then there is one program."""
