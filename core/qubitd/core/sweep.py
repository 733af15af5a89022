"""A grid of calibration parameters: product axes, each of one or more parameters that change together."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from qubitd.core.errors import InvalidCircuitError, Problem


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepAxis:
    """Parameters that step together."""

    names: tuple[str, ...]
    """Dotted parameter names."""
    values: NDArray[np.float64]
    """Shape (names, points), in the parameters' units."""

    def __post_init__(self) -> None:
        where = f"sweep axis {', '.join(self.names) or '(no parameter)'}"
        if not self.names or self.values.ndim != 2 or self.values.shape[0] != len(self.names):
            raise _invalid(where, f"values have shape {self.values.shape}; expected ({len(self.names)}, points)")
        if self.values.shape[1] == 0:
            raise _invalid(where, "has no points; the least is 1")
        if not np.all(np.isfinite(self.values)):
            raise _invalid(where, "holds a value that is not finite")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """The product of its axes, the last running fastest. Without axes: one point that changes nothing."""

    axes: tuple[SweepAxis, ...] = ()

    def __post_init__(self) -> None:
        times = Counter(name for axis in self.axes for name in axis.names)
        twice = sorted(name for name, count in times.items() if count > 1)
        if twice:
            raise _invalid("sweep", f"{', '.join(twice)} stands on more than one axis")

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis."""
        return tuple(axis.values.shape[1] for axis in self.axes)

    @property
    def num_points(self) -> int:
        """Points of the whole grid."""
        return math.prod(self.shape)

    def points(self) -> Iterator[dict[str, float]]:
        """Give the parameter values of each point, the last axis running fastest."""
        for index in itertools.product(*(range(n) for n in self.shape)):
            yield self._at(index)

    def point(self, number: int) -> dict[str, float]:
        """Give the parameter values of one point, as it stands in `points`."""
        return self._at(np.unravel_index(number, self.shape) if self.axes else ())

    def at(self, numbers: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Give the parameter values of some points, by their places in `points`, as an array for each name."""
        index = np.unravel_index(numbers, self.shape) if self.axes else ()
        return {
            name: axis.values[row, i]
            for axis, i in zip(self.axes, index, strict=True)
            for row, name in enumerate(axis.names)
        }

    def _at(self, index: Iterable[SupportsIndex]) -> dict[str, float]:
        return {
            name: float(axis.values[row, i])
            for axis, i in zip(self.axes, index, strict=True)
            for row, name in enumerate(axis.names)
        }


def _invalid(where: str, what: str) -> InvalidCircuitError:
    return InvalidCircuitError([Problem(where=where, what=what)])
