"""Pulse envelopes and integration kernels, and the only place where they become samples.

Samples lie 1 tick apart and are taken in the middle of their tick; an envelope's peak is 1 and its amplitude is applied
later. DRAG follows Motzoi et al. 2009 (arXiv:0901.0534): s = g + 1j beta dg/dt. Net zero follows Rol et al. 2019
(arXiv:1903.02492): two halves of opposite sign, so that slow distortions of a flux line cancel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NetZero:
    """A flat top, and the same again with the other sign; of an odd length the middle tick is 0."""

    length: int
    """Ticks, at least 2."""
    rise: float
    """Length of each of the four edges in seconds, at most a quarter of the length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Samples as a lab wrote them down."""

    samples: tuple[complex, ...]
    """1 tick apart, none above 1."""

    @property
    def length(self) -> int:
        """Ticks, at least 1."""
        return len(self.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The kernel that tells 0 from 1 best: by how much a resonator's answers to a square tone differ, as they ring up.

    The tone lies midway between the resonator's places for 0 and for 1 and lasts as long as the window. The kernel is
    real, since the answers then differ in one quadrature alone.
    """

    length: int
    """Ticks, at least 1."""
    linewidth: float
    """kappa / 2 pi of the resonator, Hz, above 0."""
    chi: float
    """Half the distance of its places for 0 and for 1, Hz, not 0."""


Envelope = Square | Gaussian | Drag | Cosine | FlatTop | NetZero | Sampled | Matched
"""What samples are made of. `Matched` is for acquisitions; an acquisition without a kernel is a boxcar."""

MAX_LENGTH = 2**17
"""Ticks (131 us) of the longest envelope: it is held as samples of 16 bytes, so that its length is bounded first."""

_KINDS: dict[str, type[Any]] = {
    "square": Square,
    "gaussian": Gaussian,
    "drag": Drag,
    "cosine": Cosine,
    "flat_top": FlatTop,
    "net_zero": NetZero,
    "matched": Matched,
}
SHAPE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "square": (),
    "gaussian": ("sigma",),
    "drag": ("sigma", "beta"),
    "cosine": (),
    "flat_top": ("rise",),
    "net_zero": ("rise",),
    "sampled": (),
}
"""The numbers that each kind of envelope needs beside its length."""
KERNEL_FIELDS: Mapping[str, tuple[str, ...]] = {"boxcar": (), "matched": ("linewidth", "chi")}
"""The numbers that each kind of integration kernel needs beside its length."""
_FIELDS = {**SHAPE_FIELDS, **KERNEL_FIELDS}
_EDGES = {"flat_top": 2, "net_zero": 4}
_SHORTEST = {"net_zero": 2}


def make_envelope(kind: str, *, length: int, shape: Mapping[str, float], where: str) -> Envelope:
    """Build an envelope from its kind's name and its numbers.

    Raises:
        InvalidDeviceError: unknown kind, a length below 1 tick, or a number that is missing or out of range.
    """
    problem = _shape_problem(kind, length, shape)
    if problem is not None:
        raise InvalidDeviceError([Problem(where=where, what=problem)])
    made: Envelope = _KINDS[kind](length=length, **{name: shape[name] for name in _FIELDS[kind]})
    return made


def make_sampled(samples: Sequence[complex], *, where: str) -> Sampled:
    """Build an envelope from its samples.

    Raises:
        InvalidDeviceError: there are none or too many, or one is above 1.
    """
    problem = _length_problem("sampled", len(samples))
    if problem is None and not np.all(np.abs(np.asarray(samples)) <= 1 + 1e-12):
        problem = "envelope 'sampled' has a sample above 1; its peak is 1 at most, and its amplitude is applied later"
    if problem is not None:
        raise InvalidDeviceError([Problem(where=where, what=problem)])
    return Sampled(samples=tuple(complex(sample) for sample in samples))


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
        case NetZero(rise=rise):
            return _net_zero(envelope.length, rise).astype(np.complex128)
        case Sampled(samples=samples):
            return np.array(samples, dtype=np.complex128)
        case Matched(linewidth=linewidth, chi=chi):
            return _matched(time, linewidth, chi).astype(np.complex128)
        case _:
            assert_never(envelope)


def samples_digest(samples: NDArray[np.complex128]) -> str:
    """Name samples by their content: equal digests mean equal samples."""
    return hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()


def _shape_problem(kind: str, length: int, shape: Mapping[str, float]) -> str | None:
    if kind not in _KINDS:
        return f"unknown envelope {kind!r}; known are {', '.join(sorted((*SHAPE_FIELDS, 'matched')))}"
    missing = [name for name in _FIELDS[kind] if name not in shape]
    if missing:
        return f"envelope {kind!r} needs {', '.join(missing)}"
    if (wrong := _length_problem(kind, length)) is not None:
        return wrong
    if not all(np.isfinite(shape[name]) for name in _FIELDS[kind]):
        return f"envelope {kind!r} has a number that is not finite: {dict(shape)}"
    if "sigma" in _FIELDS[kind] and shape["sigma"] <= 0:
        return f"envelope {kind!r} has sigma {shape['sigma']:g} s; it must be above 0"
    if kind in _EDGES and not 0 <= shape["rise"] <= length * TICK / _EDGES[kind]:
        return f"edges of {shape['rise']:g} s do not fit {kind} of {length} ns, which has {_EDGES[kind]} of them"
    if kind == "matched" and (shape["linewidth"] <= 0 or shape["chi"] == 0):
        return f"kernel 'matched' needs a linewidth above 0 and a chi that is not 0, not {dict(shape)}"
    return None


def _length_problem(kind: str, length: int) -> str | None:
    if length < _SHORTEST.get(kind, 1):
        return f"envelope {kind!r} is {length} ticks long; the least is {_SHORTEST.get(kind, 1)}"
    if length > MAX_LENGTH:
        return (
            f"envelope {kind!r} is {length} ticks long; the most is {MAX_LENGTH} (1 ns each), since it is held as "
            f"samples; shorten the pulse"
        )
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


def _net_zero(length: int, rise: float) -> NDArray[np.float64]:
    half = length // 2
    time: NDArray[np.float64] = (np.arange(half, dtype=np.float64) + 0.5) * TICK
    first = _flat_top(time, half * TICK, rise)
    return np.concatenate([first, np.zeros(length % 2), -first])


def _matched(time: NDArray[np.float64], linewidth: float, chi: float) -> NDArray[np.float64]:
    """The resonator's field is (1 - exp(-rate t)) / rate; for 0 and 1 the rates are each other's conjugates."""
    rate = 2 * np.pi * (linewidth / 2 + 1j * chi)
    difference = ((1 - np.exp(-rate * time)) / rate).imag
    kernel: NDArray[np.float64] = difference / difference[np.argmax(np.abs(difference))]
    return kernel
