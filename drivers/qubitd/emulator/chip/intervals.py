"""Chains of intervals: which rows overlap, directly or through others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def chains(
    start: NDArray[np.int64], end: NDArray[np.int64], *, gap: int, full: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Number the chains of intervals that are sorted by start, shape (rows,): 0, 1, ...

    A new chain begins `gap` or more after everything before it has ended (gap 0: touching intervals are apart; gap 1:
    they belong together). With `full`, only if some row of the chain so far is marked.
    """
    if not len(start):
        return np.zeros(0, dtype=np.int64)
    busy = np.maximum.accumulate(end)
    breaks = np.flatnonzero(start[1:] - busy[:-1] >= gap) + 1
    if full is not None:
        breaks = _after_a_full_one(breaks, np.cumsum(full.astype(np.int64)))
    labels = np.zeros(len(start), dtype=np.int64)
    labels[breaks] = 1
    return np.cumsum(labels)


def _after_a_full_one(breaks: NDArray[np.int64], filled: NDArray[np.int64]) -> NDArray[np.int64]:
    kept: list[int] = []
    seen = 0
    for row in breaks.tolist():
        if filled[row - 1] > seen:
            kept.append(row)
            seen = int(filled[row - 1])
    return np.array(kept, dtype=np.int64)
