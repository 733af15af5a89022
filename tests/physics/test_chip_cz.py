"""Flux pulses: the closed form, what leaks, and the wrong cables and phases that a CZ must not survive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import Statevector
from scipy.linalg import expm

from qubitd.emulator.chip.basis import DUAL, LADDER
from qubitd.emulator.chip.density import density_matrix
from qubitd.emulator.chip.drive import Turn
from qubitd.emulator.chip.exchange import exchange_map, return_amplitude
from qubitd.emulator.chip.first_values import coherence_error, cz_values
from qubitd.emulator.chip.flux import Exchange
from qubitd.emulator.chip.probe import Probe
from qubitd.emulator.chip.register import Register

if TYPE_CHECKING:
    from tests.physics.conftest import Play, Player

    from qubitd.emulator.chip import Chip

PAIRS = [
    ("q0", "q1", 59, 70, 0.1945, 1.6e-5),
    ("q1", "q2", 58, 68, 0.1933, 5e-6),
    ("q2", "q3", 57, 68, 0.2144, 2e-6),
    ("q3", "q4", 56, 67, 0.1930, 4.5e-5),
]


def two_states(d: float, coupling: float) -> NDArray[np.float64]:
    return np.array([[0.0, np.sqrt(2) * coupling], [np.sqrt(2) * coupling, d]])


@pytest.mark.parametrize("d", [0.0, 0.004, -0.03])
def test_a_square_top_gives_the_closed_form(d: float) -> None:
    g, t = 0.006, 47
    w = np.sqrt(8 * g**2 + d**2)
    expected = np.exp(-1j * np.pi * d * t) * (np.cos(np.pi * w * t) + 1j * d / w * np.sin(np.pi * w * t))
    assert return_amplitude(np.full(t, d), g) == pytest.approx(expected, abs=1e-12)


def test_played_samples_that_vary_give_the_product_of_exponentials() -> None:
    g = 0.006
    mismatch = np.concatenate([np.linspace(0.5, 0.0, 12), np.zeros(40), np.linspace(0.0, 0.5, 12)])
    whole = np.eye(2, dtype=np.complex128)
    for d in mismatch:
        whole = expm(-2j * np.pi * two_states(d, g)) @ whole
    assert return_amplitude(mismatch, g) == pytest.approx(whole[0, 0], abs=1e-11)


def test_populations_are_kept_and_what_does_not_return_is_marked() -> None:
    amplitude = 0.6 * np.exp(0.3j)
    pair = exchange_map(amplitude).reshape([5] * 4)
    np.testing.assert_allclose(pair[:3, :3].sum(axis=(0, 1))[:3, :3], 1.0, atol=1e-12)
    assert pair[2, 0, 1, 1] == pytest.approx(1 - 0.36)  # |11> -> leaked, 0
    assert pair[1, 1, 1, 1] == pytest.approx(0.36)
    assert pair[2, 1, 2, 1] == 1.0  # a leaked qubit leaves its partner alone


@pytest.mark.parametrize(("first", "second", "top", "slot", "flux", "leakage"), PAIRS)
def test_first_values_of_a_cz(
    chip: Chip, first: str, second: str, top: int, slot: int, flux: float, leakage: float
) -> None:
    values = cz_values(chip, first, second, top=top, slot=slot)
    qubits = [chip.truth.qubits[chip.truth.index(name)] for name in (first, second)]
    limit = 0.4 * slot * 1e-9 * sum(1 / qubit.t1 + 1 / qubit.tphi for qubit in qubits)
    assert values.amplitude * 0.5 == pytest.approx(flux, abs=1e-4)
    assert values.leakage == pytest.approx(leakage, rel=0.2)
    assert values.error == pytest.approx(limit + leakage / 4, rel=0.01)
    assert values.error >= limit_of_idling(chip, first, second, slot * 1e-9)


def limit_of_idling(chip: Chip, first: str, second: str, duration: float) -> float:
    """What T1 and T2 alone leave to a gate on two qubits: their process fidelities multiply."""
    single = [1 - coherence_error(chip, name, duration) for name in (first, second)]
    process = np.prod([(3 * fidelity - 1) / 2 for fidelity in single])
    return float(1 - (4 * process + 1) / 5)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1, 2), (2, 3), (3, 4)])
def test_a_corrected_pulse_is_a_cz(play: Play, a: int, b: int) -> None:
    player = play(lasting=True, zz=False)
    ideal = QuantumCircuit(5)
    for qubit, angle in ((a, 0.4), (b, 1.1)):
        player.sx(qubit)
        player.rz(qubit, angle)
        ideal.sx(qubit)
        ideal.rz(angle, qubit)
    player.cz(a, b)
    ideal.cz(a, b)
    player.sx(a)
    ideal.sx(a)
    assert fidelity(player, ideal) > 0.9998


def test_phases_hold_at_an_amplitude_off_the_meeting_point(chip: Chip) -> None:
    """First values at a rounded amplitude carry that amplitude's phases; a step of 2^-15 turns by 30 mrad."""
    best = cz_values(chip, "q0", "q1", top=59, slot=70)
    rounded = cz_values(chip, "q0", "q1", top=59, slot=70, amplitude=best.amplitude + 2**-15)
    step = chip.flux_lines.curves[0].f01(np.array([rounded.amplitude, best.amplitude]) * 0.5)
    expected = 2 * np.pi * 59 * (step[0] - step[1])
    assert rounded.phase_first - best.phase_first == pytest.approx(expected, rel=1e-6)
    assert best.error <= rounded.error < best.error + 5e-5


def fidelity(player: Player, ideal: QuantumCircuit) -> float:
    for qubit, phase in enumerate(player.phase):
        ideal.rz(-phase, qubit)
    rho = density_matrix(player.chip, player.tape.table(shots=1), time=max(player.time))
    vector = Statevector(ideal).data
    return float((vector.conj() @ rho @ vector).real)


def bell(player: Player, *, corrected: bool = True) -> None:
    player.h(0)
    player.h(1)
    player.cz(0, 1, corrected=corrected)
    player.h(1)


def test_a_bell_pair_without_z_phases_is_spoilt_as_predicted(play: Play, chip: Chip) -> None:
    player = play(lasting=True, photons=600.0)
    bell(player, corrected=False)
    player.align()
    player.measure(0, 1)
    bits = player.bits(shots=4000, seed=3)
    values = cz_values(chip, "q0", "q1", top=59, slot=70)
    predicted = QuantumCircuit(2)
    predicted.h([0, 1])
    predicted.cz(0, 1)
    predicted.rz(-values.phase_first, 0)
    predicted.rz(-values.phase_second, 1)
    predicted.h(1)
    expected = Statevector(predicted).probabilities()
    counts = np.bincount(bits[0] + 2 * bits[1], minlength=4)
    sigma = np.sqrt(4000 * expected * (1 - expected)) + 1
    assert np.all(np.abs(counts - 4000 * expected) < 4.5 * sigma)


def test_the_first_qubit_of_a_bell_pair_without_z_phases_has_turned(play: Play) -> None:
    player = play(lasting=True)
    bell(player, corrected=False)
    ideal = QuantumCircuit(5)
    ideal.h(0)
    ideal.cx(0, 1)
    assert fidelity(player, ideal) < 0.1  # the calibrated phase of q0 is near pi


def test_swapped_flux_cables_spoil_the_cz_and_nothing_else(play: Play, chip: Chip) -> None:
    swap = [
        ('from = "slot4.out0"\nto = "q0.flux"', 'from = "slot4.out0"\nto = "other.flux"'),
        ('to = "q1.flux"', 'to = "q0.flux"'),
        ('to = "other.flux"', 'to = "q1.flux"'),
    ]
    single = play(*swap, lasting=True, zz=False, calibrated_on=chip)
    single.sx(0)
    single.x(1)
    ideal = QuantumCircuit(5)
    ideal.sx(0)
    ideal.x(1)
    assert fidelity(single, ideal) > 0.99999
    pair = play(*swap, lasting=True, zz=False, calibrated_on=chip)
    bell(pair)
    ideal = QuantumCircuit(5)
    ideal.h(0)
    ideal.cx(0, 1)
    assert fidelity(pair, ideal) < 0.6


def test_a_partner_in_reach_is_needed(play: Play) -> None:
    """A pulse that stays more than 150 MHz away turns its own qubit and does not entangle."""
    player = play(lasting=True, zz=False)
    ideal = QuantumCircuit(5)
    for qubit in (0, 1):
        player.sx(qubit)
        ideal.sx(qubit)
    player.tape.play("q0.flux", np.ones(60, dtype=np.complex128), 40, amplitude=0.3)
    player.time[0] = player.time[1] = 110
    curve = player.chip.flux_lines.curves[0]
    ideal.rz(-2 * np.pi * 60 * float((curve.f01(np.array([0.15])) - curve.f01(np.zeros(1)))[0]), 0)
    assert fidelity(player, ideal) > 0.99999


def test_a_pulse_on_the_lower_qubit_goes_away_from_its_partner(play: Play) -> None:
    player = play(lasting=True)
    for qubit in (0, 1, 2):
        player.x(qubit)
    player.tape.play("q2.flux", np.ones(60, dtype=np.complex128), 40, amplitude=0.4)
    player.time = [110] * 5
    ideal = QuantumCircuit(5)
    ideal.x([0, 1, 2])
    assert fidelity(player, ideal) > 0.99999


def test_two_czs_at_once_do_not_disturb_each_other(play: Play) -> None:
    player = play(lasting=True, zz=False)
    ideal = QuantumCircuit(5)
    for qubit in range(4):
        player.sx(qubit)
        ideal.sx(qubit)
    for pair in ((0, 1), (2, 3)):
        player.cz(*pair)
        ideal.cz(*pair)
    assert fidelity(player, ideal) > 0.9998


def test_pulses_that_touch_are_one(play: Play) -> None:
    """Half a pulse leaves |11> in |20>; another half right behind it brings it back."""
    player = play(lasting=True)
    for qubit in (0, 1):
        player.x(qubit)
    for start, top in ((40, 29), (69, 30)):
        player.time[0] = player.time[1] = start
        player.cz(0, 1, top=top)
    assert float(np.trace(state(player)).real) > 0.9999


def test_half_a_pulse_leaks(play: Play) -> None:
    player = play(lasting=True)
    for qubit in (0, 1):
        player.x(qubit)
    player.cz(0, 1, top=29)
    assert float(np.trace(state(player)).real) < 0.01


def state(player: Player) -> NDArray[np.complex128]:
    return density_matrix(player.chip, player.tape.table(shots=1), time=max(player.time))


def test_a_leaked_qubit_reads_one_whatever_follows(play: Play) -> None:
    player = play(lasting=True, photons=600.0)
    for qubit in (0, 1):
        player.x(qubit)
    player.cz(0, 1, top=29)
    for qubit in (0, 1):
        player.x(qubit)
    player.align()
    player.measure(0, 1)
    bits = player.bits(shots=1000, seed=1)
    assert bits[0].mean() > 0.99  # leaked: the second pi pulse does not move it
    assert bits[1].mean() > 0.99  # its partner was left in 0, and is now in 1


def test_the_error_of_a_cz_is_that_of_its_channel(play: Play, chip: Chip) -> None:
    """Average over random states of the two qubits, played and compared with the ideal, against the first value."""
    player = play()
    player.cz(0, 1)
    events = [event for event in chip.events(player.tape.table(shots=1)) if not isinstance(event, Probe)]
    ideal = np.diag(np.exp(-1j * np.array([0, player.phase[1], player.phase[0], 0]))) @ np.diag([1, 1, 1, -1])
    ideal[3, 3] *= np.exp(-1j * (player.phase[0] + player.phase[1]))
    rng = np.random.default_rng(5)
    kept = []
    for vector in rng.normal(size=(300, 8)).view(np.complex128):
        psi = vector / np.linalg.norm(vector)
        target = ideal @ psi
        kept.append(float((target.conj() @ after(chip, events, np.outer(psi, psi.conj())) @ target).real))
    error = cz_values(chip, "q0", "q1", top=59, slot=70).error
    assert 1 - np.mean(kept) == pytest.approx(error, abs=4 * float(np.std(kept)) / np.sqrt(300))
    assert np.std(kept) / np.sqrt(300) < 0.05 * error


def after(chip: Chip, events: Sequence[Turn | Exchange], rho: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Give what a CZ's slot makes of a density matrix of q0 (first factor) and q1."""
    register = Register([0, 1], t1=chip.t1, t2=chip.t2)
    ladder = np.einsum("aij,bkl->abikjl", LADDER[:, :2, :2], LADDER[:, :2, :2]).reshape(5, 5, 4, 4)
    dual = np.einsum("aij,bkl->abikjl", DUAL[:, :2, :2], DUAL[:, :2, :2]).reshape(5, 5, 4, 4)
    register.states = np.einsum("abij,ji->ab", dual, rho).real[None]
    for event in events:
        if isinstance(event, Turn):
            register.apply(event.qubit, event.single, start=event.start, end=event.end, mixes=event.mixes)
        else:
            register.apply_pair(event.pulsed, event.partner, event.pair, begin=event.begin, end=event.end)
    for qubit in (0, 1):
        register.hold(qubit, time=70)
    return np.asarray(np.tensordot(register.states[0], ladder, axes=2))


def test_an_idle_qubit_errs_as_its_lifetimes_say(chip: Chip) -> None:
    truth = chip.truth.qubits[0]
    linear = 40e-9 / 3 * (1 / truth.t2 + 1 / (2 * truth.t1))
    assert coherence_error(chip, "q0", 40e-9) == pytest.approx(linear, rel=1e-3)
