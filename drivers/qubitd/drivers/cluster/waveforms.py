"""Envelopes as the waveforms of one sequencer: real samples, each distinct content held once.

A sequencer's two paths play two waveforms. A real envelope plays the same one on both with a gain of 0 on the second,
so that it needs no memory for zeros.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.program import ProgramTables, SampledEnvelope

Ints = NDArray[np.int64]

_SHORT = 2**12
"""Samples of an envelope whose waveforms are made once for all lines."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waveform:
    """What goes into a sequencer's waveform memory."""

    name: str
    """Made from the content: equal names hold equal samples."""
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WaveformTable:
    """The waveforms of a sequencer, and how it plays each envelope."""

    waveforms: tuple[Waveform, ...]
    """By index."""
    real: Ints
    """Waveform of each envelope's real part, shape (envelopes of the job,); -1 where the sequencer does not play it."""
    imag: Ints
    """Waveform on the second path."""
    is_complex: NDArray[np.bool_]
    """Whether the second path plays an imaginary part; otherwise its gain is 0."""


def waveform_table(tables: ProgramTables, envelopes: Ints) -> WaveformTable:
    """Collect the waveforms that some plays need.

    Args:
        tables: the job's envelopes.
        envelopes: the envelope of each play.
    """
    count = len(tables.envelopes)
    real, imag = np.full(count, -1, dtype=np.int64), np.full(count, -1, dtype=np.int64)
    is_complex = np.zeros(count, dtype=np.bool_)
    index: dict[str, int] = {}
    waveforms: list[Waveform] = []

    def index_of(part: Waveform) -> int:
        if part.name not in index:
            index[part.name] = len(waveforms)
            waveforms.append(part)
        return index[part.name]

    for envelope in np.flatnonzero(np.bincount(envelopes, minlength=count)).tolist():
        first, second = _parts(tables.envelopes[envelope])
        real[envelope] = imag[envelope] = index_of(first)
        if second is not None:
            is_complex[envelope] = True
            imag[envelope] = index_of(second)
    return WaveformTable(waveforms=tuple(waveforms), real=real, imag=imag, is_complex=is_complex)


def _parts(envelope: SampledEnvelope) -> tuple[Waveform, Waveform | None]:
    """Give what plays an envelope's real part, and its imaginary part if it has one."""
    is_short = len(envelope.samples) <= _SHORT
    return _short_parts(envelope) if is_short else _short_parts.__wrapped__(envelope)


@functools.lru_cache(maxsize=256)
def _short_parts(envelope: SampledEnvelope) -> tuple[Waveform, Waveform | None]:
    real, imag = envelope.samples.real, envelope.samples.imag
    return (waveform(real.astype("<f4").tobytes()), waveform(imag.astype("<f4").tobytes()) if imag.any() else None)


def waveform(content: bytes) -> Waveform:
    """Name some samples of four bytes each by their content."""
    return Waveform(name=hashlib.sha256(content).hexdigest()[:16], samples=np.frombuffer(content, dtype="<f4"))


def constant(value: float, length: int) -> Waveform:
    """Give samples that are all the same, in no more memory than one of them."""
    name = hashlib.sha256(f"{length} times {value.hex()}".encode("ascii")).hexdigest()[:16]
    return Waveform(name=name, samples=np.broadcast_to(np.float32(value), length))
