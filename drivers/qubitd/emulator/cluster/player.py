"""What a started sequencer brings to a run, frozen at the moment of its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from qubitd.emulator.cluster.bins import Acquisition
from qubitd.emulator.cluster.configuration import SequencerConfiguration
from qubitd.emulator.cluster.profile import ModuleKind
from qubitd.emulator.cluster.waves import HeldWaves
from qubitd.emulator.q1.core import Code
from qubitd.emulator.q1.latches import Latches
from qubitd.emulator.q1.timeline import Timeline
from qubitd.emulator.q1.trace import Trace

SEQUENCERS_IN_SLOT = 8
"""Sequencers are numbered slot * 8 + sequencer in an event table."""
ChannelMap = tuple[frozenset[int], frozenset[int]]
"""Converters that each of a sequencer's two paths is connected to."""


class ModuleSettings(NamedTuple):
    """The front end of a module."""

    lo_frequency: tuple[float, ...]
    """Hz, of each LO by its number."""
    lo_enabled: tuple[bool, ...]
    output_attenuation: tuple[float, ...]
    """dB, of each output."""
    input_attenuation: tuple[float, ...]
    """dB, of each input."""


class Player(NamedTuple):
    """One sequencer in a run."""

    slot: int
    number: int
    """Of the sequencer in its module."""
    kind: ModuleKind
    module: ModuleSettings
    configuration: SequencerConfiguration
    code: Code
    waves: HeldWaves
    weights: HeldWaves
    acquisitions: Mapping[int, Acquisition]
    """By index."""
    outputs: ChannelMap
    inputs: ChannelMap

    @property
    def identity(self) -> int:
        """Number of the sequencer in the rack."""
        return self.slot * SEQUENCERS_IN_SLOT + self.number

    def connected_outputs(self) -> list[int]:
        """Give the connectors that either path reaches."""
        converters = 2 if self.kind.is_rf else 1
        return sorted({converter // converters for path in self.outputs for converter in path})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Performance:
    """A player with what it executed, on the common time of its run."""

    player: Player
    trace: Trace
    timeline: Timeline
    latches: Latches
