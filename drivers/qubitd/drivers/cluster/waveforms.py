"""Envelopes as the waveforms of one sequencer: real samples, each distinct content held once.

A sequencer's two paths play two waveforms. A real envelope plays the same one on both with a gain of 0 on the second,
so that it needs no memory for zeros.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.program import ProgramTables

Ints = NDArray[np.int64]


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
    indices: dict[bytes, int] = {}
    for envelope in np.flatnonzero(np.bincount(envelopes, minlength=count)).tolist():
        samples = tables.envelopes[envelope].samples
        real[envelope] = imag[envelope] = _index(indices, samples.real)
        if np.any(samples.imag):
            is_complex[envelope] = True
            imag[envelope] = _index(indices, samples.imag)
    return WaveformTable(
        waveforms=tuple(waveform(content) for content in indices), real=real, imag=imag, is_complex=is_complex
    )


def _index(indices: dict[bytes, int], samples: NDArray[np.float64]) -> int:
    return indices.setdefault(samples.astype("<f4").tobytes(), len(indices))


def waveform(content: bytes) -> Waveform:
    """Name some samples of four bytes each by their content."""
    return Waveform(name=hashlib.sha256(content).hexdigest()[:16], samples=np.frombuffer(content, dtype="<f4"))


def constant(value: float, length: int) -> Waveform:
    """Give samples that are all the same, in no more memory than one of them."""
    name = hashlib.sha256(f"{length} times {value.hex()}".encode("ascii")).hexdigest()[:16]
    return Waveform(name=name, samples=np.broadcast_to(np.float32(value), length))
