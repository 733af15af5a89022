"""How well counts agree with a prediction: a distance that reads well, and a test that decides."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_SAMPLES = 40_000
"""Simulated repetitions of the experiment: a p value of 1e-3 is known to 16 %."""
_BLOCK = 4_000


def hellinger_fidelity(p: Mapping[str, float], q: Mapping[str, float]) -> float:
    """Give (sum of sqrt(p q))^2 of two distributions, normalised first: 1 for equal ones, as in Qiskit."""
    norm = math.sqrt(sum(p.values()) * sum(q.values()))
    overlap = sum(math.sqrt(p[key] * q[key]) for key in p.keys() & q.keys())
    return (overlap / norm) ** 2


def p_value(counts: Mapping[str, int], expected: Mapping[str, float], *, seed: int) -> float:
    """Give the probability that shots drawn from a prediction fit it as badly as these counts do.

    An exact multinomial test by simulation, on the likelihood ratio: no outcome is too rare for it.

    Args:
        counts: shots by outcome.
        expected: probabilities by outcome; normalised here.
        seed: makes the answer repeatable.
    """
    shots = sum(counts.values())
    keys = [key for key, probability in expected.items() if probability > 0]
    probabilities = np.array([expected[key] for key in keys])
    probabilities /= probabilities.sum()
    measured = np.array([[counts.get(key, 0) for key in keys]])
    if measured.sum() < shots:
        return 0.0
    observed = float(_likelihood_ratio(measured, shots * probabilities)[0])
    rng = np.random.default_rng(seed)
    worse = 0
    for _ in range(_SAMPLES // _BLOCK):
        drawn = rng.multinomial(shots, probabilities, size=_BLOCK)
        worse += int(np.count_nonzero(_likelihood_ratio(drawn, shots * probabilities) >= observed - 1e-9))
    return (1 + worse) / (1 + _SAMPLES)


def _likelihood_ratio(counts: NDArray[np.int64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum 2 n log(n / mean) over the outcomes; a count of 0 adds nothing."""
    terms = counts * np.log(np.maximum(counts, 1) / mean)
    return np.asarray(2 * terms.sum(axis=1), dtype=np.float64)
