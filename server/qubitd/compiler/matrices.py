"""What the native gates are meant to do: unitary matrices, the first operand being the first factor of the product."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from qubitd.core.errors import InvalidCircuitError, Problem

Matrix = NDArray[np.complex128]


def rz(angle: float) -> Matrix:
    """Give diag(exp(-1j angle / 2), exp(1j angle / 2))."""
    return np.diag(np.exp(np.array([-0.5j, 0.5j]) * angle))


def gate_matrix(name: str, angles: tuple[float, ...]) -> Matrix:
    """Give a gate's matrix.

    Raises:
        InvalidCircuitError: the gate is a lab's own, and nobody said what it is meant to do.
    """
    if name == "rz":
        return rz(*angles)
    if name not in _FIXED:
        known = ", ".join(("rz", *sorted(_FIXED)))
        what = f"what it is meant to do is not known; known are {known}, and composite gates made of them"
        raise InvalidCircuitError([Problem(where=f"gate {name}", what=what)])
    return _FIXED[name]()


def _of(*rows: list[complex]) -> Callable[[], Matrix]:
    return lambda: np.array(rows, dtype=np.complex128)


_ROOT = np.sqrt(0.5)
_FIXED: Mapping[str, Callable[[], Matrix]] = {
    "id": _of([1, 0], [0, 1]),
    "x": _of([0, 1], [1, 0]),
    "y": _of([0, -1j], [1j, 0]),
    "sx": _of([0.5 + 0.5j, 0.5 - 0.5j], [0.5 - 0.5j, 0.5 + 0.5j]),
    "sy": _of([_ROOT, -_ROOT], [_ROOT, _ROOT]),
    "cz": _of([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, -1]),
}
