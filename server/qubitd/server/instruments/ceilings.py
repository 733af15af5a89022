"""What a rack allows on its lines, in the compiler's terms: a program that is too loud is refused before it queues."""

from __future__ import annotations

from qubitd.compiler.verify import Ceilings
from qubitd.drivers.rack import Rack


def ceilings_of(rack: Rack) -> Ceilings:
    """Give the highest amplitude of each line, and which lines share an output."""
    outputs: dict[tuple[str, int, int], list[str]] = {}
    for name, wiring in rack.lines.items():
        outputs.setdefault((wiring.instrument, wiring.slot, wiring.output), []).append(name)
    return Ceilings(
        amplitude={name: wiring.ceiling.amplitude for name, wiring in rack.lines.items()},
        feedlines=tuple(tuple(lines) for lines in outputs.values() if len(lines) > 1),
    )
