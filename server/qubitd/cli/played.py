"""From the table of what the emulated instruments played to what each line carried, for a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qubitd.cli.pictures.pulses import PlayedLine, PlayedPulse, Window
from qubitd.drivers.rack import LineWiring, Rack
from qubitd.emulator.events import EVERY_SHOT, EventTable

_SEQUENCERS = 8
"""How an event table counts sequencers: slot * 8 + sequencer."""


def played_lines(table: EventTable, rack: Rack, frequencies: Mapping[str, float]) -> tuple[PlayedLine, ...]:
    """Sort one iteration of the shot loop by the rack's lines; time counts from the first pulse.

    Args:
        table: what left the connectors.
        rack: which line is wired to which of them.
        frequencies: carrier of each line in Hz; tells apart the lines that share a connector.
    """
    first = int(table.plays.start.min(initial=np.iinfo(np.int64).max, where=table.plays.length > 0))
    rows = _rows_by_line(table, rack, frequencies)
    return tuple(
        PlayedLine(
            name=name,
            port=_port(wiring),
            frequency=frequencies.get(name, 0.0),
            pulses=_pulses(table, rows[name], first, shows_phase=name.endswith(".drive")),
            windows=_windows(table, wiring, first),
        )
        for name, wiring in rack.lines.items()
    )


def _rows_by_line(table: EventTable, rack: Rack, frequencies: Mapping[str, float]) -> dict[str, list[int]]:
    sharing: dict[str, list[str]] = defaultdict(list)
    for name, wiring in rack.lines.items():
        sharing[_port(wiring)].append(name)
    rows: dict[str, list[int]] = defaultdict(list)
    for row, port in enumerate(table.plays.port):
        output = table.outputs[port]
        carrier = output.lo_frequency + float(table.plays.frequency[row])
        names = sharing.get(output.name, [])
        if names:
            rows[min(names, key=lambda name: abs(frequencies.get(name, 0.0) - carrier))].append(row)
    return rows


def _pulses(table: EventTable, rows: list[int], first: int, *, shows_phase: bool) -> tuple[PlayedPulse, ...]:
    phases = [_frame_phase(table, row) for row in rows]
    return tuple(
        PlayedPulse(
            start=int(table.plays.start[row]) - first,
            samples=_samples(table, row),
            phase=_degrees(phase - phases[0]) if shows_phase else None,
            conditional=int(table.plays.condition[row]) != EVERY_SHOT,
        )
        for row, phase in zip(rows, phases, strict=True)
    )


def _windows(table: EventTable, wiring: LineWiring, first: int) -> tuple[Window, ...]:
    if not wiring.line.endswith(".readout"):
        return ()
    windows = table.acquisitions
    return tuple(
        Window(start=int(windows.start[row]) - first, length=int(windows.length[row]))
        for row in np.flatnonzero(windows.sequencer == wiring.slot * _SEQUENCERS + wiring.sequencer)
    )


def _samples(table: EventTable, row: int) -> NDArray[np.complex128]:
    plays = table.plays
    samples = table.waveforms[plays.waveform[row]].samples[: plays.length[row]]
    played: NDArray[np.complex128] = plays.gain_i[row] * samples.real + 1j * plays.gain_q[row] * samples.imag
    return played


def _frame_phase(table: EventTable, row: int) -> float:
    """Give the phase in turns without what the oscillator gained by running since the start of the table."""
    plays = table.plays
    return float(plays.phase[row] - plays.frequency[row] * plays.start[row] * 1e-9)


def _degrees(turns: float) -> float:
    """Give an angle in (-180, 180], to a tenth."""
    return 180 - (180 - round(360 * turns, 1)) % 360


def _port(wiring: LineWiring) -> str:
    return f"slot{wiring.slot}.out{wiring.output}"
