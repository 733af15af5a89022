"""A rack: which instruments there are, what each line of the chip is wired to, and what a line must never exceed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

TimeKind = Literal["virtual", "real"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """How an RF output is set."""

    output: int
    lo: float
    """Frequency of its local oscillator, 2e9..18e9 Hz. On a module with an input it mixes the input down as well."""
    attenuation_db: int
    """Of its step attenuator, 0..60 dB in steps of 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings:
    """How an input is set."""

    input: int
    attenuation_db: int
    """0..30 dB in steps of 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A module in a Cluster."""

    slot: int
    """1..20."""
    kind: str
    """`QCM`, `QCM-RF` or `QRM-RF`."""
    outputs: tuple[OutputSettings, ...]
    """RF outputs in use; empty for baseband modules."""
    inputs: tuple[InputSettings, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterInstrument:
    """A Qblox Cluster."""

    name: str
    resource: str
    """VISA resource string."""
    serial: str
    """Serial number that it must answer with; empty accepts any."""
    timeout: float
    """Seconds that a message or an answer may take."""
    slots: tuple[Slot, ...]
    """By slot number."""

    def slot(self, number: int) -> Slot | None:
        """Find a module."""
        return next((slot for slot in self.slots if slot.slot == number), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What a line must never exceed, in fractions of the output's full scale at the attenuation of the rack file."""

    amplitude: float
    """Largest |I + iQ|, 0..sqrt(2); for a baseband line the largest |value|."""
    mean_power: float
    """Largest mean of |I + iQ|^2 over a shot with its reset, 0..2."""
    mean: float
    """Largest |mean value| over a shot with its reset (DC), 0..1."""
    slew: float
    """Largest change from one nanosecond to the next, 0..2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineWiring:
    """What a line is wired to."""

    line: str
    instrument: str
    slot: int
    output: int
    sequencer: int
    """0..5, of its own for every line."""
    ceiling: Ceiling


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorSettings:
    """Where the rack is emulated: what plays the chip."""

    cabling: str
    """Name of a cabling file of the emulator, or a path."""
    control_port: int
    """TCP port of the emulator's control socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """Everything that a rack file says."""

    name: str
    time: TimeKind
    """Whether runs take the wall-clock time that their pulses last, or only what it takes to compute them (virtual)."""
    instruments: Mapping[str, ClusterInstrument]
    lines: Mapping[str, LineWiring]
    emulator: EmulatorSettings | None
    """None for a rack of real instruments."""


def with_address(rack: Rack, host: str) -> Rack:
    """Give the same rack with its networked instruments at another host, such as where an emulated rack listens."""
    moved = {
        name: replace(instrument, resource=_with_host(instrument.resource, host))
        for name, instrument in rack.instruments.items()
    }
    return replace(rack, instruments=moved)


def _with_host(resource: str, host: str) -> str:
    return re.sub(r"^(TCPIP\d*::)[^:]+(::)", rf"\g<1>{host}\g<2>", resource, flags=re.IGNORECASE)
