"""What the scheduler knows of a job that waits, and what keeps the rack for somebody."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from qubitd.wire.slots import SlotKind

SLACK = 1.2
"""A job starts before a window only if its estimate times this fits."""


class QueueClass(enum.IntEnum):
    """Who goes first; lower goes first."""

    SAFETY = 0
    """An operator's: before everybody, sessions too."""
    SESSION = 1
    """Its session holds the rack, or is the next to get it."""
    CALIBRATION = 2
    """Runs in a calibration slot that is open."""
    NORMAL = 3
    BACKGROUND = 4
    """Runs when nobody else wants the rack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job that could run now."""

    job_id: str
    accepted: int
    """Position in the store's order of acceptance."""
    project: str
    """Whose share it uses."""
    queue_class: QueueClass = QueueClass.NORMAL
    priority: int = 0
    """Among the jobs of its own project; higher goes first."""
    since: float = 0.0
    """When it was accepted, s."""
    estimate: float = 0.0
    """Seconds that it will hold the rack."""
    session: str = ""
    """Id of its session, if it has one."""
    slot: str = ""
    """Id of the slot that it is for, if it has one."""

    @property
    def rank(self) -> tuple[int, int]:
        """Order within its project and class."""
        return (-self.priority, self.accepted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Time that is reserved: start <= t < end."""

    slot_id: str
    kind: SlotKind
    start: float
    """Seconds."""
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A session as the scheduler sees it."""

    session: str
    opened: int
    """Order in which sessions were opened."""
    needs: float = 0.0
    """Seconds that must be free before the next slot for its window to begin."""
    holds_until: float = -math.inf
    """It has the rack to itself before this time, s; in the past or -inf if it does not hold it."""
    patience: float = 0.0
    """Seconds for which it keeps the rack once it holds it and no job of it is left."""
