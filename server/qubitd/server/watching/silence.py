"""How long a watch has told nothing: so that it says where it stands before anybody takes it for dead."""

from __future__ import annotations

from collections.abc import Callable

PERIOD = 10.0
"""Seconds of silence after which a watch tells where it stands."""


class Silence:
    """The silence of one watch, on a clock that nobody sets."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._since = steady()

    def end(self) -> None:
        """Begin anew: something was told."""
        self._since = self._steady()

    @property
    def left(self) -> float:
        """Seconds until it has lasted long enough; 0 if it has."""
        return max(0.0, self._since + PERIOD - self._steady())
