"""What the Cluster's trigger network can do, as numbers for the compiler's scheduler.

The maker states 364 ns from the last sample that an acquisition integrates to the first that may depend on it; the
network's slots are 28 ns apart, and a trigger may come up to 24 ns into one: so 388 ns are safe, and a counter changes
somewhere between the two.
"""

from __future__ import annotations

from qubitd.core.feedforward import FeedForward

SOONEST, LATEST = 364, 388
"""ns from the end of an acquisition to where its trigger may, and must, have arrived."""
SHIFT = 24
"""ns that a conditional change of phase takes, whichever way it goes: as long as its instructions take the classical
core, so that many of them, one behind the other, do not make it late.
"""

FEEDFORWARD = FeedForward(
    latency=LATEST,
    travel=(SOONEST + LATEST) // 2,
    spacing=252,
    addresses=15,
    step=16,
    shift=SHIFT,
)
"""One trigger is on the network at a time, for 252 ns; addresses are 1 to 15."""
