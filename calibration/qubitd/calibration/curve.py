"""A measured curve: what every fit takes, with the one standard error of each point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.calibration.errors import InvalidExperimentError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Points in ascending order of x. All arrays have shape (points,)."""

    x: NDArray[np.float64]
    """What was swept, in its SI unit."""
    y: NDArray[np.float64]
    """Excited fraction."""
    sigma: NDArray[np.float64]
    """One standard error of `y`, above 0."""

    def __post_init__(self) -> None:
        shapes = {self.x.shape, self.y.shape, self.sigma.shape}
        if len(shapes) != 1 or self.x.ndim != 1:
            raise InvalidExperimentError(
                f"the columns of a curve have shapes {sorted(shapes)}; expected (points,) each"
            )
        if not all(np.all(np.isfinite(column)) for column in (self.x, self.y, self.sigma)):
            raise InvalidExperimentError("a curve holds a number that is not finite")
        if np.any(np.diff(self.x) <= 0) or np.any(self.sigma <= 0):
            raise InvalidExperimentError("a curve needs ascending x and standard errors above 0")

    def __len__(self) -> int:
        return len(self.x)

    @property
    def span(self) -> float:
        """Length of the sweep."""
        return float(self.x[-1] - self.x[0])

    def only(self, kept: NDArray[np.bool_]) -> Curve:
        """Give the curve without some of its points."""
        return Curve(x=self.x[kept], y=self.y[kept], sigma=self.sigma[kept])


def runs_z(residuals: NDArray[np.float64]) -> float:
    """Give the z value of the runs test of the residuals' signs: far below 0 when neighbours err alike.

    Wald and Wolfowitz 1940; 0 when all residuals have one sign, where the test says nothing.
    """
    above = residuals > 0
    n = len(above)
    n_above = int(np.count_nonzero(above))
    product = 2 * n_above * (n - n_above)
    if product == 0:
        return 0.0
    mean = product / n + 1
    variance = product * (product - n) / (n**2 * (n - 1))
    runs = 1 + int(np.count_nonzero(above[1:] != above[:-1]))
    return (runs - mean) / math.sqrt(variance) if variance > 0 else 0.0
