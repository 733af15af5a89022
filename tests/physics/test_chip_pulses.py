"""Single-qubit maps against QuTiP, and the signs that populations cannot see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import qutip
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import Statevector
from scipy.linalg import expm

from qubitd.core.envelope import Drag, Gaussian, sample_envelope
from qubitd.emulator.chip.basis import DUAL, LADDER, LEAKED
from qubitd.emulator.chip.density import density_matrix
from qubitd.emulator.chip.pulse import driven

if TYPE_CHECKING:
    from tests.physics.conftest import Play, Player

PULSE = 0.125 * 0.6 * sample_envelope(Drag(length=40, sigma=8e-9, beta=1.5e-9))
"""GHz; strong, with both quadratures."""
LOWER = np.array([[0, 1], [0, 0]], dtype=np.complex128)
NUMBER = np.diag([0.0, 1.0]).astype(np.complex128)


def hamiltonian(drive: complex, detuning: float) -> NDArray[np.complex128]:
    driven_part = np.pi * (drive * LOWER + np.conj(drive) * LOWER.T)
    return np.asarray(2 * np.pi * detuning * NUMBER + driven_part)


def unitary(drive: NDArray[np.complex128], detuning: float) -> NDArray[np.complex128]:
    whole = np.eye(2, dtype=np.complex128)
    for sample in drive:
        whole = expm(-1j * hamiltonian(sample, detuning)) @ whole
    return whole


def as_map(images: list[NDArray[np.complex128]]) -> NDArray[np.float64]:
    """Write what becomes of each basis operator in the five numbers; leaked stays leaked."""
    made = np.zeros((5, 5))
    for column, image in enumerate(images):
        made[:, column] = np.einsum("aij,ji->a", DUAL[:, :2, :2], image).real
    made[LEAKED, LEAKED] = 1
    return made


def map_of_unitary(u: NDArray[np.complex128]) -> NDArray[np.float64]:
    return as_map([u @ operator @ u.conj().T for operator in LADDER[:, :2, :2]])


@pytest.mark.parametrize("detuning", [0.0, 0.013, -0.2])
def test_a_pulse_is_the_product_of_its_samples(detuning: float) -> None:
    made = driven(PULSE, np.full(40, detuning), 1.0, t1=np.inf, t2=np.inf)
    np.testing.assert_allclose(made, map_of_unitary(unitary(PULSE, detuning)), atol=1e-10)


def test_a_noisy_pulse_agrees_with_the_master_equation() -> None:
    t1, t2, detuning = 300.0, 200.0, 0.004
    made = driven(PULSE, np.full(40, detuning), 1.0, t1=t1, t2=t2)
    decay = [
        np.sqrt(1 / t1) * qutip.Qobj(LOWER),
        np.sqrt(2 * (1 / t2 - 1 / (2 * t1))) * qutip.Qobj(NUMBER),
    ]
    options = {"atol": 1e-11, "rtol": 1e-10}
    images = []
    for operator in LADDER[:, :2, :2]:
        state = qutip.Qobj(operator)
        for sample in PULSE:
            state = qutip.mesolve(
                qutip.Qobj(hamiltonian(sample, detuning)), state, [0.0, 1.0], decay, options=options
            ).states[-1]
        images.append(state.full())
    np.testing.assert_allclose(made, as_map(images), atol=5e-6)


def test_long_and_constant_drives_are_one_exponential() -> None:
    long = driven(np.full(20_000, 0.001 + 0j), np.full(20_000, 0.0002), 1.0, t1=3e4, t2=2e4)
    halves = driven(np.full(10_000, 0.001 + 0j), np.full(10_000, 0.0002), 1.0, t1=3e4, t2=2e4)
    np.testing.assert_allclose(long, halves @ halves, atol=1e-10)


def state_after(player: Player) -> NDArray[np.complex128]:
    return density_matrix(player.chip, player.tape.table(shots=1), time=max(player.time))


def fidelity(player: Player, ideal: QuantumCircuit) -> float:
    """Compare with an ideal circuit, whose frames are undone as far as the player still carries them."""
    for qubit, phase in enumerate(player.phase):
        ideal.rz(-phase, qubit)
    vector = Statevector(ideal).data
    return float((vector.conj() @ state_after(player) @ vector).real)


@pytest.mark.parametrize("phase", [0.0, np.pi / 2, 2.1])
def test_the_phase_of_a_drive_is_the_axis_of_its_rotation(play: Play, phase: float) -> None:
    player = play(lasting=True)
    player.pulse(0, player.drives[0].half_pi, phase=phase)
    ideal = QuantumCircuit(5)
    ideal.r(np.pi / 2, -phase, 0)  # U(phase) = e^{-i phase n} Rx e^{i phase n}
    assert fidelity(player, ideal) > 0.99999


def random_circuit(player: Player, *, sign: int) -> QuantumCircuit:
    rng = np.random.default_rng(11)
    ideal = QuantumCircuit(5)
    for layer in range(6):
        for qubit, angle in enumerate(rng.uniform(0, 2 * np.pi, 5)):
            ideal.rz(angle, qubit)
            player.rz(qubit, sign * angle)
            if rng.random() < 0.3:
                ideal.x(qubit)
                player.x(qubit)
            else:
                ideal.sx(qubit)
                player.sx(qubit)
        for pair in ((0, 1), (2, 3)) if layer % 2 else ((1, 2), (3, 4)):
            ideal.cz(*pair)
            player.cz(*pair)
    return ideal


def test_random_circuits_leave_the_ideal_state(play: Play) -> None:
    player = play(lasting=True, zz=False)
    ideal = random_circuit(player, sign=1)
    assert fidelity(player, ideal) > 0.999


def test_a_reversed_virtual_z_does_not(play: Play) -> None:
    player = play(lasting=True)
    ideal = random_circuit(player, sign=-1)
    assert fidelity(player, ideal) < 0.9


@pytest.mark.parametrize("detuning", [0.7e6, -1.3e6])
def test_a_detuned_carrier_precesses_ahead_of_the_qubit(play: Play, detuning: float) -> None:
    """A drive that runs ahead by 2 pi detuning t acts like a phase advanced by that, between two short pulses."""
    player = play(lasting=True)
    player.sx(0)
    player.delay(0, 5_000)
    start = player.time[0]
    player.pulse(0, player.drives[0].half_pi, detuning=detuning)
    ideal = QuantumCircuit(5)
    ideal.sx(0)
    # Seen from the middle of the pulse, which is short against 1 / detuning.
    ideal.r(np.pi / 2, -2 * np.pi * detuning * (start + 20) * 1e-9, 0)
    assert fidelity(player, ideal) > 0.99
    reversed_sign = QuantumCircuit(5)
    reversed_sign.sx(0)
    reversed_sign.r(np.pi / 2, 2 * np.pi * detuning * (start + 20) * 1e-9, 0)
    assert fidelity(player, reversed_sign) < 0.95


def test_two_sequencers_on_one_output_add_up(play: Play) -> None:
    together, alone = play(lasting=True), play(lasting=True)
    for _ in range(2):
        together.time[0] = 0
        together.pulse(0, together.drives[0].pi / 2)
    alone.x(0)
    np.testing.assert_allclose(state_after(together), state_after(alone), atol=1e-9)


def test_a_second_tone_far_away_hardly_matters(play: Play) -> None:
    together = play(lasting=True)
    together.pulse(0, together.drives[0].pi, detuning=-150e6)
    together.time[0] = 0
    together.x(0)
    ideal = QuantumCircuit(5)
    ideal.x(0)
    assert 0.99 < fidelity(together, ideal) < 1 - 1e-7


def test_overlapping_carriers_are_resolved_within_a_sample(play: Play) -> None:
    """Against steps of 1/200 ns of the same sum of two tones, in the qubit's frame."""
    far = -600e6
    player = play(lasting=True)
    amplitude = 0.9
    player.pulse(0, amplitude, detuning=far)
    player.time[0] = 0
    player.pulse(0, 0.1)
    wave = 0.125 * sample_envelope(Gaussian(length=40, sigma=8e-9))
    whole = np.eye(2, dtype=np.complex128)
    for step in range(40 * 200):
        time = (step + 0.5) / 200
        drive = wave[step // 200] * (0.1 + amplitude * np.exp(2j * np.pi * far * 1e-9 * time))
        whole = expm(-1j * hamiltonian(drive, 0.0) / 200) @ whole
    expected = np.outer(whole[:, 0], whole[:, 0].conj())
    found = state_after(player).reshape(16, 2, 16, 2)[0, :, 0, :]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_drive_during_a_flux_pulse_meets_a_detuned_qubit(play: Play) -> None:
    player = play(lasting=True)
    player.tape.play("q0.flux", np.ones(60, dtype=np.complex128), 0, amplitude=0.2)
    player.delay(0, 10)
    player.x(0)
    untouched = QuantumCircuit(5)
    assert fidelity(player, untouched) > 0.99


def test_the_overlap_of_drive_and_flux_is_computed_as_the_qubit_sees_it(play: Play) -> None:
    """A flux pulse that lowers f01 by some amount, under a drive that is lower by the same amount, is resonant."""
    player = play(lasting=True)
    curve = player.chip.flux_lines.curves[0]
    shift = float((curve.f01(np.array([0.02])) - curve.f01(np.zeros(1)))[0]) * 1e9
    player.tape.play("q0.flux", np.ones(40, dtype=np.complex128), 0, amplitude=0.04)
    player.pulse(0, player.drives[0].pi, detuning=shift)
    ideal = QuantumCircuit(5)
    ideal.x(0)
    assert fidelity(player, ideal) > 0.9999


def test_gaussian_amplitudes_are_areas(play: Play) -> None:
    area = float(sample_envelope(Gaussian(length=40, sigma=8e-9)).real.sum())
    assert play().drives[0].pi == pytest.approx(0.5 / (0.125 * area), rel=1e-12)
    assert play().drives[0].half_pi == pytest.approx(0.25 / (0.125 * area), rel=1e-12)
