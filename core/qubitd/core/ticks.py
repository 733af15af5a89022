"""Time on the controller: whole ticks of 1 ns. Seconds become ticks here and nowhere else."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qubitd.core.errors import OffGridError

TICK = 1e-9
"""Length of a tick in seconds; the `dt` of every Target."""
GRID_TOLERANCE = 1e-3
"""How far, in ticks, a calibrated duration may lie off the grid before it is refused."""
NEAREST = 0.5
"""Tolerance under which any finite duration is rounded to the nearest tick, as for the delays of a user's circuit."""
_MAX_TICKS = 2**62


def to_ticks(seconds: float, *, what: str, tolerance: float = GRID_TOLERANCE) -> int:
    """Give the whole number of ticks in a duration.

    Args:
        seconds: duration, 0 or more.
        what: name of the duration, for the error.
        tolerance: largest distance from the grid, in ticks.

    Raises:
        OffGridError: the duration is negative, not finite, too long, or off the grid.
    """
    exact = seconds * 1e9
    if not (math.isfinite(exact) and -tolerance <= exact < _MAX_TICKS):
        raise OffGridError(what=what, seconds=seconds, tolerance=tolerance)
    ticks = round(exact)
    if abs(exact - ticks) > tolerance:
        raise OffGridError(what=what, seconds=seconds, tolerance=tolerance)
    return ticks


def nearest_ticks(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round the delays of a user's circuit to the nearest tick. They must be finite and below 2^62 ticks."""
    return np.rint(seconds * 1e9).astype(np.int64)


def to_seconds(ticks: int) -> float:
    """Give the duration of a whole number of ticks, correctly rounded."""
    return ticks / 1_000_000_000


def seconds_text(seconds: float) -> str:
    """Write seconds with all their digits: what is a tick above a limit must not read like the limit."""
    return f"{repr(float(seconds)).removesuffix('.0')} s"
