"""Every kind of envelope and kernel from a device file to the chip: what it was written for is what it does there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import DeviceFile, read_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.envelope import Matched, sample_envelope
from qubitd.core.errors import InvalidDeviceError
from qubitd.core.program import BOXCAR, Program
from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip import Chip
from qubitd.emulator.chip.basis import P1
from qubitd.emulator.chip.density import density_matrix
from qubitd.emulator.chip.drive import Turn
from qubitd.emulator.chip.first_values import cz_values, readout_amplitude
from qubitd.emulator.chip.flux import Exchange
from qubitd.emulator.chip.tape import Tape

RATE = 0.125
"""Rabi frequency of line5's qubits at full scale, GHz."""

DEVICE = """
name = "shapes"
description = "Three qubits of line5, with one gate per envelope"
[limits]
shots = 100000
circuits = 10
[qubits.q0]
frequency = 6.05e9
readout.frequency = 7.4483e9
reset.duration = 210e-6
[qubits.q1]
frequency = 5.25e9
[qubits.q2]
frequency = 4.55e9
[pairs.q1_q2]
pulsed = "q1"
[gates.PLAYED]
on = ON
duration = 100e-9
error = 0.0
steps = [{ play = SHAPE }]
"""
RAMP = [round(0.05 * i, 2) for i in range(20)]
DRIVES = {
    "square": "length = 40e-9",
    "gaussian": "length = 40e-9, sigma = 8e-9",
    "drag": "length = 40e-9, sigma = 8e-9, beta = 0.1e-9",
    "cosine": "length = 40e-9",
    "flat_top": "length = 40e-9, rise = 8e-9",
    "sampled": f"samples = {RAMP}, quadrature = {[0.0] * len(RAMP)}",
}


@pytest.fixture(scope="module")
def chip() -> Chip:
    return Chip(load_cabling())


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    """line5's chip, whose qubits do not decay."""
    text = (Path(__file__).parents[2] / "drivers/qubitd/emulator/cablings/line5.toml").read_text(encoding="utf-8")
    for t1, tphi in ((28, 50), (34, 70)):
        text = text.replace(f"t1 = {t1}e-6", "t1 = 1.0").replace(f"tphi = {tphi}e-6", "tphi = 1.0")
    path = tmp_path_factory.mktemp("cabling") / "lasting.toml"
    path.write_text(text, encoding="utf-8")
    return Chip(load_cabling(path))


def device(kind: str, rest: str, *, on: str = '["q0"]', line: str = "drive") -> DeviceFile:
    step = f'"{kind}", line = "{line}", qubit = {"0" if line == "drive" else chr(34) + "pulsed" + chr(34)}, {rest}'
    return read_device(DEVICE.replace("PLAYED", "g").replace("ON", on).replace("SHAPE", step).encode(), where="shapes")


def program_of(file: DeviceFile, *qubits: int) -> Program:
    builder = CircuitBuilder(name="g", num_qubits=3, num_clbits=0).add("g", *qubits)
    (program,) = compile_circuits(file.device, file.snapshot(), pack([builder])).programs()
    return program


def played(chip: Chip, program: Program) -> Tape:
    tape, plays = Tape(chip.cabling), program.plays
    for i in range(len(plays.start)):
        tape.play(
            program.lines[plays.line[i]],
            program.tables.envelopes[int(plays.envelope[i])].samples,
            int(plays.start[i]),
            amplitude=float(plays.amplitude[i]),
            frequency=float(plays.frequency[i]),
            phase=float(plays.phase[i]),
        )
    return tape


@pytest.mark.parametrize("kind", DRIVES)
def test_a_drive_turns_the_qubit_by_its_area(lasting: Chip, kind: str) -> None:
    amplitude = 0.06
    program = program_of(device(kind, f"{DRIVES[kind]}, amplitude = {amplitude}"), 0)
    (envelope,) = program.tables.envelopes
    state = density_matrix(lasting, played(lasting, program).table(shots=1), time=program.duration)
    excited = np.trace(state.reshape(16, 2, 16, 2)[:, 1, :, 1]).real
    turned = 2 * np.pi * RATE * amplitude * envelope.samples.real.sum()
    assert excited == pytest.approx(np.sin(turned / 2) ** 2, abs=2e-3)
    assert 0.02 < excited < 0.98


def test_the_quadrature_of_samples_turns_about_the_other_axis(lasting: Chip) -> None:
    turned = program_of(device("sampled", f"samples = {[0.0] * 20}, quadrature = {RAMP}, amplitude = 0.06"), 0)
    plain = program_of(device("sampled", f"samples = {RAMP}, amplitude = 0.06, phase = 'pi/2'"), 0)
    states = [density_matrix(lasting, played(lasting, p).table(shots=1), time=100) for p in (turned, plain)]
    np.testing.assert_allclose(states[0], states[1], atol=1e-9)


def returned(chip: Chip, program: Program) -> complex:
    """How |11> comes back from a flux pulse: from the map of its exchange."""
    (exchange,) = [e for e in chip.events(played(chip, program).table(shots=1)) if isinstance(e, Exchange)]
    tensor = exchange.pair.reshape([5] * 4)
    both = np.sqrt(tensor[P1, P1, P1, P1])
    # The conditional phase turns the partner's coherence while the pulsed qubit is in 1.
    turn = tensor[P1, 3:, P1, 3:]
    return complex(both * np.exp(1j * np.angle(turn[0, 0] + 1j * turn[1, 0])))


def test_a_net_zero_pulse_makes_a_cz_without_area(chip: Chip) -> None:
    amplitude = cz_values(chip, "q1", "q2", top=58, slot=100).amplitude
    pulse = f"length = 58e-9, rise = 0.0, amplitude = {amplitude}"
    program = program_of(device("net_zero", pulse, on='"pairs"', line="flux"), 1, 2)
    (envelope,) = program.tables.envelopes
    assert envelope.samples.sum() == 0
    back = returned(chip, program)
    assert abs(back) ** 2 > 0.9999
    assert abs(np.angle(-back)) < 0.01


def test_a_net_zero_pulse_turns_its_qubit_as_the_plain_one_does(chip: Chip) -> None:
    """Frequency is even in flux: the second half undoes nothing."""
    amplitude = cz_values(chip, "q1", "q2", top=58, slot=100).amplitude
    turns = []
    for kind, rest in (("square", ""), ("net_zero", "rise = 0.0, ")):
        pulse = f"length = 58e-9, {rest}amplitude = {amplitude}"
        program = program_of(device(kind, pulse, on='"pairs"', line="flux"), 1, 2)
        tape = played(chip, program)
        turns.append([event for event in chip.events(tape.table(shots=1)) if isinstance(event, Turn)])
    (plain,), (net_zero,) = turns
    np.testing.assert_allclose(plain.single, net_zero.single, atol=1e-9)


def separation(chip: Chip, kernel: str) -> float:
    """Distance of the clouds of 0 and 1 in standard deviations, for a measurement with this kernel."""
    amplitude = readout_amplitude(chip, "q0", photons=0.5)
    measure = f"""
[gates.x]
on = ["q0"]
duration = 40e-9
error = 0.0
steps = [{{ play = "square", line = "drive", length = 40e-9, amplitude = 0.1 }}]
[gates.measure]
on = ["q0"]
duration = 800e-9
error = 0.0
steps = [
  {{ play = "square", line = "readout", length = 480e-9, amplitude = {amplitude} }},
  {{ acquire = 480e-9, delay = 200e-9, {kernel} }},
]
"""
    text = DEVICE.partition("[gates")[0] + measure
    file = read_device(text.encode(), where="measure")
    clouds = [points(chip, file, flips=flips) for flips in (0, 1)]
    means = [cloud.mean() for cloud in clouds]
    axis = (means[1] - means[0]) / abs(means[1] - means[0])
    return float(abs(means[1] - means[0]) / np.std((clouds[0] * axis.conjugate()).real))


def points(chip: Chip, file: DeviceFile, *, flips: int) -> NDArray[np.complex128]:
    builder = CircuitBuilder(name="m", num_qubits=3, num_clbits=1)
    for _ in range(flips):
        builder.add("x", 0)
    (program,) = compile_circuits(file.device, file.snapshot(), pack([builder.measure(0, 0)])).programs()
    tape, plays, acquired = Tape(chip.cabling), program.plays, program.acquisitions
    for i in range(len(plays.start)):
        line = program.lines[plays.line[i]]
        tape.play(
            "feedline" if line.endswith("readout") else line,
            program.tables.envelopes[int(plays.envelope[i])].samples,
            int(plays.start[i]),
            amplitude=float(plays.amplitude[i]),
            frequency=float(plays.frequency[i]),
        )
    weights = None if acquired.kernel[0] == BOXCAR else program.tables.envelopes[int(acquired.kernel[0])].samples
    tape.acquire(
        int(acquired.start[0]), int(acquired.length[0]), frequency=float(acquired.frequency[0]), weights=weights
    )
    return np.asarray(chip.run(tape.table(shots=20_000), np.random.default_rng(3))[0])


def test_the_matched_kernel_tells_0_from_1_better_than_a_boxcar(lasting: Chip) -> None:
    matched = separation(lasting, 'kernel = "matched", linewidth = 4.6e6, chi = -1.7e6')
    boxcar = separation(lasting, 'kernel = "boxcar"')
    # The best there is: sqrt(sum d^2) against sum d / sqrt(n).
    kernel = sample_envelope(Matched(length=480, linewidth=4.6e6, chi=-1.7e6)).real
    assert matched / boxcar == pytest.approx(np.sqrt(480 * (kernel**2).sum()) / kernel.sum(), rel=0.02)
    assert matched > 1.04 * boxcar


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ('"sampled", line = "drive", samples = [0.1, "a"], amplitude = 1.0', "must be a list of finite numbers"),
        ('"sampled", line = "drive", samples = [], amplitude = 1.0', "0 ticks long"),
        ('"sampled", line = "drive", samples = [2.0], amplitude = 1.0', "above 1"),
        ('"sampled", line = "drive", samples = [1.0], quadrature = [0.1, 0.2], amplitude = 1.0', "has 2 numbers"),
        ('"net_zero", line = "drive", length = 40e-9, amplitude = 1.0', "rise: is missing"),
        ('"matched", line = "drive", length = 40e-9, amplitude = 1.0', "unknown envelope 'matched'"),
    ],
)
def test_a_shape_that_cannot_be_is_refused_with_its_path(step: str, what: str) -> None:
    text = DEVICE.replace("PLAYED", "g").replace("ON", '["q0"]').replace("SHAPE", step)
    with pytest.raises(InvalidDeviceError, match=what):
        read_device(text.encode(), where="shapes")


def test_an_unknown_kernel_is_refused() -> None:
    text = DEVICE.replace("PLAYED", "g").replace("ON", '["q0"]')
    text = text.replace("{ play = SHAPE }", '{ acquire = 40e-9, delay = 0.0, kernel = "hat" }')
    with pytest.raises(InvalidDeviceError, match="unknown kernel 'hat'; known are boxcar, matched"):
        read_device(text.encode(), where="shapes")
