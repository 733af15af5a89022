"""Channels on one and two qubits as matrices on (row, column) of the density matrix, index 2 row + column per qubit."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.matrices import Matrix

Channel = NDArray[np.complex128]
"""Shape (4, 4) for one qubit, (16, 16) for two, whose index is 4 first + second."""

_IDENTITY = np.array([1, 0, 0, 1], dtype=np.complex128)
"""The identity operator in this basis, and with it the trace."""


def operator_channel(matrix: Matrix) -> Channel:
    """Give rho -> U rho U+, for any one operator U."""
    if len(matrix) == 2:
        return np.asarray(np.kron(matrix, matrix.conj()), dtype=np.complex128)
    parts = matrix.reshape(2, 2, 2, 2)
    both = np.einsum("acik,bdjl->abcdijkl", parts, parts.conj())
    return np.asarray(both, dtype=np.complex128).reshape(16, 16)


def decay_channel(time: float, *, t1: float, t2: float, excited: float = 0.0) -> Channel:
    """Give what T1 and T2 do in a time; `excited` is the population of 1 that T1 leads to. All in seconds."""
    stays = math.exp(-time / t1)
    lost, gained = (1 - excited) * (1 - stays), excited * (1 - stays)
    channel = np.diag([1 - gained, math.exp(-time / t2), math.exp(-time / t2), 1 - lost]).astype(np.complex128)
    channel[0, 3], channel[3, 0] = lost, gained
    return channel


def depolarising_channel(infidelity: float, *, num_qubits: int) -> Channel:
    """Give the depolarising channel of this average gate infidelity."""
    dimension = 2**num_qubits
    weight = infidelity * dimension / (dimension - 1)
    identity = _IDENTITY if num_qubits == 1 else np.kron(_IDENTITY, _IDENTITY)
    mixed = np.outer(identity, identity) / dimension
    return np.asarray((1 - weight) * np.eye(len(identity)) + weight * mixed, dtype=np.complex128)


def readout_channel(outcome: int, *, one_from_zero: float, zero_from_one: float) -> Channel:
    """Give the unnormalised state after an outcome was read with these errors."""
    given_zero, given_one = (1 - one_from_zero, zero_from_one) if outcome == 0 else (one_from_zero, 1 - zero_from_one)
    return np.diag([given_zero, 0, 0, given_one]).astype(np.complex128)
