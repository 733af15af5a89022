"""Decay, coherence and readout as a lab would measure them, and measurements in the middle of a body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, chisquare

from qubitd.core.envelope import samples_digest
from qubitd.emulator.chip.first_values import readout_frequency

if TYPE_CHECKING:
    from tests.physics.conftest import Play, Player

    from qubitd.emulator.chip import Chip

SWAPPED_DRIVES = [
    ('to = "q0.drive"', 'to = "other.drive"'),
    ('to = "q1.drive"', 'to = "q0.drive"'),
    ('to = "other.drive"', 'to = "q1.drive"'),
]


def ones(player: Player, *, shots: int, seed: int = 1) -> NDArray[np.float64]:
    """Give the fraction of ones of each readout, with the assignment errors taken out."""
    measured = player.bits(shots=shots, seed=seed).mean(axis=1)
    values = [player.readout_values(qubit) for qubit in player.read]
    false = np.array([v.prob_meas1_prep0 for v in values])
    missed = np.array([v.prob_meas0_prep1 for v in values])
    return np.asarray((measured - false) / (1 - false - missed))


def test_assignment_errors_are_those_of_the_first_values(play: Play) -> None:
    shots = 20_000
    for level in (0, 1):
        player = play()
        for qubit in range(5):
            player.x(qubit) if level else player.delay(qubit, 40)
        player.align()
        player.measure(*range(5))
        wrong = (player.bits(shots=shots, seed=level) != bool(level)).mean(axis=1)
        for qubit in range(5):
            values = player.readout_values(qubit)
            # From the middle of the pi pulse to the readout some decay; the four other tones add a beat.
            decay = 20e-9 / player.chip.truth.qubits[qubit].t1 if level else 0.0
            expected = values.prob_meas0_prep1 + decay if level else values.prob_meas1_prep0
            assert wrong[qubit] == pytest.approx(expected, abs=4 * np.sqrt(expected / shots) + 0.06 * expected)


def test_default_readout_errs_as_often_as_in_the_lab(play: Play) -> None:
    """440 ns, square window: 6.0 photons, and 6.4 on the qubit with the widest resonator."""
    for qubit in range(5):
        values = play(photons=6.0 if qubit < 4 else 6.4).readout_values(qubit)
        assert 0.012 <= round(values.prob_meas1_prep0, 3) <= 0.022
        assert 0.019 <= round(values.prob_meas0_prep1, 3) <= 0.030


def test_points_lie_well_inside_the_range_of_the_digitiser(play: Play) -> None:
    player = play()
    player.measure(*range(5))
    assert np.all(np.abs(player.points(shots=500, seed=2).mean(axis=1)) > 0.05)
    assert np.abs(player.points(shots=500, seed=2)).max() < 0.3


@pytest.mark.parametrize("fraction", [0.5, 1.0, 1.5])
def test_a_qubit_turns_in_proportion_to_the_amplitude(play: Play, fraction: float) -> None:
    player = play()
    player.pulse(0, fraction * player.drives[0].pi)
    player.measure(0)
    expected = np.sin(np.pi * fraction / 2) ** 2
    assert ones(player, shots=8000)[0] == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(8000) + 0.002)


def test_half_the_amplitude_makes_sx_a_rotation_by_a_quarter_of_pi(play: Play) -> None:
    player = play()
    for _ in range(2):
        player.pulse(1, player.drives[1].half_pi / 2)
    player.measure(1)
    assert ones(player, shots=8000)[0] == pytest.approx(0.5, abs=0.025)


def test_more_attenuation_turns_the_qubit_less(play: Play, chip: Chip) -> None:
    """The port is set to 20 dB; a cable file that refers to 13.98 dB means the signal arrives at half the amplitude."""
    change = (
        'to = "q0.drive"\nreference_attenuation_db = 20.0',
        f'to = "q0.drive"\nreference_attenuation_db = 20.0\nloss_db = {20 * np.log10(2)}',
    )
    player = play(change, calibrated_on=chip)
    player.x(0)
    player.measure(0)
    assert ones(player, shots=8000)[0] == pytest.approx(0.5, abs=0.025)


def test_swapped_drive_cables_excite_neither_qubit(play: Play, chip: Chip) -> None:
    player = play(*SWAPPED_DRIVES, calibrated_on=chip, photons=600.0)
    player.x(0)
    player.x(1)
    player.align()
    player.measure(0, 1)
    assert player.bits(shots=2000, seed=4).mean() < 0.01


def test_an_excited_qubit_decays_with_t1(play: Play) -> None:
    delays = np.array([0, 10_000, 28_000, 70_000])
    populations = []
    for delay in delays.tolist():
        player = play()
        player.x(0)
        player.delay(0, delay)
        player.measure(0)
        populations.append(ones(player, shots=10_000)[0])
    # Decay during the second half of the pi pulse and the readout's own is in the assignment error.
    expected = np.exp(-(delays + 20) / 28e3)
    np.testing.assert_allclose(populations, expected, atol=4 * 0.5 / np.sqrt(10_000))


def ramsey(play: Play, *, delay: int, detuning: float, phase: float) -> float:
    player = play()
    player.pulse(0, player.drives[0].half_pi, detuning=detuning)
    player.delay(0, delay)
    player.pulse(0, player.drives[0].half_pi, detuning=detuning, phase=phase)
    player.measure(0)
    return float(ones(player, shots=20_000, seed=delay)[0])


@pytest.mark.parametrize("detuning", [0.15e6, -0.15e6])
def test_ramsey_fringes_have_the_frequency_the_sign_and_the_decay_of_the_truth(play: Play, detuning: float) -> None:
    """With the second phase advanced by pi/2 the fringe is a sine, whose sign is that of the detuning."""
    for delay in (1_000, 4_000, 17_000):
        time = (delay + 40) * 1e-9
        kept = np.exp(-time / 26.415e-6)
        angle = 2 * np.pi * detuning * time
        cosine = ramsey(play, delay=delay, detuning=detuning, phase=0.0)
        sine = ramsey(play, delay=delay, detuning=detuning, phase=np.pi / 2)
        bound = 4 * 0.5 / np.sqrt(20_000) + 0.005
        assert cosine == pytest.approx(0.5 + 0.5 * kept * np.cos(angle), abs=bound)
        assert sine == pytest.approx(0.5 - 0.5 * kept * np.sin(angle), abs=bound)


def test_a_tone_off_the_resonator_tells_nothing(play: Play) -> None:
    means = []
    for level in (0, 1):
        player = play()
        player.x(0) if level else player.delay(0, 40)
        player.measure(0, detuning=45e6)
        means.append(player.points(shots=4000, seed=level)[0].mean())
    near = []
    for level in (0, 1):
        player = play()
        player.x(0) if level else player.delay(0, 40)
        player.measure(0)
        near.append(player.points(shots=4000, seed=level)[0].mean())
    assert abs(means[1] - means[0]) < 0.02 * abs(near[1] - near[0])


def test_matched_weights_err_less_than_a_square_window(play: Play) -> None:
    wrong = []
    for matched in (False, True):
        points = []
        for level in (0, 1):
            player = play(lasting=True, photons=4.0)
            player.x(0) if level else player.delay(0, 40)
            start = player.tone(0)
            weights = (1 - np.exp(-np.arange(440) / 40)).astype(np.complex128) if matched else None
            player.tape.acquire(start + 200, 440, frequency=readout_frequency(player.chip, "q0"), weights=weights)
            points.append(player.points(shots=20_000, seed=level)[0])
        axis = np.exp(-1j * np.angle(points[1].mean() - points[0].mean()))
        zero, one = ((p * axis).real for p in points)
        wrong.append(float(np.mean(zero > (zero.mean() + one.mean()) / 2)))
    assert wrong[1] < wrong[0] - 4 * np.sqrt(wrong[0] / 20_000)


def test_a_cut_cable_carries_nothing(play: Play, chip: Chip) -> None:
    drive = '[[cable]]\nfrom = "slot1.out0"\nto = "q0.drive"\nreference_attenuation_db = 20.0\n'
    back = '[[cable]]\nfrom = "feedline"\nto = "slot6.in0"\nreference_attenuation_db = 0.0\ndelay = 200e-9'
    deaf = play((drive, ""), calibrated_on=chip, photons=600.0)
    deaf.x(0)
    deaf.measure(0)
    assert deaf.bits(shots=100, seed=1).mean() == 0.0
    mute = play((back, ""), calibrated_on=chip)
    mute.measure(0)
    assert np.all(mute.points(shots=10, seed=0) == 0)


def test_a_fall_during_a_readout_is_seen_by_the_next(play: Play) -> None:
    """Two readouts in a row agree but for falls in the first one and errors of both."""
    player = play(photons=600.0)
    player.x(0)
    player.measure(0)
    player.delay(0, 20)
    player.measure(0)
    first, second = player.bits(shots=20_000, seed=8)
    fallen = 1 - np.exp(-440 / 28e3)
    assert np.mean(first & ~second) == pytest.approx(fallen, abs=0.25 * fallen)
    assert np.mean(~first & second) < 1e-3


def test_decay_is_counted_once_where_a_readout_watches_it(play: Play) -> None:
    player = play(("t1 = 28e-6", "t1 = 2e-6"), photons=600.0)
    player.x(0)
    player.measure(0)
    player.delay(0, 400)
    player.measure(0)
    first, second = ones(player, shots=20_000)
    assert first == pytest.approx(np.exp(-20 / 2000), abs=0.02)
    assert second == pytest.approx(np.exp(-(20 + 440 + 400) / 2000), abs=0.02)


def test_a_window_behind_the_tone_hears_it_ring_down(play: Play) -> None:
    means = []
    for level in (0, 1):
        player = play(lasting=True)
        player.x(0) if level else player.delay(0, 40)
        player.tone(0)
        frequency = readout_frequency(player.chip, "q0")
        player.tape.acquire(40 + 440 + 200, 100, frequency=frequency)
        means.append(player.points(shots=4000, seed=level)[0].mean())
    assert abs(means[1] - means[0]) > 0.03


def test_a_window_off_the_tone_turns_what_it_hears(play: Play) -> None:
    """A tone far from every resonator, mixed down 0.7 MHz below its frequency; both phases count from time 0."""
    player = play()
    frequency, off = 8.1e9, 0.7e6
    player.tape.play("feedline", np.ones(800, dtype=np.complex128), 0, amplitude=0.5, frequency=frequency)
    for mixed in (frequency, frequency - off):
        player.tape.acquire(300, 400, frequency=mixed)
    straight, turned = player.points(shots=4000, seed=1).mean(axis=1)
    at_the_digitiser = (300 + np.arange(400) + 0.5) * 1e-9
    expected = straight * np.mean(np.exp(2j * np.pi * off * at_the_digitiser))
    assert abs(straight) == pytest.approx(0.5 * np.sqrt(6.25 / 4.0), rel=0.02)
    assert abs(turned - expected) < 0.005


def joint(bits: NDArray[np.bool_]) -> NDArray[np.int64]:
    codes = bits.T @ (1 << np.arange(len(bits)))
    return np.bincount(codes, minlength=1 << len(bits))


def teleport_like(player: Player) -> None:
    """A body in which later readouts depend on what earlier ones found."""
    player.h(0)
    player.cx(0, 1)
    player.align()
    player.measure(0)
    player.sx(1)
    player.sx(0)
    player.align()
    player.cz(0, 1)
    player.align()
    player.measure(1)
    player.align()
    player.sx(0)
    player.align()
    player.measure(0, 1)


def test_branches_have_the_joint_distribution_of_collapse(play: Play) -> None:
    """Brute force: every outcome's projector applied to state vectors, in the ideal circuit."""
    player = play(lasting=True, zz=False, photons=600.0)
    teleport_like(player)
    counts = joint(player.bits(shots=8000, seed=21))
    expected = 8000 * ideal_joint()
    seen = expected > 1
    assert counts[~seen].sum() < 20  # leakage of two CZ and the rest of the readout's errors
    scaled = expected[seen] * counts[seen].sum() / expected[seen].sum()
    assert chisquare(counts[seen], scaled).pvalue > 1e-3


def ideal_joint() -> NDArray[np.float64]:
    sx = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]], dtype=np.complex128) / 2
    cz = np.diag([1, 1, 1, -1]).astype(np.complex128)
    one = np.eye(2, dtype=np.complex128)
    both, first = (np.asarray(np.kron(sx, other), dtype=np.complex128) for other in (sx, one))
    steps: list[NDArray[np.complex128] | int] = [0, both, cz, 1, first, 0, 1]
    branches = [(np.array([1, 0, 0, 1], dtype=np.complex128) / np.sqrt(2), 0)]
    position = 0
    for step in steps:
        if isinstance(step, int):
            qubit_is_one = np.array([0, 0, 1, 1]) if step == 0 else np.array([0, 1, 0, 1])
            branches = [
                (np.where(qubit_is_one == bit, psi, 0), code + (bit << position))
                for psi, code in branches
                for bit in (0, 1)
            ]
            position += 1
        else:
            branches = [(step @ psi, code) for psi, code in branches]
    probabilities = np.zeros(1 << position)
    for psi, code in branches:
        probabilities[code] += np.vdot(psi, psi).real
    return probabilities


def test_many_shots_at_once_are_many_single_shots(play: Play) -> None:
    """With decay as strong as it gets: every shot on its own has one branch and nothing to share."""
    fast = [(f"t1 = {t1}e-6", "t1 = 1.5e-6") for t1 in (28, 34)]
    player = play(*fast, photons=600.0)
    teleport_like(player)
    together = joint(player.bits(shots=1500, seed=31))
    table = player.tape.table(shots=1)
    rng = np.random.default_rng(32)
    alone = np.concatenate([player.chip.run(table, rng) for _ in range(1500)], axis=1)
    values = [player.readout_values(qubit) for qubit in player.read]
    bits = np.stack([(row * np.exp(1j * v.rotation)).real >= v.threshold for v, row in zip(values, alone, strict=True)])
    both = np.stack([together, joint(bits)])
    both = both[:, both.sum(axis=0) > 10]
    assert chi2_contingency(both).pvalue > 1e-3


def test_a_tone_that_nobody_listens_to_dephases(play: Play) -> None:
    contrast = []
    for listened in (False, True):
        player = play(lasting=True, photons=600.0)
        player.sx(0)
        if listened:
            player.tone(0)
        player.delay(0, 2_000)
        player.sx(0)
        player.measure(0)
        contrast.append(ones(player, shots=2000)[0])
    assert contrast[0] > 0.99
    assert contrast[1] == pytest.approx(0.5, abs=0.06)


def test_a_body_ends_after_a_passive_reset_and_not_before(play: Play) -> None:
    reset = 210_000
    for gap, expected in ((reset, 0.0), (reset - 1, 1.0)):
        player = play(lasting=True, photons=600.0)
        player.x(0)
        player.measure(0)
        player.next_body(gap)
        player.measure(0)
        assert player.bits(shots=50, seed=2).mean(axis=1).tolist() == [1.0, expected]


def test_every_body_reads_its_own_qubits(play: Play) -> None:
    player = play(photons=600.0)
    for excited in (False, True, False, True):
        player.x(0) if excited else player.delay(0, 40)
        player.measure(0)
        player.next_body(210_000)
    assert player.bits(shots=200, seed=2).mean(axis=1) == pytest.approx([0, 1, 0, 1], abs=0.05)


def test_a_long_wait_before_the_first_readout_is_part_of_the_body(play: Play) -> None:
    player = play(lasting=True, photons=600.0)
    player.x(0)
    player.delay(0, 500_000)
    player.measure(0)
    assert player.bits(shots=50, seed=2).mean() == 1.0


def test_the_same_seed_gives_the_same_points(play: Play) -> None:
    player = play()
    player.sx(0)
    player.measure(0)
    first, second, other = (player.points(shots=100, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_points_come_in_the_order_of_the_tables_rows(play: Play) -> None:
    player = play(photons=600.0)
    player.x(1)
    player.align()
    player.measure(2, 1, 0)
    table = player.tape.table(shots=20)
    assert table.acquisitions.sequencer.tolist() == [0, 1, 2]
    assert player.bits(shots=20, seed=1).mean(axis=1).tolist() == [0.0, 1.0, 0.0]
    assert len({samples_digest(w.samples) for w in table.waveforms}) == len(table.waveforms)
