"""A gate of one qubit as a turn about an axis, where that is z or lies in the plane of x and y."""

from __future__ import annotations

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


def turn_of(matrix: Matrix) -> Turn | None:
    """Find the turn that a unitary of one qubit is; None if its axis is another."""
    unit = matrix / np.sqrt(np.linalg.det(matrix))
    x, y, z = (-unit[0, 1].imag, -unit[0, 1].real, -unit[0, 0].imag)
    angle = 2 * math.atan2(math.hypot(x, y, z), unit[0, 0].real)
    if math.hypot(x, y) < _SAME:
        return Turn(angle=math.copysign(angle, z) % (2 * math.pi), azimuth=None)
    return Turn(angle=angle, azimuth=math.atan2(y, x)) if abs(z) < _SAME else None
