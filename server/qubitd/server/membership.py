"""Who serves which backend, as values: what a daemon's row in the shared store says, and what follows from its age.

Ages are by the database's clock, so that the clocks of the daemons' machines do not matter. A backend shows as offline
soon, since that costs nothing; others act on it late, since that costs its daemon a restart if it was only slow.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from qubitd.wire.backends import BackendStanding
from qubitd.wire.lab import LabState

BEAT = 1.0
"""Seconds between two signs of life of a daemon."""
OFFLINE = 3.0
"""Seconds without one after which its backend shows as offline: with the look of another daemon within 5."""
ABANDONED = 10.0
"""Seconds without one after which others may take its backend, or act on the jobs that wait for it."""

FORSAKEN = 30 * 86_400.0
"""Seconds without one after which others remove what is too old of it: more than a cryostat is warm for usually, since
its daemon may keep results for longer than they do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a daemon tells the others of its backend."""

    description: bytes
    """`qubitd.v1.BackendsWatchResponse`; empty before the daemon has served it for the first time."""
    lab: LabState = LabState.SERVING
    lab_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A backend of the group as the store has it."""

    backend: str
    fence: int
    """Counts its ownerships; a daemon writes only while this is its own."""
    daemon: str
    """Id of the daemon that owns it; empty if none does."""
    address: str
    """Where that serves, or served last; empty while it starts."""
    beat_ns: int
    """When it gave its last sign of life, ns since 1970-01-01 UTC."""
    age: float
    """Seconds since then."""
    left_because: str
    """Why it left, if it said so; empty while it owns the backend."""
    notice: Notice

    @property
    def is_online(self) -> bool:
        """Whether its daemon is there."""
        return bool(self.daemon and self.address) and self.age < OFFLINE

    @property
    def is_abandoned(self) -> bool:
        """Whether others may act for it."""
        return self.age >= ABANDONED

    @property
    def is_forsaken(self) -> bool:
        """Whether nobody may come back to it: it was renamed, or its cryostat is no more."""
        return self.age >= FORSAKEN

    @property
    def trouble(self) -> str:
        """Say why jobs for it wait; empty if they do not."""
        if self.is_online:
            return ""
        if self.daemon and self.age < OFFLINE:
            return "its daemon is starting; jobs for it wait"
        if self.left_because:
            return f"its daemon at {self.address} {self.left_because}; jobs for it wait"
        since = dt.datetime.fromtimestamp(self.beat_ns // 10**9, tz=dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
        return f"its daemon at {self.address} was heard of last at {since} UTC; jobs for it wait"

    @property
    def standing(self) -> BackendStanding:
        """Give what users are told."""
        return BackendStanding(name=self.backend, online=self.is_online, reason=self.trouble, address=self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a daemon says when it takes its backend."""

    backend: str
    daemon: str
    """Its id: the same for every daemon on one data directory, whose lock proves that the one before is dead."""


def may_take(claim: Claim, member: Member) -> bool:
    """Say whether a daemon may take a backend: it is free, or its own, or abandoned."""
    return member.daemon in ("", claim.daemon) or member.is_abandoned
