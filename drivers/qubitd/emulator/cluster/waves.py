"""Named lists of samples that a sequencer holds: waveforms to play, weights to integrate with."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.bins import block
from qubitd.emulator.cluster.named import NamedList
from qubitd.emulator.errors import ScpiError


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """What an entry holds; new data are another wave, so that a run keeps those it was started with."""

    samples: NDArray[np.float32]
    """From -1 to 1."""
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class HeldWaves:
    """The entries by index, as a run sees them."""

    lengths: NDArray[np.int64]
    """Shape (indices,), -1 where there is none."""
    by_index: Mapping[int, Wave]

    content: Hashable
    """What they hold, by index: equal for equal samples."""


class WaveList:
    """A sequencer's waveforms or weights, within the limits of its memory."""

    def __init__(self, *, indices: int, samples: int) -> None:
        self.entries: NamedList[Wave] = NamedList(indices=indices)
        self._indices = indices
        self._samples = samples
        self._held: tuple[int, HeldWaves] | None = None
        """As it was given last, with the version of the entries."""
        self._listing: tuple[int, bytes] | None = None
        """As it was read last, with the version of the entries."""

    def new(self, name: str, length: int) -> None:
        """Create an entry of zeros."""
        used = sum(len(wave.samples) for wave in self.entries)
        if used + length > self._samples:
            raise ScpiError(-225, f"{length} samples on top of {used}; the memory holds {self._samples}")
        samples = np.zeros(length, dtype=np.float32)
        self.entries.new(name, lambda: Wave(samples, _digest(samples)))

    def set_data(self, name: str, data: bytearray) -> None:
        """Fill an entry with little-endian float32 samples from -1 to 1, as many as it was created with."""
        size = 4 * len(self.entries.get(name).samples)
        if len(data) != size:
            raise ScpiError(-220, f"{name!r} takes {size} bytes, got {len(data)}")
        samples = np.frombuffer(data, dtype="<f4")
        if not (np.abs(samples) <= 1).all():
            raise ScpiError(-222, f"{name!r} has samples outside -1 to 1")
        self.entries.put(name, Wave(samples, _digest(samples)))

    def listing(self) -> bytes:
        """Give the whole list as it is downloaded: a count, then name, index and samples of each."""
        if self._listing is None or self._listing[0] != self.entries.version:
            parts = [block(struct.pack("<I", len(self.entries)))]
            for name, index, wave in self.entries.rows():
                parts += [block(name.encode("latin-1")), block(struct.pack("<I", index)), block(wave.samples.tobytes())]
            self._listing = (self.entries.version, b"".join(parts))
        return self._listing[1]

    def held(self) -> HeldWaves:
        """Give what a run sees."""
        if self._held is None or self._held[0] != self.entries.version:
            self._held = (self.entries.version, self._held_now())
        return self._held[1]

    def _held_now(self) -> HeldWaves:
        lengths = np.full(self._indices, -1, dtype=np.int64)
        by_index = self.entries.by_index()
        for index, wave in by_index.items():
            lengths[index] = len(wave.samples)
        content = tuple(sorted((index, wave.digest) for index, wave in by_index.items()))
        return HeldWaves(lengths, by_index, content)


def _digest(samples: NDArray[np.float32]) -> str:
    return hashlib.blake2b(samples.tobytes(), digest_size=16).hexdigest()
