"""Waiting times that a scan steps through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.core.ticks import NEAREST, to_seconds, to_ticks


def played_delays(most: float, points: int) -> NDArray[np.float64]:
    """Give equally spaced delays from 0 to the longest as they are played: seconds, rounded to the grid."""
    wished = np.linspace(0, most, points)
    return np.array([to_seconds(to_ticks(t, what="delay", tolerance=NEAREST)) for t in wished])
