"""Weighted fits by variable projection: one nonlinear parameter is searched, the linear ones are solved exactly.

No fit starts from a guess: the search runs over a whole grid, then narrows around its best point. Standard errors are
absolute, from the points' own errors, so 68 % of them cover the truth (the tests count).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qubitd.calibration.curve import Curve
from qubitd.calibration.errors import InvalidExperimentError

_ROUNDS = 6
_ZOOM = 17
"""Points of each narrowing round; a round is 8 times finer than the one before."""
_OUTLIER = 5.0
"""Standard errors beyond which one refit may drop a point."""
_MOST_OUTLIERS = 0.2
"""Largest fraction of points that may be dropped."""


class Model(Protocol):
    """y = sum of linear coefficients x basis functions of (x, theta)."""

    def grid(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the values of theta to search, ascending; dense enough that the best lies next to the minimum."""
        ...

    def basis(self, x: NDArray[np.float64], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the basis functions, shape (thetas, points, coefficients)."""
        ...

    def slope(self, x: NDArray[np.float64], theta: float, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the derivative of y with respect to theta, shape (points,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """The best curve of a model, with what is needed to judge it."""

    model: Model
    theta: float
    """The nonlinear parameter."""
    stderr: float
    """One standard error of theta; infinite where the data do not determine it."""
    coefficients: NDArray[np.float64]
    """Of the basis functions."""
    chi2: float
    dof: int
    """Points kept less parameters."""
    significance: float
    """By how much chi squared is better than that of a constant."""
    residuals: NDArray[np.float64]
    """(data - fit) / sigma of every point, dropped ones included."""
    kept: NDArray[np.bool_]
    """False for points that were dropped as outliers."""

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate the fitted curve."""
        fitted = self.model.basis(x, np.array([self.theta]))[0] @ self.coefficients
        return np.asarray(fitted, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Oscillation:
    """c0 + [c1 cos(2 pi theta x) + c2 sin(2 pi theta x)] exp(-x / decay); theta is the frequency in periods per x.

    The decay is known, not fitted: a free one makes wrong frequencies look good.
    """

    decay: float = math.inf
    """In the unit of x."""

    def grid(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Search from a quarter period in the sweep to just below two points per period, four times oversampled."""
        span = float(x[-1] - x[0])
        return np.arange(1, 2 * (len(x) - 1), dtype=np.float64) / (4 * span)

    def basis(self, x: NDArray[np.float64], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give 1, cos, sin."""
        angle = 2 * np.pi * theta[:, None] * x
        left = np.exp(-x / self.decay)
        return np.stack([np.ones_like(angle), left * np.cos(angle), left * np.sin(angle)], axis=-1)

    def slope(self, x: NDArray[np.float64], theta: float, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Differentiate with respect to the frequency."""
        angle = 2 * np.pi * theta * x
        turned = coefficients[2] * np.cos(angle) - coefficients[1] * np.sin(angle)
        slope: NDArray[np.float64] = 2 * np.pi * x * np.exp(-x / self.decay) * turned
        return slope


class Decay:
    """c0 + c1 exp(-x / theta); theta is the decay time in the unit of x."""

    def grid(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Search from half a step to ten times the sweep, 16 points per factor of e."""
        span = x[-1] - x[0]
        shortest = span / (len(x) - 1) / 2
        count = int(16 * np.log(10 * span / shortest))
        return np.geomspace(shortest, 10 * span, count)

    def basis(self, x: NDArray[np.float64], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give 1, exp."""
        decay = np.exp(-x / theta[:, None])
        return np.stack([np.ones_like(decay), decay], axis=-1)

    def slope(self, x: NDArray[np.float64], theta: float, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Differentiate with respect to the decay time."""
        slope: NDArray[np.float64] = coefficients[1] * x / theta**2 * np.exp(-x / theta)
        return slope


def fit_curve(model: Model, curve: Curve) -> Fit:
    """Fit a model, with at most one refit without outliers: at most a fifth of the points, beyond five sigma.

    Raises:
        InvalidExperimentError: fewer than 8 points.
    """
    if len(curve) < 8:
        raise InvalidExperimentError(f"a fit has {len(curve)} points; the least is 8")
    everything = np.ones(len(curve), dtype=np.bool_)
    first = _fit_kept(model, curve, everything)
    inside = np.abs(first.residuals) <= _OUTLIER
    dropped = np.count_nonzero(~inside)
    if 0 < dropped <= _MOST_OUTLIERS * len(curve):
        return _fit_kept(model, curve, inside)
    return first


def _fit_kept(model: Model, curve: Curve, kept: NDArray[np.bool_]) -> Fit:
    data = curve.only(kept)
    theta = _search(model, data)
    coefficients, chi2 = _project(model, data, np.array([theta]))
    best = coefficients[0]
    fitted = model.basis(curve.x, np.array([theta]))[0] @ best
    return Fit(
        model=model,
        theta=theta,
        stderr=_stderr(model, data, theta, best),
        coefficients=best,
        chi2=float(chi2[0]),
        dof=len(data) - len(best) - 1,
        significance=_constant_chi2(data) - float(chi2[0]),
        residuals=(curve.y - fitted) / curve.sigma,
        kept=kept,
    )


def _search(model: Model, curve: Curve) -> float:
    """Find the theta of least chi squared: the whole grid first, then ever finer around its best point."""
    thetas = model.grid(curve.x)
    for _ in range(_ROUNDS):
        _, chi2 = _project(model, curve, thetas)
        best = int(np.argmin(chi2))
        low, high = thetas[max(best - 1, 0)], thetas[min(best + 1, len(thetas) - 1)]
        thetas = np.linspace(low, high, _ZOOM)
    _, chi2 = _project(model, curve, thetas)
    return float(thetas[np.argmin(chi2)])


def _project(
    model: Model, curve: Curve, thetas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve the linear coefficients at each theta; gives them, (thetas, coefficients), and chi squared, (thetas,)."""
    weighted = model.basis(curve.x, thetas) / curve.sigma[:, None]
    data = curve.y / curve.sigma
    q, r = np.linalg.qr(weighted)
    projected = np.einsum("tpc,p->tc", q, data)
    chi2 = np.maximum(data @ data - np.sum(projected**2, axis=-1), 0.0)
    return np.linalg.solve(r, projected[..., None])[..., 0], chi2


def _stderr(model: Model, curve: Curve, theta: float, coefficients: NDArray[np.float64]) -> float:
    """Give theta's standard error from the whole Jacobian: the part of its slope that no coefficient can imitate."""
    weight = 1 / curve.sigma
    basis = model.basis(curve.x, np.array([theta]))[0] * weight[:, None]
    slope = model.slope(curve.x, theta, coefficients) * weight
    q, _ = np.linalg.qr(basis)
    own = slope - q @ (q.T @ slope)
    norm = float(np.linalg.norm(own))
    return 1 / norm if norm > 0 else float("inf")


def _constant_chi2(curve: Curve) -> float:
    weight = curve.sigma**-2
    mean = np.sum(weight * curve.y) / np.sum(weight)
    return float(np.sum(weight * (curve.y - mean) ** 2))
