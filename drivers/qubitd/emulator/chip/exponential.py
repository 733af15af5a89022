"""Exponentials of many small matrices at once: Pade's [7/7] approximation, scaling and squaring (Higham 2005).

Ours, since the library that has it takes an emulator as long to load as all the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ODD = (8648640.0, 277200.0, 1512.0, 1.0)
_EVEN = (17297280.0, 1995840.0, 25200.0, 56.0)
_REACH = 0.95
"""1-norm up to which the approximation is exact to rounding."""


def exponentials(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give exp of each matrix, shape (matrices, n, n)."""
    norms = np.abs(matrices).sum(axis=-2).max(axis=-1)
    halvings = np.maximum(np.ceil(np.log2(np.maximum(norms, 1e-300) / _REACH)), 0).astype(np.int64)
    made = _pade(matrices * np.exp2(-halvings)[:, None, None])
    for done in range(int(halvings.max(initial=0))):
        left = halvings > done
        made[left] = made[left] @ made[left]
    return made


def _pade(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    square = matrices @ matrices
    fourth = square @ square
    powers = (np.eye(matrices.shape[-1]), square, fourth, fourth @ square)
    odd = matrices @ sum(c * power for c, power in zip(_ODD, powers, strict=True))
    even = sum(c * power for c, power in zip(_EVEN, powers, strict=True))
    return np.asarray(np.linalg.solve(even - odd, even + odd), dtype=np.float64)
