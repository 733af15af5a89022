"""Frequency of a flux-tunable transmon against flux, from its spectrum in the charge basis.

H = 4 EC n^2 - EJ(Phi) cos(phi), EJ(Phi) = EJmax sqrt(cos^2 pi Phi + d^2 sin^2 pi Phi). The textbook's first order,
sqrt(8 EJ EC) - EC, is some 14 MHz off, so it is not used. Inside: GHz and flux quanta.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

_CUTOFF = 15
"""Charges -15..15: the three lowest levels are exact to rounding for EJ/EC from 1 to 500."""
_RATIOS = (10.0, 500.0)
"""EJ/EC between which a transmon is sought."""
_KNOTS = 257


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
        flux = np.linspace(0.0, 0.5, _KNOTS)
        squeeze = np.sqrt(np.cos(np.pi * flux) ** 2 + (asymmetry * np.sin(np.pi * flux)) ** 2)
        steps = np.diff(levels(ratio * np.maximum(squeeze, 1e-3)), axis=1)
        ec = frequency / steps[0, 0]
        # Even in flux about both ends: the slope is 0 there.
        self._steps = CubicSpline(flux, ec * steps, bc_type="clamped")

    def f01(self, flux: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give f01 in GHz at each flux."""
        return np.asarray(self._steps(_fold(flux))[..., 0])

    def f12(self, flux: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give f12 in GHz at each flux."""
        return np.asarray(self._steps(_fold(flux))[..., 1])


def _fold(flux: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs(flux - np.round(flux))


def _fit_ratio(relative: float) -> float:
    """Find EJ/EC from anharmonicity / f01, which grows with it from below."""

    def miss(ratio: float) -> float:
        step = np.diff(levels(np.array([ratio]))[0])
        return float((step[1] - step[0]) / step[0] - relative)

    return float(brentq(miss, *_RATIOS, xtol=1e-10, rtol=1e-13))
