"""Which sequencer of a Cluster plays each line, and through what: a rack's lines in the Cluster's own terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qubitd.drivers.cluster.modules import KINDS, ModuleKind, OutputKind
from qubitd.drivers.rack import Ceiling, ClusterInstrument, Rack


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SequencerAddress:
    """One sequencer of a Cluster."""

    slot: int
    sequencer: int

    def __str__(self) -> str:
        return f"slot{self.slot}.seq{self.sequencer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WiredLine:
    """A line and the sequencer that plays it."""

    line: str
    address: SequencerAddress
    output: int
    module: ModuleKind
    lo: float
    """Hz; 0 on a baseband module."""
    ceiling: Ceiling

    @property
    def name(self) -> str:
        """For messages: `slot1.seq0 (q0.drive)`."""
        return f"{self.address} ({self.line})"

    @property
    def output_name(self) -> str:
        """For messages: `slot1.out0`."""
        return f"slot{self.address.slot}.out{self.output}"

    @property
    def port(self) -> OutputKind:
        """What its output connector is like."""
        return self.module.outputs[self.output]

    @property
    def is_rf(self) -> bool:
        """Whether its tones are mixed up."""
        return self.port.oscillator is not None


Wiring = Mapping[str, WiredLine]
"""By line."""


def cluster_wiring(rack: Rack, instrument: ClusterInstrument) -> Wiring:
    """Give the lines of a rack that one Cluster plays."""
    wired = {}
    for line, wiring in rack.lines.items():
        slot = instrument.slot(wiring.slot)
        if wiring.instrument != instrument.name or slot is None:
            continue
        wired[line] = WiredLine(
            line=line,
            address=SequencerAddress(slot=wiring.slot, sequencer=wiring.sequencer),
            output=wiring.output,
            module=KINDS[slot.kind],
            lo=next((output.lo for output in slot.outputs if output.output == wiring.output), 0.0),
            ceiling=wiring.ceiling,
        )
    return wired
