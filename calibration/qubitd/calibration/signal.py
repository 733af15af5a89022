"""IQ points of single shots to excited fractions, for a fit that needs no good threshold.

Each shot is projected on the axis of the snapshot's discriminator. A projection's mean is linear in the excited
fraction whatever the readout errors are, so two centres, of the shots on either side of the threshold, turn it into
a fraction. Both are constants of the whole sweep, which the free offset and contrast of every model absorb.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.calibration.curve import Curve
from qubitd.calibration.errors import InvalidRecordError
from qubitd.core.discriminator import Discriminator

_LEAST_SHOTS = 10
_LEAST_SIDE = 1e-3
"""Fraction of all shots that must lie on each side of a threshold that is of any use."""
_ROUNDS = 20


def excited_curve(x: NDArray[np.float64], iq: NDArray[np.complex64], discriminator: Discriminator) -> Curve:
    """Give the excited fraction at each point of a sweep, with its standard error.

    Args:
        x: swept values, shape (points,).
        iq: shape (points, shots), at least 10 shots.
        discriminator: of the qubit, at the revision that was measured.

    Raises:
        InvalidRecordError: the shapes do not fit, or all shots are equal.
    """
    if iq.ndim != 2 or iq.shape[0] != len(x) or iq.shape[1] < _LEAST_SHOTS:
        raise InvalidRecordError(f"IQ data have shape {iq.shape}; expected ({len(x)}, {_LEAST_SHOTS} shots or more)")
    projected = np.real(iq.astype(np.complex128) * np.exp(1j * discriminator.rotation))
    low, high = _centres(projected, discriminator.threshold)
    fractions = (projected - low) / (high - low)
    y = np.mean(fractions, axis=1)
    return Curve(x=x, y=y, sigma=_standard_errors(fractions, y))


def _centres(values: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    """Find the mean of the shots on either side; a threshold beside both clouds is replaced by k-means."""
    least, most = float(values.min()), float(values.max())
    if not least < most:
        raise InvalidRecordError("all shots gave the same IQ point: the readout is not connected")
    side = float(np.mean(values >= threshold))
    if _LEAST_SIDE <= side <= 1 - _LEAST_SIDE:
        return _means(values, threshold)
    low, high = least, most
    for _ in range(_ROUNDS):
        low, high = _means(values, (low + high) / 2)
    return low, high


def _means(values: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    above = values >= threshold
    return float(values[~above].mean()), float(values[above].mean())


def _standard_errors(fractions: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the counting error of k ones in S shots to the readout noise, which all points share.

    A point's own scatter would make points that err low look precise, so the counting part takes the estimate
    sqrt((k + 1)(S - k + 1)) / ((S + 2) sqrt(S + 3)) and the noise is pooled.
    """
    shots = fractions.shape[1]
    inside = np.clip(y, 0, 1)
    ones = inside * shots
    counting = (ones + 1) * (shots - ones + 1) / ((shots + 2) ** 2 * (shots + 3))
    noise = np.mean(np.var(fractions, axis=1, ddof=1) - inside * (1 - inside))
    errors: NDArray[np.float64] = np.sqrt(counting + max(float(noise), 0.0) / shots)
    return errors
