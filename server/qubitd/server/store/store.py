"""The store as the daemon sees it, whichever database is behind it: reads at once, writes as futures that are durable
when they give their result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

from qubitd.server.store.audit import AuditWrites
from qubitd.server.store.job_reads import JobReads
from qubitd.server.store.job_writes import JobWrites
from qubitd.server.store.revisions import RevisionReads, RevisionWrites
from qubitd.server.store.sessions import SessionReads, SessionWrites
from qubitd.server.store.slots import SlotReads, SlotWrites

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Writes:
    """What a write command works on; it lives in the writer's thread."""

    jobs: JobWrites
    revisions: RevisionWrites
    sessions: SessionWrites
    slots: SlotWrites
    audit: AuditWrites


class Store(Protocol):
    """An open store: reads at once, writes as futures that are durable when they give their result."""

    jobs: JobReads
    sessions: SessionReads
    slots: SlotReads

    def revisions(self, backend: str) -> RevisionReads:
        """Ask about a backend's revisions."""
        ...

    def blob(self, digest: str) -> bytes:
        """Read a blob and check it, from any thread."""
        ...

    def check_blob(self, digest: str) -> None:
        """Read a blob through, from any thread."""
        ...

    def pieces(self, digest: str) -> Generator[bytes]:
        """Read a checked blob's messages one after another."""
        ...

    def check_room(self, needed: int) -> None:
        """Make sure that so many bytes more fit."""
        ...

    def write(self, command: Callable[[Writes], Result]) -> Future[Result]:
        """Run a command in the writer's thread; its future gives the result once that is durable."""
        ...

    def close(self) -> None:
        """Finish what waits and close."""
        ...
