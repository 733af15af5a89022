"""The steps in which a controller's registers count: what a swept parameter is rounded to before it is played."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Register(enum.Enum):
    """What a register holds."""

    AMPLITUDE = "amplitude"
    FREQUENCY = "frequency"
    PHASE = "phase"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterGrid:
    """Steps of the registers of a controller; 0 for none."""

    amplitude: float = 0.0
    """Fraction of full scale."""
    most_amplitude: float = 1.0
    """Largest that a register holds."""
    frequency: float = 0.0
    """Hz."""
    phase: float = 0.0
    """Turns."""

    def played(self, register: Register, values: Floats) -> Floats:
        """Give the values that are played where some are asked for; halves go up."""
        match register:
            case Register.AMPLITUDE:
                return np.minimum(_nearest(values, self.amplitude), self.most_amplitude)
            case Register.FREQUENCY:
                return _nearest(values, self.frequency)
            case Register.PHASE:
                return _nearest(values, self.phase * 2 * math.pi)
            case _:
                assert_never(register)


EXACT = RegisterGrid()
"""Plays every number as it is."""


def _nearest(values: Floats, step: float) -> Floats:
    return np.floor(values / step + 0.5) * step if step else values
