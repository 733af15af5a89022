"""A compiled program is sorted to its lines for a picture, as the rack is wired."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.cli.pictures.pulses import PlayedLine, Window
from qubitd.cli.planned import planned_lines
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

FILE = load_device("line5")


@pytest.fixture(scope="module")
def lines() -> dict[str, PlayedLine]:
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=1).delay(0, 100e-9)
    builder.add("sx", 0).add("rz", 0, params=(np.pi / 2,)).add("sx", 0).add("cz", 0, 1).measure(0, 0)
    (program,) = compile_circuits(FILE.device, FILE.snapshot(), pack([builder])).programs()
    return {line.name: line for line in planned_lines(program, load_rack())}


def test_time_counts_from_the_first_pulse_and_phases_from_the_lines_first(lines: dict[str, PlayedLine]) -> None:
    drive = lines["q0.drive"]
    assert [(pulse.start, len(pulse.samples), pulse.phase) for pulse in drive.pulses] == [(0, 40, 0.0), (40, 40, 90.0)]
    assert (drive.port, drive.frequency) == ("slot1.out0", 6.05e9)
    assert np.abs(drive.pulses[0].samples).max() == pytest.approx(FILE.snapshot().value("q0.sx.amplitude"), rel=0.01)


def test_flux_and_readout_show_no_phase(lines: dict[str, PlayedLine]) -> None:
    (flux,) = lines["q0.flux"].pulses
    assert (flux.start, flux.phase) == (80, None)
    assert lines["q0.flux"].frequency == 0
    readout = lines["q0.readout"]
    assert [pulse.start for pulse in readout.pulses] == [150]
    assert readout.windows == (Window(start=350, length=480),)


def test_lines_without_pulses_are_idle(lines: dict[str, PlayedLine]) -> None:
    assert lines["q4.drive"].is_idle
    assert len(lines) == 14  # no gate plays on q2.flux


def test_pulses_that_outcomes_decide_about_are_marked() -> None:
    circuit = CircuitBuilder(name="a", num_qubits=5, num_clbits=0).add("sx", 0).add("reset", 0)
    rack = load_rack()
    job = compile_circuits(FILE.device, FILE.snapshot(), pack([circuit]), feedforward=open_rack(rack).feedforward)
    (program,) = job.programs()
    drive = {line.name: line for line in planned_lines(program, rack)}["q0.drive"]
    assert [pulse.conditional for pulse in drive.pulses] == [False, True, True]


def test_a_line_that_no_rack_wires_is_shown_all_the_same() -> None:
    (program,) = compile_circuits(
        FILE.device, FILE.snapshot(), pack([CircuitBuilder(name="a", num_qubits=1, num_clbits=0).add("x", 0)])
    ).programs()
    rack = load_rack()
    bare = type(rack)(name="bare", time=rack.time, instruments=rack.instruments, lines={}, emulator=rack.emulator)
    assert planned_lines(program, bare)[0].port == "not wired"
