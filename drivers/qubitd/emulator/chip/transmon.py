"""Frequency of a flux-tunable transmon against flux, from its spectrum in the charge basis.

H = 4 EC n^2 - EJ(Phi) cos(phi), EJ(Phi) = EJmax sqrt(cos^2 pi Phi + d^2 sin^2 pi Phi). The textbook's first order,
sqrt(8 EJ EC) - EC, is some 14 MHz off, so it only tells where to seek. Inside: GHz and flux quanta.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_CUTOFF = 15
"""Charges -15..15: the three lowest levels are exact to rounding for EJ/EC from 1 to 500."""
_KNOTS = 512
"""Of a spline through one period of the flux; half of them are the mirror images of the others."""


def levels(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the three lowest levels in units of EC for each EJ/EC, shape (len(ratio), 3)."""
    charge = np.arange(-_CUTOFF, _CUTOFF + 1)
    hop = np.eye(len(charge), k=1) + np.eye(len(charge), k=-1)
    hamiltonian = np.diag(4.0 * charge**2) - ratio[:, None, None] / 2 * hop
    return np.asarray(np.linalg.eigvalsh(hamiltonian)[:, :3], dtype=np.float64)


class FluxCurve:
    """f01 and f12 of one transmon against flux; even, and periodic in 1 flux quantum."""

    def __init__(self, *, frequency: float, anharmonicity: float, asymmetry: float) -> None:
        """Fit EJ and EC to f01 and the anharmonicity (GHz) at the sweet spot."""
        ratio = _fit_ratio(anharmonicity / frequency)
        flux = np.linspace(0.0, 0.5, _KNOTS // 2 + 1)
        squeeze = np.sqrt(np.cos(np.pi * flux) ** 2 + (asymmetry * np.sin(np.pi * flux)) ** 2)
        steps = np.diff(levels(ratio * np.maximum(squeeze, 1e-3)), axis=1)
        ec = frequency / steps[0, 0]
        self._steps = _periodic_spline(ec * np.concatenate([steps, steps[-2:0:-1]]))

    def f01(self, flux: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give f01 in GHz at each flux."""
        return _along(self._steps[..., 0], flux)

    def f12(self, flux: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give f12 in GHz at each flux."""
        return _along(self._steps[..., 1], flux)


def _periodic_spline(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the cubic pieces through values at equal distances in one period, shape (4, knots, ...), powers rising.

    That the second derivative is continuous makes slope[k-1] + 4 slope[k] + slope[k+1] = 3 (value[k+1] - value[k-1]):
    a convolution around the circle.
    """
    turn = 2 * np.pi * np.fft.rfftfreq(len(values))[:, None]
    slopes = np.fft.irfft(np.fft.rfft(values, axis=0) * 6j * np.sin(turn) / (4 + 2 * np.cos(turn)), len(values), axis=0)
    rise, following = np.roll(values, -1, axis=0) - values, np.roll(slopes, -1, axis=0)
    return np.stack([values, slopes, 3 * rise - 2 * slopes - following, slopes + following - 2 * rise])


def _along(pieces: NDArray[np.float64], flux: NDArray[np.float64]) -> NDArray[np.float64]:
    knots = flux * _KNOTS
    knot = np.floor(knots).astype(np.int64)
    beyond = knots - knot
    first, second, third, fourth = pieces[:, knot % _KNOTS]
    return np.asarray(first + beyond * (second + beyond * (third + beyond * fourth)))


def _fit_ratio(relative: float) -> float:
    """Find EJ/EC from anharmonicity / f01, whose inverse is nearly 1 - sqrt(8 EJ/EC): so secants meet it at once."""

    def inverse(root: float) -> float:
        lower, upper = np.diff(levels(np.array([root**2 / 8]))[0])
        return float(lower / (upper - lower))

    wanted = 1 / relative
    old, root = 1 - wanted, 2 - wanted
    before = inverse(old)
    while not math.isclose(old, root, rel_tol=1e-13):
        now = inverse(root)
        old, root, before = root, root + (wanted - now) * (root - old) / (now - before), now
    return root**2 / 8
