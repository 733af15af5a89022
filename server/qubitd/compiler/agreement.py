"""Whether counts agree with a distribution: a seeded multinomial test, and the fidelity that people like to see."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_LEAST_EXPECTED = 1.0
"""Outcomes with fewer expected counts than this are taken together."""
_SAMPLES = (2_000, 20_000, 200_000)
"""Simulated experiments; more only while the answer is small."""
_PLENTY = 20
"""A p-value is good enough if this many simulated experiments were as unlikely."""


def agrees(counts: Mapping[str, int], expected: Mapping[str, float], *, seed: int = 0, least: float = 0.0) -> float:
    """Give the p-value of counts: how often a distribution gives counts that fit it no better.

    The statistic is the likelihood ratio; its distribution is simulated, so small counts are no trouble. Counts of what
    cannot happen give the least p-value there is.

    Args:
        counts: by bit string.
        expected: probabilities by bit string.
        seed: of the simulation.
        least: p-value below which it does not matter how small it is.
    """
    observed, probability = _cells(counts, expected)
    shots = int(observed.sum())
    if shots == 0 or len(observed) == 1:
        return 1.0
    own = _misfit(observed[None], probability)[0]
    rng = np.random.default_rng(seed)
    as_bad = tried = 0
    for samples in _SAMPLES:
        simulated = rng.multinomial(shots, probability, size=samples - tried)
        as_bad += int((_misfit(simulated, probability) >= own - 1e-9).sum())
        tried = samples
        if as_bad >= _PLENTY or as_bad + 1 < least * (tried + 1):
            break
    return (as_bad + 1) / (tried + 1)


def hellinger_fidelity(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Give (sum of sqrt(p q))^2 of two distributions or counts, each normalised: 1 if they are equal."""
    norm = math.sqrt(sum(first.values()) * sum(second.values()))
    overlap = sum(math.sqrt(value * second.get(key, 0)) for key, value in first.items())
    return (overlap / norm) ** 2 if norm else 0.0


def _cells(counts: Mapping[str, int], expected: Mapping[str, float]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Observed counts and probabilities of the likely outcomes, and of all others together in the last place."""
    shots = sum(counts.values())
    norm = sum(expected.values())
    likely = {key: p / norm for key, p in expected.items() if p / norm * shots >= _LEAST_EXPECTED}
    observed = [counts.get(key, 0) for key in likely]
    rest = max(0.0, 1 - sum(likely.values()))
    others = shots - sum(observed)
    if others == 0 and rest < 1e-12:
        return np.array(observed, dtype=np.int64), np.array(list(likely.values()))
    return np.array([*observed, others], dtype=np.int64), np.array([*likely.values(), rest])


def _misfit(counts: NDArray[np.int64], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """2 sum O ln(O / E) of each row; infinite where something impossible was seen."""
    mean = counts.sum(axis=1, keepdims=True) * probability
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(counts > 0, counts * np.log(counts / mean), 0.0)
    return np.asarray(2 * terms.sum(axis=1))
