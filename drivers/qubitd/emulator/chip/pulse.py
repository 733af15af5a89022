"""From the samples on a drive line to the map of one two-level qubit, decay included.

In the frame of the carrier, with s = I + iQ: H/hbar = 2 pi (f01 - fc) n + (2 pi R / 2)(s a + s* a^dag), constant
during a sample, so that each sample's Lindblad equation is one exact exponential. Inside: ns, GHz, turns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.basis import P0, P1, SIZE, Map, X, Y
from qubitd.emulator.chip.exponential import exponentials

_MOVED = np.array([P0, P1, X, Y])
"""What a drive moves; a leaked qubit stays where it is."""


def driven(drive: NDArray[np.complex128], detuning: NDArray[np.float64], step: float, *, t1: float, t2: float) -> Map:
    """Give the map of consecutive steps of a drive.

    Args:
        drive: R s in GHz, one per step.
        detuning: f01 - fc in GHz, one per step.
        step: length of a step, ns.
        t1: relaxation time, ns.
        t2: coherence time, ns.
    """
    first = np.flatnonzero(np.append(True, (np.diff(drive) != 0) | (np.diff(detuning) != 0)))
    repeats = np.diff(np.append(first, len(drive)))
    generators = _generators(drive[first], detuning[first], t1=t1, t2=t2)
    moved = ordered_product(exponentials(generators * (step * repeats)[:, None, None]))
    whole = np.eye(SIZE)
    whole[np.ix_(_MOVED, _MOVED)] = moved
    return whole


def ordered_product(factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply matrices, the first acting first."""
    while len(factors) > 1:
        odd = factors[len(factors) - len(factors) % 2 :]
        factors = np.concatenate([factors[1::2] @ factors[: len(factors) - len(odd) : 2], odd])
    return np.asarray(factors[0])


def _generators(
    drive: NDArray[np.complex128], detuning: NDArray[np.float64], *, t1: float, t2: float
) -> NDArray[np.float64]:
    """Give the Lindblad generators on (P0, P1, X, Y), shape (steps, 4, 4)."""
    i, q = np.pi * drive.real, np.pi * drive.imag
    turn = 2 * np.pi * detuning
    p0, p1, x, y = range(4)
    made = np.zeros((len(drive), 4, 4))
    made[:, p0, x], made[:, p0, y] = q, i
    made[:, p1, x], made[:, p1, y] = -q, -i
    made[:, x, p0], made[:, x, p1] = -2 * q, 2 * q
    made[:, y, p0], made[:, y, p1] = -2 * i, 2 * i
    made[:, x, y], made[:, y, x] = turn, -turn
    made[:, p0, p1] += 1 / t1
    made[:, p1, p1] -= 1 / t1
    made[:, x, x] = made[:, y, y] = -1 / t2
    return made
