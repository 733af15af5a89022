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
        own, *rest = (gap // pieces + (index < gap % pieces) for index in range(pieces))
        return own, "".join(f"wait {piece}\n" for piece in rest)
    turns = (gap - BEFORE_LOOP) // PIECE
    return gap - turns * PIECE, f"move {turns},R2\n{label}: wait {PIECE}\nloop R2,@{label}\n"
