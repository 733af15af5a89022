"""Integration kernels as the weights of one sequencer: each distinct content held once, both quadratures weighed alike.

A sequencer has one length for all windows without weights. That is the longest; shorter ones are weighed with ones. A
sequencer that sends triggers holds all sums against one threshold, so there every window is weighed to the smallest sum
of any, one of twice the length with halves; and to a positive one, since a sum beyond a negative level is a mean below
the threshold.

The processor takes a weight's number from a register, since it takes the bin's from one. Where all weights are one the
register is set once; otherwise before each acquisition that needs another, the first of an iteration included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.core.program import BOXCAR
from qubitd.drivers.cluster.columns import AcquisitionColumns, ChunkColumns
from qubitd.drivers.cluster.waveforms import Waveform, constant, waveform

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightTable:
    """The weights of a sequencer, and how each of its acquisitions uses them."""

    weights: tuple[Waveform, ...]
    """By index."""
    index: Ints
    """Weight of each acquisition, shape (acquisitions,); `BOXCAR` for none."""
    sets: Bools
    """Whether an acquisition needs another weight in the register than the weighed one before it."""
    norm: NDArray[np.float64]
    """What each acquisition's sum is divided by to give a mean: the sum of its weights, or its length."""

    def select(self, rows: slice) -> WeightTable:
        """Give the use that some of the acquisitions make of the weights."""
        return replace(self, index=self.index[rows], sets=self.sets[rows], norm=self.norm[rows])

    @property
    def is_constant(self) -> bool:
        """Whether one weight serves all weighed acquisitions, of which there is at least one."""
        return len(self.weights) == 1

    @property
    def integration(self) -> int:
        """Length of the windows without weights, which have one in common; 0 if there are none."""
        plain = self.norm[self.index == BOXCAR]
        return int(plain[0]) if len(plain) else 0


def weight_table(columns: ChunkColumns, acquisitions: AcquisitionColumns, *, alike: bool = False) -> WeightTable:
    """Collect the weights that some acquisitions need.

    Args:
        columns: of the chunk.
        acquisitions: of one sequencer.
        alike: whether all their sums are to mean the same, and to be positive.
    """
    if _are_alike_and_plain(acquisitions):
        return WeightTable(
            weights=(),
            index=acquisitions.kernel,
            sets=np.zeros(len(acquisitions.kernel), dtype=np.bool_),
            norm=acquisitions.length.astype(np.float64),
        )
    kinds, of = _kinds(acquisitions)
    sums = np.array([_sum(columns, *kind) for kind in kinds])
    plain = _plain(kinds, sums, alike=alike)
    scale = np.abs(sums).min() / sums if alike else np.ones(len(sums))
    table: dict[str, Waveform] = {}
    number: dict[str, int] = {}
    index, norm = np.full(len(kinds), BOXCAR, dtype=np.int64), sums.copy()
    for row, (kernel, length) in enumerate(kinds):
        if row != plain:
            weights = _weights(columns, kernel, length, scale[row])
            table.setdefault(weights.name, weights)
            index[row] = number.setdefault(weights.name, len(number))
            norm[row] = weights.samples.sum(dtype=np.float64)
    return WeightTable(
        weights=tuple(table.values()),
        index=index[of],
        sets=_sets(index[of], len(table)),
        norm=norm[of],
    )


def _are_alike_and_plain(acquisitions: AcquisitionColumns) -> bool:
    """Whether no window needs weights, as nearly always; so if there is no window."""
    kernel, length = acquisitions.kernel, acquisitions.length
    return not len(kernel) or bool((kernel == BOXCAR).all() and (length == length[0]).all())


def _kinds(acquisitions: AcquisitionColumns) -> tuple[list[tuple[int, int]], NDArray[np.intp]]:
    """Give each kernel and length that occur together, and which of these every acquisition has."""
    kernel, length = acquisitions.kernel, acquisitions.length
    span = int(length.max()) + 1
    keys, of = np.unique(kernel * span + length, return_inverse=True)
    return [divmod(key, span) for key in keys.tolist()], of


def _weights(columns: ChunkColumns, kernel: int, length: int, scale: float) -> Waveform:
    if kernel == BOXCAR:
        return constant(scale, length)
    return waveform((columns.tables.envelopes[kernel].samples.real * scale).astype("<f4").tobytes())


def _sum(columns: ChunkColumns, kernel: int, length: int) -> float:
    return float(length if kernel == BOXCAR else columns.tables.envelopes[kernel].samples.real.sum())


def _plain(kinds: Sequence[tuple[int, int]], sums: NDArray[np.float64], *, alike: bool) -> int:
    """Find the kind of window that goes without weights; -1 if there is none."""
    least = np.abs(sums).min()
    boxcars = [row for row, (kernel, _) in enumerate(kinds) if kernel == BOXCAR and (sums[row] == least or not alike)]
    return max(boxcars, key=sums.__getitem__, default=-1)


def _sets(index: Ints, count: int) -> Bools:
    sets = np.zeros(len(index), dtype=np.bool_)
    rows = np.flatnonzero(index != BOXCAR)
    if count > 1:
        sets[rows] = np.concatenate([[True], np.diff(index[rows]) != 0])
    return sets
