"""Instrument time: virtual, where a run is over at once and the clock jumps by what it played, or real, where it takes
as long as it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class InstrumentClock(Protocol):
    """Whole ns since the instruments were switched on."""

    def now(self) -> int:
        """Give the time."""
        ...

    def play(self, duration: int, *, since: int) -> int:
        """Account for a run that was started at a time; gives the time at which it is over."""
        ...

    def advance(self, duration: int) -> None:
        """Let time pass without a run."""
        ...

    def reset(self) -> None:
        """Start again at 0."""
        ...


class VirtualClock:
    """Stands still but for what is played."""

    def __init__(self) -> None:
        self._now = 0

    def now(self) -> int:
        """Give the time."""
        return self._now

    def play(self, duration: int, *, since: int) -> int:
        """Jump to the end of a run."""
        self._now = max(self._now, since + duration)
        return self._now

    def advance(self, duration: int) -> None:
        """Jump ahead."""
        self._now += duration

    def reset(self) -> None:
        """Go back to 0."""
        self._now = 0


class RealClock:
    """Runs as a monotonic clock does."""

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._zero = monotonic_ns()

    def now(self) -> int:
        """Give the time."""
        return self._monotonic_ns() - self._zero

    def play(self, duration: int, *, since: int) -> int:
        """Give the end of a run; nothing is waited for."""
        return since + duration

    def advance(self, duration: int) -> None:
        """Set the clock forward, for tests of drift."""
        self._zero -= duration

    def reset(self) -> None:
        """Start again at 0."""
        self._zero = self._monotonic_ns()
