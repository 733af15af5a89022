"""Counts drawn from a distribution agree with it as often as they should; others do not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from qiskit.quantum_info import hellinger_fidelity as qiskits_fidelity

from qubitd.compiler.agreement import agrees, hellinger_fidelity

BELL = {"00": 0.485, "01": 0.016, "10": 0.019, "11": 0.48}


def drawn(distribution: Mapping[str, float], shots: int, seed: int) -> dict[str, int]:
    times = np.random.default_rng(seed).multinomial(shots, list(distribution.values()))
    return {key: int(count) for key, count in zip(distribution, times, strict=True) if count}


def test_p_values_of_true_counts_are_uniform() -> None:
    values = np.sort([agrees(drawn(BELL, 1000, seed), BELL, seed=seed) for seed in range(100)])
    steps = np.arange(1, 101) / 100
    distance = max(np.abs(values - steps).max(), np.abs(values - steps + 0.01).max())
    assert distance < 1.63 / np.sqrt(100), "Kolmogorov-Smirnov at 1 %"


def test_counts_of_another_distribution_disagree() -> None:
    shifted = {"00": 0.455, "01": 0.046, "10": 0.019, "11": 0.48}
    assert agrees(drawn(shifted, 4000, 1), BELL) < 1e-4


def test_counts_of_what_cannot_happen_disagree() -> None:
    assert agrees({"00": 500, "11": 499, "01": 1}, {"00": 0.5, "11": 0.5}) < 1e-5


def test_many_unlikely_outcomes_are_taken_together() -> None:
    rare = {"0": 0.99} | {f"1{i:03b}": 0.01 / 8 for i in range(8)}
    assert agrees(drawn(rare, 100, 2), rare) > 1e-3
    assert agrees({"0": 80, "1000": 20}, rare) < 1e-4


@pytest.mark.parametrize(("counts", "expected"), [({}, {"0": 1.0}), ({"0": 10}, {"0": 1.0}), ({"0": 10}, {"0": 0.3})])
def test_what_leaves_no_choice_agrees(counts: dict[str, int], expected: dict[str, float]) -> None:
    assert agrees(counts, expected) == 1.0


def test_the_answer_is_the_same_each_time_and_moves_little_with_the_seed() -> None:
    counts = drawn(BELL, 1000, 3)
    assert agrees(counts, BELL, seed=1) == agrees(counts, BELL, seed=1)
    assert agrees(counts, BELL, seed=1) == pytest.approx(agrees(counts, BELL, seed=2), abs=0.05)


def test_the_fidelity_is_qiskits() -> None:
    counts = drawn(BELL, 1000, 4)
    assert hellinger_fidelity(counts, BELL) == pytest.approx(qiskits_fidelity(counts, BELL))
    assert hellinger_fidelity(BELL, BELL) == pytest.approx(1)
    assert hellinger_fidelity({"0": 5}, {"1": 5}) == 0
    assert hellinger_fidelity({}, {"1": 5}) == 0


def test_how_small_a_p_value_is_below_the_least_that_matters_is_not_worked_out() -> None:
    counts = drawn({"00": 0.7, "11": 0.3}, 4000, 1)
    assert agrees(counts, BELL) < agrees(counts, BELL, least=1e-3) < 1e-3
