"""When the emulator ends by itself: some time after its last connection closed, or after its start if none came."""

from __future__ import annotations

from collections.abc import Callable

AFTER_LAST = 10.0
"""Seconds from the last connection's end."""
WITHOUT_ANY = 30.0
"""Seconds from the start."""


class Lifetime:
    """Counts connections; `remaining` says how long to go on."""

    def __init__(self, monotonic: Callable[[], float], *, after_last: float = AFTER_LAST) -> None:
        """Start now; `monotonic` gives seconds, `after_last` is how long to go on from the last connection's end."""
        self._monotonic = monotonic
        self._after_last = after_last
        self._open = 0
        self._deadline = monotonic() + max(WITHOUT_ANY, after_last)

    def opened(self) -> None:
        """Note a new connection."""
        self._open += 1

    def closed(self) -> None:
        """Note the end of a connection."""
        self._open -= 1
        self._deadline = self._monotonic() + self._after_last

    def remaining(self) -> float | None:
        """Give the seconds that are left, 0 or less when time is up; None while somebody is connected."""
        return None if self._open else self._deadline - self._monotonic()
