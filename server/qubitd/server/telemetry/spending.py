"""Where the time of a job goes: wall time by activity, added up and told with each chunk that is kept."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from qubitd.wire.jobs import TimeSpent


class Activity(enum.Enum):
    """What takes time for a job that holds the rack. Only `idle` is time that the controller loses between chunks."""

    COMPILE = "compile"
    """Making the programs of a chunk: while the chunk before runs, or before the job queues if they are kept since."""
    ASSEMBLE = "assemble"
    """Translating them; at the same time."""
    AHEAD = "ahead"
    """Bringing parts of a chunk to sequencers that stand idle; while the chunk before runs."""
    UPLOAD = "upload"
    """Bringing the rest of a chunk into the instruments."""
    RUN = "run"
    FETCH = "fetch"
    DISCRIMINATE = "discriminate"
    """Turning points into what was asked for; while the next chunk runs."""
    RECORD = "record"
    """Making a chunk durable; that of the last one is not told, being part of it."""
    IDLE = "idle"
    """From the end of one chunk's run to the start of the next one's."""


class Spending:
    """Adds up; the event loop and the threads that work for it may all use it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[Activity, float] = {}

    def add(self, activity: Activity, seconds: float) -> None:
        """Note time."""
        with self._lock:
            self._seconds[activity] = self._seconds.get(activity, 0.0) + seconds

    @contextmanager
    def timed(self, activity: Activity) -> Generator[None]:
        """Note how long a block takes, if it ends well."""
        began = time.monotonic()
        yield
        self.add(activity, time.monotonic() - began)

    def take(self) -> tuple[TimeSpent, ...]:
        """Give what was noted since the last call."""
        with self._lock:
            noted, self._seconds = self._seconds, {}
        return tuple(TimeSpent(activity=activity.value, seconds=seconds) for activity, seconds in noted.items())
