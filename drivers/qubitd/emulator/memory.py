"""How the C library deals with memory that is free again; its knobs are those of mallopt(3)."""

from __future__ import annotations

import contextlib
import ctypes

_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_BIGGEST_BLOCK = 1 << 25
"""Bytes of the biggest block that can be kept: the most that mallopt takes."""
_MOST_KEPT = 1 << 27
"""Bytes that are kept at most at the end of the heap."""


def keep_big_blocks() -> None:
    """Have the C library keep blocks of some megabytes for the next ones, where it knows how (glibc).

    Left alone it gives many of them back to the system, and a run takes thousands. Each page that comes anew costs more
    than what is worked out in it, above all in a virtual machine.
    """
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _BIGGEST_BLOCK)
        library.mallopt(_TRIM_THRESHOLD, _MOST_KEPT)
