"""What the kinds of Cluster modules have: outputs, local oscillators, switches, memories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SEQUENCERS = 6
"""Sequencers per module."""
REGISTERS = 64
"""Of a sequencer's processor."""
FIRST_REGISTER = 4
"""Of those for loops; the ones before are a program's own."""
MAX_WAVEFORMS = 1024
MAX_WAVEFORM_SAMPLES = 16384
MAX_WEIGHTS = 64
MAX_WEIGHT_SAMPLES = 16384
MAX_ACQUISITIONS = 32
MAX_BINS = 131072
"""Per sequencer; newer firmware lets the sequencers of a module share 3 000 000, which this never exceeds."""
MAX_SCOPE_SAMPLES = 16384
"""ns that a module's scope records."""
MAX_NCO = 500e6
"""Hz either way from the local oscillator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputKind:
    """One output connector of a kind of module."""

    paths: tuple[tuple[int, ...], tuple[int, ...]]
    """Channels that the two paths of a sequencer are connected to."""
    oscillator: int | None
    """Which local oscillator mixes it up; None for baseband."""
    marker: int
    """Marker bits that open its switch; 0 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleKind:
    """A kind of module."""

    name: str
    instructions: int
    """Program memory of each sequencer."""
    outputs: tuple[OutputKind, ...]
    inputs: int
    """Input connectors; the one of an RF module is mixed down by the oscillator of output 0."""

    @property
    def is_rf(self) -> bool:
        """Whether its outputs are mixed up."""
        return self.outputs[0].oscillator is not None


KINDS: Mapping[str, ModuleKind] = {
    kind.name: kind
    for kind in (
        ModuleKind(
            name="QCM",
            instructions=16384,
            outputs=tuple(OutputKind(paths=((channel,), ()), oscillator=None, marker=0) for channel in range(4)),
            inputs=0,
        ),
        ModuleKind(
            name="QCM-RF",
            instructions=16384,
            outputs=(
                OutputKind(paths=((0,), (1,)), oscillator=0, marker=0b0001),
                OutputKind(paths=((2,), (3,)), oscillator=1, marker=0b0010),
            ),
            inputs=0,
        ),
        ModuleKind(
            name="QRM-RF",
            instructions=12288,
            # The maker's commands call its one oscillator LO1.
            outputs=(OutputKind(paths=((0,), (1,)), oscillator=1, marker=0b0010),),
            inputs=1,
        ),
    )
}
"""The kinds that this driver knows, by the name that a rack file uses."""
