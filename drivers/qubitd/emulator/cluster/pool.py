"""The waveforms of one run's tables, each once."""

from __future__ import annotations

import hashlib

import numpy as np

from qubitd.emulator.cluster.waves import Wave
from qubitd.emulator.events import Waveform

LONGEST_CONSTANT = 16_384
"""Samples of the waveform that stands for an offset; an offset that lasts longer takes several rows of a table."""


class WaveformPool:
    """Pairs of samples become complex waveforms; what is in already keeps its index."""

    def __init__(self) -> None:
        self.waveforms: list[Waveform] = []
        self._index: dict[str, int] = {}
        self._constant = -1

    def add(self, first: Wave | None, second: Wave | None, skip: int = 0) -> int:
        """Give the index of two waves as real and imaginary part, without their first `skip` samples; the shorter one
        is padded."""
        parts = f"{first.digest if first else '-'}:{second.digest if second else '-'}"
        if parts not in self._index:
            length = max(len(wave.samples) for wave in (first, second) if wave is not None)
            samples = np.zeros(length, dtype=np.complex128)
            if first is not None:
                samples.real[: len(first.samples)] = first.samples
            if second is not None:
                samples.imag[: len(second.samples)] = second.samples
            self._put(parts, Waveform(samples=samples, digest=_digest(parts)))
        return self.rest(self._index[parts], skip)

    def constant(self) -> int:
        """Give the index of the waveform that is 1 on both paths."""
        if self._constant < 0:
            samples = np.full(LONGEST_CONSTANT, 1 + 1j)
            self._constant = self._put("constant", Waveform(samples=samples, digest=_digest("constant")))
        return self._constant

    def is_constant(self, index: int) -> bool:
        """Whether a waveform is that of an offset."""
        return index == self._constant

    def rest(self, index: int, skip: int) -> int:
        """Give the index of a waveform without its first samples."""
        if skip == 0 or self.is_constant(index):
            return index
        whole = self.waveforms[index]
        key = f"{whole.digest}+{skip}"
        if key not in self._index:
            self._put(key, Waveform(samples=whole.samples[skip:], digest=_digest(key)))
        return self._index[key]

    def length(self, index: int) -> int:
        """Give a waveform's length in samples."""
        return len(self.waveforms[index].samples)

    def _put(self, key: str, waveform: Waveform) -> int:
        self._index[key] = len(self.waveforms)
        self.waveforms.append(waveform)
        return self._index[key]


def _digest(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
