"""A gate of one qubit as a turn about an axis between x and y, and one about z behind it."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import numpy as np

from qubitd.compiler.matrices import Matrix

_SAME = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """exp(-1j angle/2 n.sigma), up to a phase."""

    angle: float
    """Radians, 0 to 2 pi."""
    azimuth: float | None
    """Of n from x towards y, radians; None if n is z."""


def turns_of(matrix: Matrix) -> tuple[Turn, ...]:
    """Write a unitary of one qubit as a turn about an axis between x and y, then one about z; without what is none."""
    unit = matrix / np.sqrt(np.linalg.det(matrix))
    stays, flips = complex(unit[0, 0]), complex(unit[0, 1])
    about_z = -2 * cmath.phase(stays) if abs(stays) >= _SAME else 0.0
    flips *= cmath.exp(0.5j * about_z)
    found: tuple[Turn, ...] = ()
    if abs(flips) >= _SAME:
        azimuth = math.atan2(-flips.real, -flips.imag)
        found += (Turn(angle=2 * math.atan2(abs(flips), abs(stays)), azimuth=azimuth),)
    if abs(math.remainder(about_z, 2 * math.pi)) >= _SAME:
        found += (Turn(angle=about_z % (2 * math.pi), azimuth=None),)
    return found
