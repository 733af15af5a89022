"""Counts from a prediction pass the test as often as they should; others do not."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.quantum_info import hellinger_fidelity as qiskit_fidelity

from qubitd.cli.agreement import hellinger_fidelity, p_value

BELL = {"00": 0.485, "01": 0.02, "10": 0.022, "11": 0.473}


def drawn(probabilities: dict[str, float], seed: int, shots: int = 1000) -> dict[str, int]:
    n = np.random.default_rng(seed).multinomial(shots, list(probabilities.values()))
    return {key: int(k) for key, k in zip(probabilities, n, strict=True) if k}


def test_fidelity_is_qiskits() -> None:
    counts = drawn(BELL, 1)
    ideal = {"00": 0.5, "11": 0.5}
    assert hellinger_fidelity(counts, ideal) == pytest.approx(qiskit_fidelity(counts, ideal))
    assert hellinger_fidelity(counts, counts) == pytest.approx(1)
    assert hellinger_fidelity({"0": 1}, {"1": 1}) == 0


def test_p_values_of_true_counts_are_uniform() -> None:
    values = np.array([p_value(drawn(BELL, seed), BELL, seed=0) for seed in range(60)])
    assert np.mean(values < 0.5) == pytest.approx(0.5, abs=0.2)
    assert values.min() > 1e-3


def test_counts_of_another_device_are_told_apart() -> None:
    wrong = {"00": 0.44, "01": 0.065, "10": 0.022, "11": 0.473}
    assert p_value(drawn(wrong, 3), BELL, seed=0) < 1e-3


def test_an_impossible_outcome_cannot_be_as_expected() -> None:
    assert p_value({"00": 999, "01": 1}, {"00": 1.0}, seed=0) == 0.0


def test_a_rare_outcome_that_came_once_is_no_surprise() -> None:
    expected = {"00": 0.999, "01": 0.001}
    assert p_value({"00": 999, "01": 1}, expected, seed=0) > 0.3


def test_the_answer_repeats_with_its_seed() -> None:
    counts = drawn(BELL, 5)
    assert p_value(counts, BELL, seed=9) == p_value(counts, BELL, seed=9)
