"""Pulse envelopes, and the only place where they become samples.

Samples lie 1 tick apart and are taken in the middle of their tick; an envelope's peak is 1 and its amplitude is applied
later. DRAG follows Motzoi et al. 2009 (arXiv:0901.0534): s = g + 1j beta dg/dt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from qubitd.core.errors import InvalidDeviceError, Problem
from qubitd.core.ticks import TICK


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """1 for its whole length."""

    length: int
    """Ticks, at least 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian:
    """A Gaussian, lifted so that it starts and ends at 0."""

    length: int
    """Ticks, at least 1."""
    sigma: float
    """Standard deviation in seconds, above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drag:
    """A lifted Gaussian with its derivative in quadrature."""

    length: int
    """Ticks, at least 1."""
    sigma: float
    """Standard deviation in seconds, above 0."""
    beta: float
    """Weight of the derivative, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """(1 - cos) / 2, one period."""

    length: int
    """Ticks, at least 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatTop:
    """A square whose edges are half cosines."""

    length: int
    """Ticks, at least 1."""
    rise: float
    """Length of each edge in seconds, at most half of the length."""


Envelope = Square | Gaussian | Drag | Cosine | FlatTop

MAX_LENGTH = 2**17
"""Ticks (131 us) of the longest envelope: it is held as samples of 16 bytes, so that its length is bounded first."""

_KINDS: dict[str, type[Any]] = {
    "square": Square,
    "gaussian": Gaussian,
    "drag": Drag,
    "cosine": Cosine,
    "flat_top": FlatTop,
}
SHAPE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "square": (),
    "gaussian": ("sigma",),
    "drag": ("sigma", "beta"),
    "cosine": (),
    "flat_top": ("rise",),
}
"""The numbers that each kind of envelope needs beside its length."""


def make_envelope(kind: str, *, length: int, shape: Mapping[str, float], where: str) -> Envelope:
    """Build an envelope from its kind's name and its numbers.

    Raises:
        InvalidDeviceError: unknown kind, a length below 1 tick, or a number that is missing or out of range.
    """
    problem = _shape_problem(kind, length, shape)
    if problem is not None:
        raise InvalidDeviceError([Problem(where=where, what=problem)])
    made: Envelope = _KINDS[kind](length=length, **{name: shape[name] for name in SHAPE_FIELDS[kind]})
    return made


def sample_envelope(envelope: Envelope) -> NDArray[np.complex128]:
    """Sample an envelope: shape (length,), peak 1."""
    time: NDArray[np.float64] = (np.arange(envelope.length, dtype=np.float64) + 0.5) * TICK
    middle = envelope.length * TICK / 2
    match envelope:
        case Square():
            return np.ones(envelope.length, dtype=np.complex128)
        case Gaussian(sigma=sigma):
            return _lifted_gaussian(time - middle, middle, sigma).astype(np.complex128)
        case Drag(sigma=sigma, beta=beta):
            return _drag(time - middle, middle, sigma, beta)
        case Cosine():
            return ((1 - np.cos(np.pi * time / middle)) / 2).astype(np.complex128)
        case FlatTop(rise=rise):
            return _flat_top(time, 2 * middle, rise).astype(np.complex128)
        case _:
            assert_never(envelope)


def samples_digest(samples: NDArray[np.complex128]) -> str:
    """Name samples by their content: equal digests mean equal samples."""
    return hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()


def _shape_problem(kind: str, length: int, shape: Mapping[str, float]) -> str | None:
    if kind not in _KINDS:
        return f"unknown envelope {kind!r}; known are {', '.join(sorted(_KINDS))}"
    missing = [name for name in SHAPE_FIELDS[kind] if name not in shape]
    if missing:
        return f"envelope {kind!r} needs {', '.join(missing)}"
    if length < 1:
        return f"envelope {kind!r} is {length} ticks long; the least is 1"
    if length > MAX_LENGTH:
        return (
            f"envelope {kind!r} is {length} ticks long; the most is {MAX_LENGTH} (1 ns each), since it is held as "
            f"samples; shorten the pulse"
        )
    if not all(np.isfinite(shape[name]) for name in SHAPE_FIELDS[kind]):
        return f"envelope {kind!r} has a number that is not finite: {dict(shape)}"
    if "sigma" in SHAPE_FIELDS[kind] and shape["sigma"] <= 0:
        return f"envelope {kind!r} has sigma {shape['sigma']:g} s; it must be above 0"
    if kind == "flat_top" and not 0 <= shape["rise"] <= length * TICK / 2:
        return f"edges of {shape['rise']:g} s do not fit a flat top of {length} ns; at most half of it"
    return None


def _lifted_gaussian(time: NDArray[np.float64], half: float, sigma: float) -> NDArray[np.float64]:
    edge = np.exp(-((half / sigma) ** 2) / 2)
    lifted: NDArray[np.float64] = (np.exp(-((time / sigma) ** 2) / 2) - edge) / (1 - edge)
    return lifted


def _drag(time: NDArray[np.float64], half: float, sigma: float, beta: float) -> NDArray[np.complex128]:
    edge = np.exp(-((half / sigma) ** 2) / 2)
    slope = -time / sigma**2 * np.exp(-((time / sigma) ** 2) / 2) / (1 - edge)
    shape: NDArray[np.complex128] = _lifted_gaussian(time, half, sigma) + 1j * beta * slope
    return shape


def _flat_top(time: NDArray[np.float64], length: float, rise: float) -> NDArray[np.float64]:
    if rise == 0:
        return np.ones_like(time)
    to_edge = np.minimum(time, length - time)
    edge: NDArray[np.float64] = (1 - np.cos(np.pi * np.minimum(to_edge / rise, 1.0))) / 2
    return edge
