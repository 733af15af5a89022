"""How gaps between instructions are written: an instruction waits 4 to 65535 ns, the rest of a gap goes into waits.

A gap that takes more than a few waits becomes a loop of equal ones; what does not divide goes to the instruction that
starts the gap, which keeps enough of it for the processor to set the loop up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHORTEST = 4
"""ns between the starts of two real-time instructions."""
LONGEST = 65535
"""ns that one instruction may wait."""
BEFORE_LOOP = 1000
"""ns at least that the instruction before a loop waits itself."""
PIECE = LONGEST + 1 - BEFORE_LOOP
"""ns that each turn of a loop waits."""
LOOP_FROM = 4
"""Waits beside the instruction's own from which a loop is shorter: it takes three instructions."""
LONGEST_GAP = PIECE * (2**32 - 1)
"""ns (3.2 days): the longest gap that can be written, as a loop is counted in 32 bits."""

Ints = NDArray[np.int64]


def extra_instructions(gaps: Ints) -> Ints:
    """Count the instructions that follow the one which starts each gap."""
    waits = -(-gaps // LONGEST) - 1
    return np.where(waits < LOOP_FROM, waits, 3)


def wait_text(gap: int, label: str) -> tuple[int, str]:
    """Write a gap.

    Args:
        gap: ns, 4 to `LONGEST_GAP`.
        label: a label that is not used elsewhere in the program.

    Returns:
        what the instruction at its start waits itself, and the lines that follow it.
    """
    pieces = -(-gap // LONGEST)
    if pieces - 1 < LOOP_FROM:
        shorter, longer = divmod(gap, pieces)  # so many of them are 1 ns longer, this one first
        own = shorter + (longer > 0)
        rest = max(longer - 1, 0)
        return own, f"wait {shorter + 1}\n" * rest + f"wait {shorter}\n" * (pieces - 1 - rest)
    turns = (gap - BEFORE_LOOP) // PIECE
    return gap - turns * PIECE, f"move {turns},R2\n{label}: wait {PIECE}\nloop R2,@{label}\n"


def first_wait(gap: int, label: str) -> str:
    """Write the gap before the first event; arguments as for `wait_text`, but that it may be 0."""
    if gap == 0:
        return ""
    own, rest = wait_text(gap, label)
    return f"wait {own}\n{rest}"
