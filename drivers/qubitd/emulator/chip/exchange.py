"""The conditional part of a flux pulse on a pair: |11> goes to |20> and back.

With d = f12_hi(Phi) - f01_lo the pair's two states see H/h = [[0, sqrt2 g], [sqrt2 g, d]], so that for constant d
<11|U|11> = exp(-i pi d t) [cos(pi W t) + i (d/W) sin(pi W t)], W = sqrt(8 g^2 + d^2). What does not come back has
leaked: Kraus sqrt(p) |L 0><11|. Inside: ns, GHz.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.basis import Map, pair_map

REACH = 0.15
"""GHz: a pair is left alone by a pulse during which |d| never falls below this."""

_PARTNER_LEVELS = 3
_BOTH_EXCITED = 1 * _PARTNER_LEVELS + 1
_LEAKED = 2 * _PARTNER_LEVELS + 0


def return_amplitude(mismatch: NDArray[np.float64], coupling: float) -> complex:
    """Give <11|U|11> after a pulse.

    Args:
        mismatch: d in GHz, one per ns.
        coupling: g in GHz.
    """
    first = np.flatnonzero(np.append(True, np.diff(mismatch) != 0))
    lengths = np.diff(np.append(first, len(mismatch)))
    amplitudes = np.array([1.0, 0.0], dtype=np.complex128)
    for d, length in zip(mismatch[first].tolist(), lengths.tolist(), strict=True):
        amplitudes = _propagator(d, float(length), coupling) @ amplitudes
    return complex(amplitudes[0])


def exchange_map(amplitude: complex) -> Map:
    """Give the map on (pulsed qubit, partner) of a pulse with this return amplitude."""
    kept = np.eye(9, dtype=np.complex128)
    kept[_BOTH_EXCITED, _BOTH_EXCITED] = amplitude
    leaked = np.zeros((9, 9), dtype=np.complex128)
    leaked[_LEAKED, _BOTH_EXCITED] = np.sqrt(max(0.0, 1 - abs(amplitude) ** 2))
    return pair_map([kept, leaked])


def _propagator(d: float, length: float, coupling: float) -> NDArray[np.complex128]:
    swing = np.hypot(np.sqrt(8) * coupling, d)
    cos, sin = np.cos(np.pi * swing * length), np.sin(np.pi * swing * length)
    mix = -1j * np.sqrt(8) * coupling / swing * sin
    tilt = 1j * d / swing * sin
    return np.asarray(np.exp(-1j * np.pi * d * length) * np.array([[cos + tilt, mix], [mix, cos - tilt]]))
