"""The outcome as hardware tells it: a rotated sum of integers against an integer, which a host can repeat exactly.

Hardware sums samples instead of taking their mean, and its rotation is a matrix: a discriminator is rounded to 16384ths
once, and from there on nothing is.
"""

from __future__ import annotations

import cmath
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.discriminator import Discriminator

STEPS = 1 << 14
"""Of a rotation's coefficients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerThreshold:
    """bit = real * I + imag * Q > level, for sums I and Q."""

    real: int
    """16384ths, -16384 to 16384."""
    imag: int
    """The same."""
    level: int
    """Sum times 16384."""

    def __call__(self, real: NDArray[np.int64], imag: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell the outcomes of sums of any shape."""
        return np.asarray(self.real * real + self.imag * imag > self.level)


def integer_threshold(discriminator: Discriminator, *, full_scale: float, turn: complex = 1) -> IntegerThreshold:
    """Round a discriminator to what hardware compares.

    Args:
        discriminator: for means as fractions of full scale.
        full_scale: weighed sum over the window of samples at full scale.
        turn: factor of length 1 that the discriminator expects points to have been multiplied by.
    """
    turned = turn * cmath.exp(1j * discriminator.rotation)
    return IntegerThreshold(
        real=round(turned.real * STEPS),
        imag=round(-turned.imag * STEPS),
        level=round(discriminator.threshold * full_scale * STEPS),
    )
