"""What a firmware release and the modules it drives can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Limits of one firmware release, for each sequencer."""

    sequencers: int = 6
    """In each module."""
    waveform_samples: int = 16_384
    waveforms: int = 1_024
    weight_samples: int = 16_384
    weights: int = 64
    acquisitions: int = 32
    bins: int = 131_072
    """Over all acquisitions of a sequencer; newer firmware shares 3 000 000 in a module."""
    firmware: tuple[int, int, int] = (0, 9, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleKind:
    """A kind of module."""

    name: str
    """As cabling.toml calls it."""
    outputs: int
    inputs: int
    is_rf: bool
    program_memory: int
    """Instructions of each sequencer."""
    dacs: int
    """Converters: an RF output takes two, of numbers 2o and 2o + 1."""
    switch_bits: tuple[int, ...] = ()
    """Marker bit that opens each RF output's switch."""
    oscillators: tuple[int, ...] = ()
    """Number of the LO of each RF output, as the commands count them."""

    @property
    def is_readout(self) -> bool:
        """Whether it digitises."""
        return self.inputs > 0

    @property
    def model(self) -> str:
        """As `*IDN?` and `*DESCribe?` spell it, without the RF."""
        return "QRM" if self.is_readout else "QCM"


MODULE_KINDS: Mapping[str, ModuleKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ModuleKind(name="QCM", outputs=4, inputs=0, is_rf=False, program_memory=16_384, dacs=4),
            ModuleKind(
                name="QCM-RF",
                outputs=2,
                inputs=0,
                is_rf=True,
                program_memory=16_384,
                dacs=4,
                switch_bits=(0b0001, 0b0010),
                oscillators=(0, 1),
            ),
            ModuleKind(name="QRM", outputs=2, inputs=2, is_rf=False, program_memory=12_288, dacs=2),
            ModuleKind(
                name="QRM-RF",
                outputs=1,
                inputs=1,
                is_rf=True,
                program_memory=12_288,
                dacs=2,
                switch_bits=(0b0010,),
                oscillators=(1,),
            ),
        )
    }
)
