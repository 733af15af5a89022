"""Time for what waits: it passes at once."""

from __future__ import annotations

import threading


class QuickClock:
    """Time that passes only while somebody waits for it, and then at once."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.time += seconds
        return event.is_set()
