"""Values for a circuit's parameters, one row for each time it is to be run: the circuit itself travels once.

Programs of a job are in the order circuit, then binding, then point of the sweep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FromColumn:
    """Stands where a circuit's parameter would: its value comes from a column of the bindings."""

    column: int
    """Counts from 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bindings:
    """Rows of values, and where in the flat column of a circuit's parameters each of their columns goes."""

    positions: NDArray[np.uint32]
    """Indices into `Circuit.params`, ascending, shape (positions,). What stands there is replaced."""
    columns: NDArray[np.uint32]
    """Column of `values` that goes to each position, shape (positions,)."""
    values: NDArray[np.float64]
    """Finite, shape (bindings, columns), at least one of each: angles in radians, delays in seconds."""

    def __len__(self) -> int:
        return len(self.values)

    def into(self, params: NDArray[np.float64], rows: slice | NDArray[np.int64] = slice(None)) -> NDArray[np.float64]:
        """Give the parameters of some rows, shape (rows, params)."""
        values = self.values[rows]
        bound = np.repeat(params[np.newaxis, :], len(values), axis=0)
        bound[:, self.positions] = values[:, self.columns]
        return bound
