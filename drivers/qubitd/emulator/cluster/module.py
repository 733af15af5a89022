"""A module in its slot: sequencers and front end."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from qubitd.emulator.cluster.player import ModuleSettings
from qubitd.emulator.cluster.profile import ModuleKind, Profile
from qubitd.emulator.cluster.scope import Scope
from qubitd.emulator.cluster.sequencer import Sequencer
from qubitd.emulator.errors import ScpiError
from qubitd.emulator.q1.assembler import SUCCESS
from qubitd.emulator.scpi.status import Status

_LO_AT_RESET = 6e9
_MOST_ATTENUATION_OUT = 60
_MOST_ATTENUATION_IN = 30


class FrontEnd:
    """LOs and step attenuators; after a reset LOs are off."""

    def __init__(self, kind: ModuleKind) -> None:
        self._kind = kind
        count = max(kind.oscillators, default=-1) + 1
        self.lo_frequency = [_LO_AT_RESET] * count
        self.lo_enabled = [False] * count
        self.output_attenuation = [0.0] * kind.outputs
        self.input_attenuation = [0.0] * kind.inputs

    def settings(self) -> ModuleSettings:
        """Freeze the settings for a run."""
        return ModuleSettings(
            lo_frequency=tuple(self.lo_frequency),
            lo_enabled=tuple(self.lo_enabled),
            output_attenuation=tuple(self.output_attenuation),
            input_attenuation=tuple(self.input_attenuation),
        )

    def require_oscillator(self, number: int) -> int:
        """Check the number of an LO."""
        if number not in self._kind.oscillators:
            known = ", ".join(f"LO{i}" for i in self._kind.oscillators) or "none"
            raise ScpiError(-241, f"a {self._kind.name} has no LO{number}; it has {known}")
        return number

    def require_output(self, number: int) -> int:
        """Check the number of an RF output."""
        if not self._kind.is_rf or number >= self._kind.outputs:
            raise ScpiError(-241, f"a {self._kind.name} has no RF output {number}")
        return number

    def require_input(self, number: int) -> int:
        """Check the number of an RF input."""
        if not self._kind.is_rf or number >= self._kind.inputs:
            raise ScpiError(-241, f"a {self._kind.name} has no RF input {number}")
        return number

    @property
    def most_output_attenuation(self) -> int:
        """Largest setting of an output's attenuator, dB."""
        return _MOST_ATTENUATION_OUT

    @property
    def most_input_attenuation(self) -> int:
        """Largest setting of an input's attenuator, dB."""
        return _MOST_ATTENUATION_IN


class Module:
    """What is in one slot."""

    def __init__(self, *, slot: int, kind: ModuleKind, profile: Profile) -> None:
        self.slot = slot
        self.kind = kind
        self.status = Status()
        self._profile = profile
        self.reset()

    def reset(self) -> None:
        """Do `*RST`: everything uploaded or set is gone; sequencers stop."""
        self.front_end = FrontEnd(self.kind)
        self.sequencers = tuple(
            Sequencer(slot=self.slot, number=number, kind=self.kind, profile=self._profile)
            for number in range(self._profile.sequencers)
        )
        self.scope = Scope(sequencers=self._profile.sequencers)
        self.assembly_succeeded = True
        self.assembly_log = SUCCESS

    def sequencer(self, number: int) -> Sequencer:
        """Find a sequencer by its number."""
        if number >= len(self.sequencers):
            raise ScpiError(-114, f"sequencer {number}; slot {self.slot} has 0 to {len(self.sequencers) - 1}")
        return self.sequencers[number]

    def held_markers(self, without: Collection[Sequencer] = ()) -> int:
        """Give the marker bits that sequencers hold by the last runs or by their settings, some left out."""
        held = 0
        for sequencer in self.sequencers:
            if sequencer not in without:
                override = sequencer.configuration.marker_override
                held |= sequencer.marker if override is None else override
        return held

    def open_switches(self) -> Iterator[int]:
        """Give the RF outputs that the markers left by the last runs hold open."""
        held = self.held_markers()
        for output, bit in enumerate(self.kind.switch_bits):
            if held & bit:
                yield output
