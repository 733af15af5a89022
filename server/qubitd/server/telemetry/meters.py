"""What a daemon counts of itself: plain numbers, noted where things happen and read by whoever publishes them."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

BOUNDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0, 600.0)
"""Upper bounds of the classes that durations are sorted into, seconds; one more class has none."""


@dataclass(slots=True, kw_only=True)
class Spread:
    """Durations, sorted into classes."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """By class, not added up."""
    total: float = 0.0
    """Seconds."""

    def add(self, seconds: float) -> None:
        """Take in one."""
        self.counts[bisect.bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One thing that is counted, by a label."""

    help: str
    """One sentence, with the unit."""
    label: str
    """Name of the label; empty for none."""


COUNTERS: Mapping[str, Family] = {
    "jobs": Family(help="Jobs that ended, by state.", label="status"),
    "compiled": Family(help="Jobs that were compiled, by whether the compiler knew them.", label="known"),
    "faults": Family(help="Faults of the rack and its links.", label="kind"),
    "work": Family(help="Pieces of work between daemons and workers, by who did it or how it ended.", label="outcome"),
    "upkeep": Family(help="Copies, looks for damage and truncations of the store's log, by outcome.", label="outcome"),
    "refused": Family(help="Submissions that were refused, by reason.", label="reason"),
}
SPREADS: Mapping[str, Family] = {
    "stage": Family(help="Seconds of a job on the rack, chunk by chunk, by what took them.", label="activity"),
    "instrument": Family(help="Seconds of instrument time of chunks.", label=""),
    "forecast_error": Family(help="Seconds by which a start came earlier or later than told when it queued.", label=""),
    "wait": Family(help="Seconds from a job's acceptance to its start.", label=""),
    "commit": Family(help="Seconds of durable commits.", label=""),
}


class Meters:
    """Counts and spreads by name and label. Any thread may note."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}
        self._spreads: dict[tuple[str, str], Spread] = {}

    def count(self, name: str, label: str = "") -> None:
        """Count one more."""
        with self._lock:
            self._counts[name, label] = self._counts.get((name, label), 0) + 1

    def note(self, name: str, seconds: float, label: str = "") -> None:
        """Note a duration."""
        with self._lock:
            self._spreads.setdefault((name, label), Spread()).add(seconds)

    def counts(self) -> dict[tuple[str, str], int]:
        """Give all counts, by name and label."""
        with self._lock:
            return dict(self._counts)

    def spreads(self) -> dict[tuple[str, str], Spread]:
        """Give copies of all spreads, by name and label."""
        with self._lock:
            return {key: Spread(counts=list(one.counts), total=one.total) for key, one in self._spreads.items()}
