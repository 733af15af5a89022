"""A table of played events is sorted to the lines that carried them, as the rack is wired."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.cli.pictures.pulses import PlayedLine, Window
from qubitd.cli.played import played_lines
from qubitd.drivers.rack_file import load_rack
from qubitd.emulator.events import EVERY_SHOT, Acquisitions, EventTable, InputPort, OutputPort, Plays, Waveform

FREQUENCIES = {
    "q0.drive": 6.05e9,
    "q1.drive": 5.25e9,
    "q0.readout": 7.45e9,
    "q1.readout": 7.25e9,
    "q2.readout": 7.05e9,
}
SHAPE = Waveform(samples=np.linspace(0.5j, 1 + 0.5j, 40, dtype=np.complex128), digest="a")
FLAT = Waveform(samples=np.ones(400, dtype=np.complex128), digest="b")
# Two drive pulses on q0 (the second a quarter turn ahead), a flux pulse, two readout tones on one connector.
ROWS = [
    # start, length, port, waveform, gain_i, gain_q, frequency, phase
    (1000, 40, 0, 0, 0.2, 0.1, -200e6, 0.125),
    (1100, 40, 0, 0, 0.2, 0.1, -200e6, 0.125 + 0.25 - 200e6 * 100e-9),
    (1040, 59, 1, 1, -0.4, 0.0, 0.0, 0.0),
    (1150, 400, 2, 1, 0.1, 0.1, 170e6, 0.3),
    (1150, 400, 2, 1, 0.1, 0.1, -230e6, 0.1),
]


def table() -> EventTable:
    columns = list(zip(*ROWS, strict=True))
    return EventTable(
        shots=1000,
        duration=220_000,
        outputs=(
            OutputPort(name="slot1.out0", lo_frequency=6.25e9, attenuation_db=20),
            OutputPort(name="slot4.out0", lo_frequency=0.0, attenuation_db=0),
            OutputPort(name="slot6.out0", lo_frequency=7.28e9, attenuation_db=20),
        ),
        inputs=(InputPort(name="slot6.in0", lo_frequency=7.28e9, attenuation_db=0),),
        waveforms=(SHAPE, FLAT),
        plays=Plays(
            start=np.array(columns[0]),
            length=np.array(columns[1]),
            port=np.array(columns[2], dtype=np.int32),
            waveform=np.array(columns[3], dtype=np.int32),
            gain_i=np.array(columns[4]),
            gain_q=np.array(columns[5]),
            frequency=np.array(columns[6]),
            phase=np.array(columns[7]) % 1.0,
            condition=np.full(len(ROWS), EVERY_SHOT, dtype=np.int32),
        ),
        acquisitions=Acquisitions(
            start=np.array([1350, 1350]),
            length=np.array([400, 400]),
            port=np.array([0, 0], dtype=np.int32),
            sequencer=np.array([48, 50], dtype=np.int32),
            weight=np.array([-1, -1], dtype=np.int32),
            frequency=np.array([170e6, -230e6]),
            phase=np.zeros(2),
            condition=np.full(2, EVERY_SHOT, dtype=np.int32),
            feeds=np.zeros(2, dtype=np.bool_),
        ),
    )


@pytest.fixture(scope="module")
def lines() -> dict[str, PlayedLine]:
    return {line.name: line for line in played_lines(table(), load_rack(), FREQUENCIES)}


def test_time_counts_from_the_first_pulse(lines: dict[str, PlayedLine]) -> None:
    assert [pulse.start for pulse in lines["q0.drive"].pulses] == [0, 100]
    assert [pulse.start for pulse in lines["q0.flux"].pulses] == [40]


def test_samples_carry_both_gains(lines: dict[str, PlayedLine]) -> None:
    (first, _) = lines["q0.drive"].pulses
    assert first.samples == pytest.approx(0.2 * np.linspace(0, 1, 40) + 0.05j)
    assert lines["q0.flux"].pulses[0].samples == pytest.approx(np.full(59, -0.4))


def test_phases_are_those_of_the_frame_against_the_first_pulse(lines: dict[str, PlayedLine]) -> None:
    assert [pulse.phase for pulse in lines["q0.drive"].pulses] == [0.0, 90.0]
    assert lines["q0.flux"].pulses[0].phase is None


def test_tones_on_one_connector_are_told_apart_by_frequency(lines: dict[str, PlayedLine]) -> None:
    assert len(lines["q0.readout"].pulses) == 1
    assert len(lines["q2.readout"].pulses) == 1
    assert lines["q1.readout"].is_idle


def test_windows_belong_to_the_sequencer_that_opened_them(lines: dict[str, PlayedLine]) -> None:
    assert lines["q0.readout"].windows == (Window(start=350, length=400),)
    assert lines["q1.readout"].windows == ()
    assert lines["q2.readout"].windows == (Window(start=350, length=400),)


def test_every_line_of_the_rack_is_there_with_its_port(lines: dict[str, PlayedLine]) -> None:
    assert len(lines) == 15
    assert lines["q4.flux"].port == "slot5.out0"
    assert lines["q4.flux"].is_idle
