"""When the RF switches are open: marker bits of all sequencers of a module, wired together, gate its outputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """Intervals in order, apart from each other."""

    opens: NDArray[np.int64]
    """ns."""
    closes: NDArray[np.int64]
    """ns; the largest integer where it stays open."""


ALWAYS = Opening(np.array([np.iinfo(np.int64).min]), np.array([_NEVER]))
"""Of an output without a switch."""


def opening(bit: int, markers: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Opening:
    """Unite the times in which a bit is set.

    Args:
        bit: of the marker outputs.
        markers: for each sequencer the times at which its markers were set, ns, from the start of the run on, and to
            what.
    """
    times: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    changes: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for time, value in markers:
        is_set = (value & bit != 0).astype(np.int64)
        change = is_set.copy()
        change[1:] -= is_set[:-1]
        times.append(time[change != 0])
        changes.append(change[change != 0])
    time, change = np.concatenate(times), np.concatenate(changes)
    order = np.lexsort((-change, time))
    time, set_by = time[order], np.cumsum(change[order])
    before = np.concatenate([[0], set_by[:-1]])
    opens, closes = time[(before == 0) & (set_by > 0)], time[(before > 0) & (set_by == 0)]
    return Opening(opens, np.append(closes, [_NEVER] * (len(opens) - len(closes))))
