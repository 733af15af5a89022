"""From a compiled program to what each line is to carry, for a picture: as `played` does from what was played."""

from __future__ import annotations

import numpy as np

from qubitd.cli.pictures.pulses import PlayedLine, PlayedPulse, Window
from qubitd.core.feedforward import ALWAYS
from qubitd.core.program import Program
from qubitd.drivers.rack import Rack


def planned_lines(program: Program, rack: Rack) -> tuple[PlayedLine, ...]:
    """Sort a program by its lines; time counts from the first pulse, phases from each line's first."""
    first = int(program.plays.start.min(initial=program.duration))
    return tuple(_line(program, index, _port(rack, name), first) for index, name in enumerate(program.lines))


def _line(program: Program, index: int, port: str, first: int) -> PlayedLine:
    plays, windows = program.plays, program.acquisitions
    rows = np.flatnonzero(plays.line == index)
    acquired = np.flatnonzero(windows.line == index)
    name = program.lines[index]
    dynamics = program.dynamics
    pulses = tuple(
        PlayedPulse(
            start=int(plays.start[row]) - first,
            samples=plays.amplitude[row] * program.tables.envelopes[int(plays.envelope[row])].samples,
            phase=_degrees(float(plays.phase[row] - plays.phase[rows[0]])) if name.endswith(".drive") else None,
            conditional=dynamics is not None and int(dynamics.play_condition[row]) != ALWAYS,
        )
        for row in rows
    )
    return PlayedLine(
        name=name,
        port=port,
        frequency=float(plays.frequency[rows[0]]) if len(rows) else 0.0,
        pulses=pulses,
        windows=tuple(
            Window(start=int(windows.start[row]) - first, length=int(windows.length[row])) for row in acquired
        ),
    )


def _degrees(phase: float) -> float:
    """Give an angle in (-180, 180], to a tenth."""
    return 180 - (180 - round(float(np.degrees(phase)), 1)) % 360


def _port(rack: Rack, line: str) -> str:
    wiring = rack.lines.get(line)
    return "not wired" if wiring is None else f"slot{wiring.slot}.out{wiring.output}"
