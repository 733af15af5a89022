"""Where a warning points: at the line of whoever uses us."""

from __future__ import annotations

import inspect

_OURS = f"{__name__.partition('.')[0]}."


def outside() -> int:
    """Give the `stacklevel`, as the caller has to give it, of the first frame that is not of ours."""
    level, frame = 1, inspect.currentframe()
    while (frame := frame.f_back if frame else None) and frame.f_globals.get("__name__", "").startswith(_OURS):
        level += 1
    return level
