"""A grid of calibration parameters: product axes, each of one or more parameters that change together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

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
        what = self._problem()
        if what is not None:
            raise _invalid(f"sweep axis {', '.join(self.names) or '(no parameter)'}", what)

    def _problem(self) -> str | None:
        if not self.names or self.values.ndim != 2 or self.values.shape[0] != len(self.names):
            return f"values have shape {self.values.shape}; expected ({len(self.names)}, points)"
        if self.values.shape[1] == 0:
            return "has no points; the least is 1"
        return None if np.isfinite(self.values).all() else "holds a value that is not finite"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """The product of its axes, the last running fastest. Without axes: one point that changes nothing.

    A case of a circuit is one of its bindings at one point: number binding x points + point.
    """

    axes: tuple[SweepAxis, ...] = ()
    along: SweepAxis | None = None
    """Parameters that step together with the bindings of the job's one circuit, a column for each binding."""
    names: tuple[str, ...] = field(init=False)
    """All parameters that it changes."""

    def __post_init__(self) -> None:
        names = tuple([name for axis in self.every_axis for name in axis.names])
        object.__setattr__(self, "names", names)
        if len(set(names)) < len(names):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            raise _invalid("sweep", f"{', '.join(twice)} stands on more than one axis")

    @property
    def every_axis(self) -> tuple[SweepAxis, ...]:
        """All axes, the one along the bindings last."""
        return self.axes if self.along is None else (*self.axes, self.along)

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis of the grid."""
        return tuple([axis.values.shape[1] for axis in self.axes])

    @property
    def num_points(self) -> int:
        """Points of the grid, for each binding."""
        return math.prod(self.shape)

    def points(self) -> Iterator[dict[str, float]]:
        """Give the parameter values of each case, binding by binding if these have values of their own."""
        bindings = 1 if self.along is None else self.along.values.shape[1]
        return (self.point(case) for case in range(bindings * self.num_points))

    def point(self, case: int) -> dict[str, float]:
        """Give the parameter values of one case."""
        return {name: float(values[0]) for name, values in self.at(np.array([case])).items()}

    def at(self, cases: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Give the parameter values of some cases, as an array for each name."""
        found: dict[str, NDArray[np.float64]] = {}
        for axis in reversed(self.axes):
            cases, place = np.divmod(cases, axis.values.shape[1])
            found |= {name: values.take(place) for name, values in zip(axis.names, axis.values, strict=True)}
        if self.along is not None:  # what is left counts the bindings
            found |= {
                name: values.take(cases) for name, values in zip(self.along.names, self.along.values, strict=True)
            }
        return {name: found[name] for name in self.names}


def _invalid(where: str, what: str) -> InvalidCircuitError:
    return InvalidCircuitError([Problem(where=where, what=what)])
