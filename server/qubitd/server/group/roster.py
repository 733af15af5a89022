"""What a daemon knows of the backends of its group, its own included: as they were at its last look, and older since.

All of it in the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from qubitd.server.errors import ServedElsewhereError, UnknownBackendError
from qubitd.server.membership import ABANDONED, Member, Notice
from qubitd.server.watching.announcer import Announcer
from qubitd.v1 import backends_pb2
from qubitd.wire.backends import BackendInfo, BackendStanding, decode_backend
from qubitd.wire.parsing import parse

TOPIC = "roster"
"""Announced when a backend came, went, or changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    member: Member
    at: float
    """When it was looked at, s on the steady clock."""
    silent_since: float
    """When its last sign of life was seen first, s on the steady clock."""


class Roster:
    """The backends of the other daemons."""

    def __init__(self, *, own: str, announcer: Announcer, steady: Callable[[], float]) -> None:
        self.own = own
        self.address = ""
        """Where this daemon serves."""
        self.look_again: Callable[[], None] = _nobody_else
        """Looks at the store: before a backend is said to be unknown."""
        self._announcer = announcer
        self._steady = steady
        self._seen: dict[str, _Seen] = {}
        self._told: list[tuple[str, bool, Notice]] = []

    def look(self, members: Iterable[Member]) -> None:
        """Take in what the store says now."""
        now = self._steady()
        others = (m for m in members if m.backend != self.own and m.notice.description)
        self._seen = {m.backend: _seen(self._seen.get(m.backend), m, now) for m in others}
        told = [(member.backend, member.is_online, member.notice) for member in self.others()]
        if told != self._told:
            self._told = told
            self._announcer.announce(TOPIC)

    def others(self) -> list[Member]:
        """Give the backends of the other daemons, by name."""
        return sorted((self._aged(seen) for seen in self._seen.values()), key=lambda member: member.backend)

    def find(self, name: str) -> Member | None:
        """Give a backend; None if it is this daemon's own.

        Raises:
            UnknownBackendError: nobody serves it.
        """
        if name not in (self.own, *self._seen):
            self.look_again()
        return self.known(name)

    def known(self, name: str) -> Member | None:
        """Give a backend as `find` does, without another look; from any thread.

        Raises:
            UnknownBackendError: nobody served it at the last look.
        """
        if name == self.own:
            return None
        seen = self._seen.get(name)
        if seen is None:
            raise UnknownBackendError(name=name, served=sorted((self.own, *self._seen)))
        return self._aged(seen)

    def check_own(self, name: str, what: str) -> None:
        """Make sure that a backend is this daemon's own, for what its own daemon alone can do.

        Raises:
            UnknownBackendError: nobody serves it.
            ServedElsewhereError: another daemon does.
        """
        member = self.find(name)
        if member is not None:
            raise ServedElsewhereError(
                backend=name, address=member.address, what=f"{what} of {name!r}", trouble=member.trouble
            )

    def standings(self) -> list[BackendStanding]:
        """Say how every backend of the group stands, by name."""
        own = BackendStanding(name=self.own, online=True, address=self.address if self._seen else "")
        return sorted((own, *(member.standing for member in self.others())), key=lambda standing: standing.name)

    def described(self, member: Member) -> BackendInfo:
        """Describe another daemon's backend, as that one did last."""
        info = _decoded(member.notice.description)
        if member.is_online:
            return info
        return replace(info, operational=False, trouble=member.trouble)

    def abandoned(self) -> list[Member]:
        """Give those for which this daemon may act: by the database's clock and by its own, should one have stepped."""
        now = self._steady()
        silent = [seen for seen in self._seen.values() if now - seen.silent_since >= ABANDONED]
        return [member for member in map(self._aged, silent) if member.is_abandoned]

    def _aged(self, seen: _Seen) -> Member:
        return replace(seen.member, age=seen.member.age + self._steady() - seen.at)


@lru_cache(maxsize=64)
def _decoded(description: bytes) -> BackendInfo:
    return decode_backend(parse(backends_pb2.BackendsWatchResponse, description).backend)


def _nobody_else() -> None:
    """A daemon alone knows all there is."""


def _seen(before: _Seen | None, member: Member, now: float) -> _Seen:
    is_silent = before is not None and before.member.beat_ns == member.beat_ns
    return _Seen(member=member, at=now, silent_since=before.silent_since if before and is_silent else now)
