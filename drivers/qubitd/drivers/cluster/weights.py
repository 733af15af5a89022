"""Integration kernels as the weights of one sequencer: each distinct content held once, both quadratures weighed alike.

The processor takes a weight's number from a register, since it takes the bin's from one. Where all weights are one the
register is set once; otherwise before each acquisition that needs another, the first of an iteration included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.core.program import BOXCAR
from qubitd.drivers.cluster.columns import AcquisitionColumns, ChunkColumns
from qubitd.drivers.cluster.waveforms import Waveform, waveform_table

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


def weight_table(columns: ChunkColumns, acquisitions: AcquisitionColumns) -> WeightTable:
    """Collect the weights that some acquisitions need."""
    weighed = acquisitions.kernel != BOXCAR
    table = waveform_table(columns.tables, acquisitions.kernel[weighed])
    index = np.full(len(weighed), BOXCAR, dtype=np.int64)
    index[weighed] = table.real[acquisitions.kernel[weighed]]
    sums = np.array([waveform.samples.sum(dtype=np.float64) for waveform in table.waveforms])
    norm = acquisitions.length.astype(np.float64)
    norm[weighed] = sums[index[weighed]]
    return WeightTable(weights=table.waveforms, index=index, sets=_sets(index, len(sums)), norm=norm)


def _sets(index: Ints, count: int) -> Bools:
    sets = np.zeros(len(index), dtype=np.bool_)
    rows = np.flatnonzero(index != BOXCAR)
    if count > 1:
        sets[rows] = np.concatenate([[True], np.diff(index[rows]) != 0])
    return sets
