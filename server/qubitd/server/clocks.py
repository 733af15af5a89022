"""The two times of a daemon. They are never mixed: what people read is wall-clock time, what is decided is steady."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Where a daemon looks for the time; a test brings its own."""

    wall: Callable[[], int] = time.time_ns
    """ns since 1970-01-01 UTC: for people. It may step."""
    steady: Callable[[], float] = time.monotonic
    """Seconds from some start: for every decision. It never steps."""
