"""Five real numbers per qubit, and maps between them.

A qubit's part of the state is (P0, P1, L, X, Y): the populations of 0 and 1, the population that has leaked, and the
coherence X + iY = 2 <1|rho|0>. L is a classical mark: a leaked qubit is coherent with nothing, no drive moves it, it
leaves its partners alone, and it reads as 1. A map is a real matrix on these numbers; on two qubits, on their
products.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SIZE = 5
P0, P1, LEAKED, X, Y = range(SIZE)
LEVELS = 3
"""Populations come first: what a measurement can find."""

Map = NDArray[np.float64]
"""Real matrix, shape (5, 5) on a qubit or (25, 25) on a pair."""

LADDER = np.zeros((SIZE, 3, 3), dtype=np.complex128)
LADDER[P0, 0, 0] = LADDER[P1, 1, 1] = LADDER[LEAKED, 2, 2] = 1
LADDER[X, 0, 1] = LADDER[X, 1, 0] = 0.5
LADDER[Y, 0, 1], LADDER[Y, 1, 0] = -0.5j, 0.5j
"""A state is the sum of number x operator over these, on the levels (0, 1, leaked)."""
DUAL = LADDER * np.array([1, 1, 1, 2, 2])[:, None, None]


def rotations(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the matrices on (X, Y) of rotations about z, exp(2 pi i turns n), shape (rows, 2, 2)."""
    angle = 2 * np.pi * turns
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)


def turn_about_z(turns: float) -> Map:
    """Give the map of exp(2 pi i turns n)."""
    turned = np.eye(SIZE)
    turned[X:, X:] = rotations(np.array([turns]))[0]
    return turned


def decay(state: NDArray[np.float64], time: float, *, t1: float, t2: float) -> None:
    """Relax and dephase for a time, in place; the qubit's five numbers are the first axis."""
    kept = math.exp(-time / t1)
    state[P0] += (1 - kept) * state[P1]
    state[P1] *= kept
    state[X:] *= math.exp(-time / t2)


def pair_map(kraus: list[NDArray[np.complex128]]) -> Map:
    """Give the map of a Kraus set on two qubits with the levels (0, 1, leaked), each of shape (9, 9)."""
    operators = _products(LADDER)
    duals = _products(DUAL)
    images = sum(k @ operators @ k.conj().T for k in kraus)
    return np.ascontiguousarray(np.einsum("aij,bji->ab", duals, images).real)


def _products(single: NDArray[np.complex128]) -> NDArray[np.complex128]:
    return np.asarray(np.einsum("aij,bkl->abikjl", single, single).reshape(SIZE**2, 9, 9))
