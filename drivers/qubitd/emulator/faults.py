"""Faults on demand: what goes wrong with the next answers on the wire."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, unique


@unique
class FaultKind(Enum):
    """What happens to an answer."""

    STALL = "stall"
    """It is never sent."""
    HALF = "half"
    """Its first half is sent, and nothing more of it."""
    LATE = "late"
    """It is sent after `seconds`."""
    CLOSE = "close"
    """The connection is closed in an orderly way instead."""
    RESET = "reset"
    """The connection is reset instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault, for one answer."""

    kind: FaultKind
    seconds: float = 0.0
    """Delay of a late answer."""
    port: int | None = None
    """TCP port whose next answer it befalls; None for any."""


class FaultPlan:
    """Faults in the order in which they will happen."""

    def __init__(self) -> None:
        self._waiting: deque[Fault] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, fault: Fault, count: int = 1) -> None:
        """Plan a fault for the next `count` answers."""
        self._waiting.extend([fault] * count)

    def take(self, port: int) -> Fault | None:
        """Give the fault that befalls an answer on a port now, if any."""
        for fault in self._waiting:
            if fault.port in (None, port):
                self._waiting.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        """Forget all that is planned."""
        self._waiting.clear()
