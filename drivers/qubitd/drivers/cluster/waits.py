"""How gaps between instructions are written: an instruction waits 4 to 65535 ns, the rest of a gap goes into waits.

The pieces of a split gap are nearly equal, so none is ever shorter than an instruction may be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHORTEST = 4
"""ns between the starts of two real-time instructions."""
LONGEST = 65535
"""ns that one instruction may wait."""
PIECE = 32767
"""ns at most per piece of a gap that is written as a loop."""
LOOP_FROM = 4
"""Waits beside the instruction's own from which a loop is shorter: it takes three instructions."""
LONGEST_GAP = PIECE * PIECE
"""ns (1.07 s): the longest gap that can be written."""

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
    pieces = -(-gap // PIECE)
    each = gap // pieces
    own = gap - (pieces - 1) * each
    return own, f"move {pieces - 1},R2\n{label}: wait {each}\nloop R2,@{label}\n"
