"""Which sequencer of a Cluster plays each line, and through what: a rack's lines in the Cluster's own terms."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from qubitd.drivers.cluster.modules import KINDS, SEQUENCERS, ModuleKind, OutputKind
from qubitd.drivers.rack import Ceiling, ClusterInstrument, LineWiring, Rack


class SequencerAddress(NamedTuple):
    """One sequencer of a Cluster; by it everything is looked up that concerns one."""

    slot: int
    sequencer: int

    def __str__(self) -> str:
        return f"slot{self.slot}.seq{self.sequencer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WiredLine:
    """A line and the sequencer that plays it."""

    line: str
    address: SequencerAddress
    spare: SequencerAddress | None
    """A sequencer of the same module that no line has, to take turns with; None if the line has only its own."""
    output: int
    module: ModuleKind
    lo: float
    """Hz; 0 on a baseband module."""
    ceiling: Ceiling

    @property
    def addresses(self) -> tuple[SequencerAddress, ...]:
        """The sequencers that can play it."""
        return (self.address,) if self.spare is None else (self.address, self.spare)

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
    """Give the lines of a rack that one Cluster plays. Those that only play have a spare as far as there are any."""
    lines = {line: wiring for line, wiring in rack.lines.items() if wiring.instrument == instrument.name}
    spares = _spares(lines.values())
    wired = {}
    for line, wiring in lines.items():
        slot = instrument.slot(wiring.slot)
        if slot is None:
            continue
        kind = KINDS[slot.kind]
        wired[line] = WiredLine(
            line=line,
            address=SequencerAddress(slot=wiring.slot, sequencer=wiring.sequencer),
            spare=next(spares[wiring.slot], None) if not kind.inputs else None,
            output=wiring.output,
            module=kind,
            lo=next((output.lo for output in slot.outputs if output.output == wiring.output), 0.0),
            ceiling=wiring.ceiling,
        )
    return wired


def _spares(lines: Collection[LineWiring]) -> Mapping[int, Iterator[SequencerAddress]]:
    """Give the sequencers that no line has, by slot."""
    taken = {(wiring.slot, wiring.sequencer) for wiring in lines}
    return {
        slot: iter([SequencerAddress(slot=slot, sequencer=n) for n in range(SEQUENCERS) if (slot, n) not in taken])
        for slot in {wiring.slot for wiring in lines}
    }
