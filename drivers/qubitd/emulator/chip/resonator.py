"""The linear answer of a readout resonator to a tone, and what a digitiser's window makes of it.

In the frame of the tone: d alpha/dt = -lambda alpha + sqrt(pi kappa) x, lambda = 2 pi (kappa/2 + i (f_r + 2 chi level
- f)), leaving x - sqrt(pi kappa) alpha. x is constant during a sample, so each step is exact. Inside: ns, GHz,
sqrt(photon/ns).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FORGOTTEN = 40.0
"""A kernel that has decayed by exp(-this) is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notch:
    """A resonator beside the feedline."""

    frequency: float
    """GHz, with the qubit in 0."""
    linewidth: float
    """kappa / 2 pi, GHz."""
    chi: float
    """Half the step from 0 to 1, GHz."""

    @property
    def coupling(self) -> float:
        """sqrt(2 pi kappa/2), 1/sqrt(ns)."""
        return float(np.sqrt(np.pi * self.linewidth))

    def rate(self, level: int, tone: float) -> complex:
        """Give lambda, 1/ns, for a qubit's level in the frame of a tone in GHz."""
        return 2 * np.pi * (self.linewidth / 2 + 1j * (self.frequency + 2 * self.chi * level - tone))

    def transmission(self, level: int, tone: float) -> complex:
        """Give S21 in the steady state."""
        return 1 - np.pi * self.linewidth / self.rate(level, tone)

    def ring_up(self, drive: NDArray[np.complex128], level: int, tone: float, length: int) -> NDArray[np.complex128]:
        """Give alpha at the start of each sample and at the end of the last, shape (length + 1,), empty at first.

        The drive is x, one per ns; after it nothing comes in.
        """
        rate = self.rate(level, tone)
        taps = min(length, int(_FORGOTTEN / rate.real) + 1)
        kernel = self.coupling * _mean_decay(rate) * np.exp(-rate * np.arange(taps))
        field = np.convolve(drive[:length], kernel)[:length]
        return np.concatenate([[0], field, np.zeros(length - len(field))])

    def leaves(self, drive: NDArray[np.complex128], level: int, tone: float, length: int) -> NDArray[np.complex128]:
        """Give what the resonator adds to the feedline, mean over each sample, shape (length,)."""
        rate = self.rate(level, tone)
        share = _mean_decay(rate)
        field = self.ring_up(drive, level, tone, length)[:-1]
        incoming = _padded(drive, length)
        return -self.coupling * (field * share + self.coupling * incoming * (1 - share) / rate)


def seen(signal: NDArray[np.complex128], weights: NDArray[np.complex128], first: int) -> complex:
    """Integrate a signal over a window that starts at sample `first`, which may lie before or behind the signal."""
    begin, end = max(first, 0), min(first + len(weights), len(signal))
    if begin >= end:
        return 0j
    return complex(signal[begin:end] @ weights[begin - first : end - first])


def jump_curve(
    notch: Notch, drive: NDArray[np.complex128], tone: float, weights: NDArray[np.complex128], first: int
) -> NDArray[np.complex128]:
    """Give what a window sees of a qubit in 1 beyond what it sees of one in 0, against the time of its fall to 0.

    Returns:
        Shape (length + 1,): entry n for a fall n ns after the tone's start; the last one also for a qubit that stays.
    """
    length = first + len(weights)
    if length <= 0:
        return np.zeros(1, dtype=np.complex128)
    window = np.zeros(length, dtype=np.complex128)
    window[max(first, 0) :] = weights[max(-first, 0) :]
    excess = notch.leaves(drive, 1, tone, length) - notch.leaves(drive, 0, tone, length)
    before = np.concatenate([[0], np.cumsum(window * excess)])
    # From the fall on, the field differs from that of a qubit always in 0 by a remainder that decays as in 0.
    remainder = notch.ring_up(drive, 1, tone, length) - notch.ring_up(drive, 0, tone, length)
    rate = notch.rate(0, tone)
    taps = min(length, int(_FORGOTTEN / rate.real) + 1)
    heard = np.convolve(window[::-1], np.exp(-rate * np.arange(taps)))[:length][::-1]
    after = -notch.coupling * _mean_decay(rate) * np.append(heard, 0)
    return np.asarray(before + remainder * after)


def mean_excess(
    notch: Notch, drive: NDArray[np.complex128], tone: float, length: int, fall: NDArray[np.float64], shots: int
) -> NDArray[np.complex128]:
    """Give what qubits in 1 add to the feedline beyond those in 0, mean over shots of each sample, shape (length,).

    Args:
        notch: whose qubits they are.
        drive: one per ns.
        tone: GHz.
        length: samples.
        fall: for each shot the time of the fall to 0, ns; -inf if the qubit was never in 1. Taken to the nearest ns.
        shots: how many.
    """
    excess = notch.leaves(drive, 1, tone, length) - notch.leaves(drive, 0, tone, length)
    remainder = notch.ring_up(drive, 1, tone, length) - notch.ring_up(drive, 0, tone, length)
    at = np.clip(np.rint(fall[fall > -np.inf]), 0, length).astype(np.int64)
    falling = np.bincount(at, minlength=length + 1)
    still = np.cumsum(falling[::-1])[::-1][1:]
    rate = notch.rate(0, tone)
    taps = min(length, int(_FORGOTTEN / rate.real) + 1)
    decaying = np.convolve((falling * remainder)[:length], np.exp(-rate * np.arange(taps)))[:length]
    after = -notch.coupling * _mean_decay(rate) * decaying
    return np.asarray((still * excess + after) / shots)


def _mean_decay(rate: complex) -> complex:
    """Mean of exp(-rate t) over a sample of 1 ns."""
    return complex((1 - np.exp(-rate)) / rate)


def _padded(drive: NDArray[np.complex128], length: int) -> NDArray[np.complex128]:
    padded = np.zeros(length, dtype=np.complex128)
    padded[: min(length, len(drive))] = drive[:length]
    return padded
