"""A truth about a few outcomes as a weighted sum of tests: what the trigger network cannot tell at once.

Every table of k bits is a sum of the parities of their subsets: with F_S the mean of f(b) (-1)^(S.b) over all b, f(b)
is f(0) - 2 sum_S F_S XOR_S(b). So a phase that is to be turned if f holds may be turned piece by piece, each piece by
the parity of some outcomes, and that the network can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qubitd.compiler.outcomes import OutcomeTest, Truth, Worlds
from qubitd.core.feedforward import Operator

MOST_OUTCOMES = 4
"""Outcomes of such a truth: it has 15 parities."""
_MOST_TRIED = 12
"""Outcomes among which those are looked for that matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parities:
    """1 in the worlds in which something is true, and 0 in the others."""

    constant: float
    weights: tuple[tuple[OutcomeTest, float], ...]
    """What is added where each test holds; none is 0."""
    everything: OutcomeTest
    """A test that looks at all the outcomes."""


def parities_of(truth: Truth, worlds: Worlds, qubit_of: Sequence[int]) -> Parities | None:
    """Write a truth as a sum; None if it depends on too much, or on two outcomes of a qubit together.

    Args:
        truth: neither always nor never true.
        worlds: in which it is meant.
        qubit_of: the measured qubit of each outcome.
    """
    numbers = _that_matter(truth, worlds)
    if numbers is None or len({qubit_of[number] for number in numbers}) < len(numbers):
        return None
    count = len(numbers)
    table = np.zeros(2**count)
    table[_codes(worlds, numbers)] = truth.holds
    signs = np.array([[(-1) ** (subset & b).bit_count() for b in range(2**count)] for subset in range(2**count)])
    weights: list[float] = (-2 * (signs @ table) / 2**count).tolist()
    tests = [_parity([numbers[j] for j in range(count) if subset >> j & 1]) for subset in range(1, 2**count)]
    found = tuple((test, weight) for test, weight in zip(tests, weights[1:], strict=True) if weight)
    return Parities(constant=float(table[0]), weights=found, everything=tests[-1])


def _that_matter(truth: Truth, worlds: Worlds) -> list[int] | None:
    """Give the outcomes that a truth is a function of, as few as leaving the oldest out first finds."""
    numbers = sorted(truth.depends)
    if len(numbers) > _MOST_TRIED:
        return None
    for number in tuple(numbers):
        others = [other for other in numbers if other != number]
        codes = _codes(worlds, others)
        worlds.compared += worlds.size * len(numbers)
        if len(np.unique(2 * codes + truth.holds)) == len(np.unique(codes)):
            numbers = others
    return numbers if len(numbers) <= MOST_OUTCOMES else None


def _codes(worlds: Worlds, numbers: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Give the values of some outcomes in each world as a number, that of the first as its lowest bit."""
    codes = np.zeros(worlds.size, dtype=np.int64)
    for j, number in enumerate(numbers):
        codes |= worlds.outcomes[number].astype(np.int64) << j
    return codes


def _parity(numbers: Sequence[int]) -> OutcomeTest:
    return OutcomeTest(operator=Operator.XOR if len(numbers) > 1 else Operator.OR, outcomes=tuple(numbers))
