"""What the emulated instruments really put on their connectors, as columns: the one thing the chip is told.

One `EventTable` describes one iteration of the instruments' shot loop and says how often it was repeated.
Rows hold only what left a connector: a play behind a closed RF switch, or with its LO off, has no row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Waveform:
    """Envelope samples as held by an instrument, 1 ns apart."""

    samples: NDArray[np.complex128]
    """Path 0 + 1j * path 1, shape (length,), fraction of DAC full scale, before gain. Real for a baseband output."""
    digest: str
    """Hash of the samples, made once when they were uploaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPort:
    """One output connector and the state it was in while the table was played."""

    name: str
    """`slot<s>.out<o>`, as cabling.toml names it."""
    lo_frequency: float
    """Hz; 0 for a baseband output."""
    attenuation_db: float
    """Of the output's step attenuator; 0 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPort:
    """One digitiser connector and its state."""

    name: str
    """`slot<s>.in<i>`."""
    lo_frequency: float
    """Hz of the down-converting LO."""
    attenuation_db: float


EVERY_SHOT = -1
"""Condition of a row that takes place in every shot."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Condition:
    """Something that holds in some shots, because of what acquisitions of the same table found."""

    outcomes: tuple[int, ...]
    """Rows of acquisitions, all of which send triggers; the latest of them ends before the condition counts."""
    truth: NDArray[np.bool_]
    """Shape (2 ** len(outcomes),): whether it holds when bit i of the index says that acquisition i sent its
    trigger."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plays:
    """Stretches of output, one row each, sorted by start. Every column has shape (rows,).

    Signal at the connector, t in ns from the row's start, n = floor(t):
    RF port: Re[(gain_i Re w[n] + 1j gain_q Im w[n]) exp(2j pi (phase + frequency t 1e-9)) exp(2j pi lo_frequency T)],
    with T the absolute time (the LO never stops); baseband port: the same with both frequencies 0 and the real part
    taken.
    """

    start: NDArray[np.int64]
    """ns from the start of the table."""
    length: NDArray[np.int64]
    """ns really played: less than the waveform's length where a later play cut it off."""
    port: NDArray[np.int32]
    """Index into `EventTable.outputs`."""
    waveform: NDArray[np.int32]
    """Index into `EventTable.waveforms`."""
    gain_i: NDArray[np.float64]
    gain_q: NDArray[np.float64]
    """-1..1."""
    frequency: NDArray[np.float64]
    """NCO, Hz; 0 where modulation is off."""
    phase: NDArray[np.float64]
    """NCO phase at the row's start, turns in [0, 1): accumulated since its last reset, plus `set_ph`."""
    condition: NDArray[np.int32]
    """Index into `EventTable.conditions`, `EVERY_SHOT` for none. Rows that exclude each other may overlap."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Acquisitions:
    """Integrations, one row each, sorted by start. Every column has shape (rows,)."""

    start: NDArray[np.int64]
    """ns from the start of the table: first sample integrated, at the digitiser's connector."""
    length: NDArray[np.int64]
    """ns integrated."""
    port: NDArray[np.int32]
    """Index into `EventTable.inputs`."""
    sequencer: NDArray[np.int32]
    """Which sequencer asked (slot * 8 + sequencer): keeps rows apart that start together."""
    weight: NDArray[np.int32]
    """Index into `EventTable.waveforms` (path 0 = real part, path 1 = imaginary part), -1 for a square window."""
    frequency: NDArray[np.float64]
    """Demodulating NCO, Hz."""
    phase: NDArray[np.float64]
    """NCO phase at the row's start, turns."""
    condition: NDArray[np.int32]
    """Index into `EventTable.conditions`, `EVERY_SHOT` for none."""
    feeds: NDArray[np.bool_]
    """Whether the instruments have to know the points at the end of the window to go on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EventTable:
    """One iteration of the shot loop over all instruments of a rack, and how often it ran."""

    shots: int
    duration: int
    """ns from the start of one iteration to the start of the next."""
    outputs: tuple[OutputPort, ...]
    inputs: tuple[InputPort, ...]
    waveforms: tuple[Waveform, ...]
    plays: Plays
    acquisitions: Acquisitions
    conditions: tuple[Condition, ...] = ()
