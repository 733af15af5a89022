"""What a sequencer has acquired: for each named acquisition its bins, each a sum over the acquisitions that went into
it.

Sums are in the instrument's units: a sample at full scale, times a weight of 1, adds 2^22; nothing is divided by a
length.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.named import NamedList
from qubitd.emulator.cluster.scope import NO_TRACE, ScopeTrace
from qubitd.emulator.errors import ScpiError

FULL_SCALE = 1 << 22
"""Per sample."""
BIN = np.dtype([("valid", "<u8"), ("path0", "<i8"), ("path1", "<i8"), ("threshold", "<u4"), ("count", "<u4")])
"""32 bytes on the wire."""


@dataclass(slots=True)
class Acquisition:
    """One entry of the list."""

    bins: NDArray[np.void]
    """Records of dtype `BIN`, shape (bins,)."""
    out_of_range: list[bool] = field(default_factory=lambda: [False, False])
    """For each path, whether the digitiser clipped."""
    scope: tuple[ScopeTrace, ScopeTrace] = (NO_TRACE, NO_TRACE)
    """Both paths, as last stored."""
    _bytes: NDArray[np.uint8] = field(init=False)
    """Of the bins."""

    def __post_init__(self) -> None:
        self._bytes = self.bins.view(np.uint8)

    def add(self, bins: NDArray[np.int64], sums: NDArray[np.int64], bits: NDArray[np.bool_]) -> None:
        """Add integrations, shape (points, 2), to bins that all exist."""
        if len(bins) and bins[-1] - bins[0] == len(bins) - 1 and bool((bins[1:] > bins[:-1]).all()):
            self.add_in_order(slice(int(bins[0]), int(bins[-1]) + 1), sums, bits)
            return
        np.add.at(self.bins["path0"], bins, sums[..., 0])
        np.add.at(self.bins["path1"], bins, sums[..., 1])
        np.add.at(self.bins["threshold"], bins, bits.astype(np.uint32))
        np.add.at(self.bins["count"], bins, np.uint32(1))
        self.bins["valid"][bins] = 1

    def add_in_order(self, bins: slice, sums: NDArray[np.int64], bits: NDArray[np.bool_]) -> None:
        """Add integrations, shape (points, 2), to bins that all exist, one after another."""
        following = self.bins[bins]
        for name, more in (("path0", sums[:, 0]), ("path1", sums[:, 1]), ("threshold", bits), ("count", np.uint32(1))):
            column = following[name]
            column += more
        following["valid"] = 1

    def clear(self) -> None:
        """Forget the data."""
        self._bytes.fill(0)  # record by record it would take ten times as long
        self.out_of_range = [False, False]
        self.scope = (NO_TRACE, NO_TRACE)

    def parts(self) -> list[bytes | memoryview]:
        """Give the blocks of a download, in pieces that are not copied yet: two scope paths, empty unless one was
        stored, then the bins.
        """
        scopes = map(_scope_blocks, self.scope, self.out_of_range)
        return [*scopes, _block_head(len(self._bytes)), self._bytes.data]


class AcquisitionList:
    """A sequencer's acquisitions, within the limits of its memory."""

    def __init__(self, *, indices: int, bins: int) -> None:
        self.entries: NamedList[Acquisition] = NamedList(indices=indices)
        self._bins = bins

    def new(self, name: str, bins: int) -> None:
        """Create an entry of empty bins."""
        used = sum(len(acquisition.bins) for acquisition in self.entries)
        if used + bins > self._bins:
            raise ScpiError(-225, f"{bins} bins on top of {used}; the memory holds {self._bins}")
        self.entries.new(name, lambda: Acquisition(np.zeros(bins, dtype=BIN)))

    def part(self) -> None:
        """Keep copies of all entries instead of them: somebody else may still write into those."""
        self.entries.replace(lambda entry: replace(entry, bins=entry.bins.copy(), out_of_range=[*entry.out_of_range]))

    def parts(self) -> list[bytes | memoryview]:
        """Give the whole list as it is downloaded, in pieces: a count, then name, index and data of each."""
        parts: list[bytes | memoryview] = [block(struct.pack("<I", len(self.entries)))]
        for name, index, acquisition in self.entries.rows():
            parts += [block(name.encode("latin-1")), block(struct.pack("<I", index)), *acquisition.parts()]
        return parts


@lru_cache(maxsize=4)  # mostly of `NO_TRACE`
def _scope_blocks(trace: ScopeTrace, clipped: bool) -> bytes:
    return (
        block(trace.sums.astype("<i4").tobytes())
        + block(struct.pack("?", clipped or trace.out_of_range))
        + block(struct.pack("<I", trace.averages))
    )


def block(data: bytes) -> bytes:
    """Wrap data in a definite-length block (IEEE 488.2 section 8.7.9)."""
    return _block_head(len(data)) + data


def _block_head(size: int) -> bytes:
    count = str(size)
    return f"#{len(count)}{count}".encode()
