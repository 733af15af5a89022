"""The trigger network: when the bit of an acquisition reaches the counters, and when two of them meet on the way.

Time here is that of the connectors, as everywhere: from the last sample that an acquisition integrates to the first
sample of an instruction that can depend on it the maker states 364 ns, 212 of them on the network, whose slots are
28 ns apart; so it may be up to 388.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NETWORK = 212
"""ns from where a trigger is sent to the counters of all sequencers."""
CONVERTERS = 152
"""ns from the input's connector to the network and from the counters to the output's connector, together."""
SOONEST = NETWORK + CONVERTERS
SLOT = 28
"""ns."""
_CLOCK = 4
"""ns: a trigger that comes within the cycle in which a slot begins still takes it."""
LATEST = SOONEST + SLOT - _CLOCK
SPACING = 252
"""ns between the ends of two acquisitions whose triggers do not meet."""


class Source(NamedTuple):
    """An acquisition that sends a trigger, if its bit is right."""

    player: int
    """Position of its sequencer among those of the run."""
    at: int
    """Index of the instruction in the sequencer's trace."""


def arrival(end: int) -> int:
    """Give the time from which instructions know of a trigger, for an acquisition that ends at `end`."""
    slot = -(-(end - _CLOCK + 1) // SLOT) * SLOT
    return max(end, slot) + SOONEST


def conflicts(end: NDArray[np.int64], sent: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which acquisitions sent a trigger while another was on the network.

    Args:
        end: of each acquisition in ns, in order, shape (acquisitions,).
        sent: shape (acquisitions, shots).

    Returns:
        shape (acquisitions,).
    """
    met = np.zeros(len(end), dtype=np.bool_)
    first = np.searchsorted(end, end - SPACING, side="right")
    for row in np.flatnonzero(first < np.arange(len(end))).tolist():
        met[row] = bool((sent[row] & sent[first[row] : row].any(axis=0)).any())
    return met
