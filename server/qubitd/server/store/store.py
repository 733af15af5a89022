"""The store as the daemon sees it, whichever database is behind it: reads at once, writes as futures that are durable
when they give their result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

from qubitd.server.store.accounts import AccountReads, AccountWrites
from qubitd.server.store.audit import AuditReads, AuditWrites
from qubitd.server.store.database import Blobs, Database
from qubitd.server.store.group_jobs import GroupJobReads, GroupJobWrites
from qubitd.server.store.job_reads import JobReads
from qubitd.server.store.job_writes import JobWrites
from qubitd.server.store.lab import LabReads, LabWrites
from qubitd.server.store.members import Clock, MemberReads, MemberWrites
from qubitd.server.store.revisions import RevisionReads, RevisionWrites
from qubitd.server.store.sessions import SessionReads, SessionWrites
from qubitd.server.store.sharing import Sharing
from qubitd.server.store.slots import SlotReads, SlotWrites
from qubitd.server.store.work import WorkReads, WorkWrites

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Writes:
    """What a write command works on; it lives in the writer's thread."""

    jobs: JobWrites
    revisions: RevisionWrites
    sessions: SessionWrites
    slots: SlotWrites
    audit: AuditWrites
    members: MemberWrites
    group_jobs: GroupJobWrites
    accounts: AccountWrites
    work: WorkWrites
    lab: LabWrites

    def postpone(self) -> None:
        """Keep events and lines of the audit's book, of whichever command, from now on until they are settled."""
        self.jobs.postpone()

    def settle(self) -> None:
        """Write the events and lines that were kept."""
        self.jobs.settle()

    def drop(self) -> None:
        """Forget the events and lines that were kept."""
        self.jobs.drop()


def writes_on(connection: Database, blobs: Blobs, clock: Clock) -> Writes:
    """Make what write commands work on; `clock` is the database's."""
    audit = AuditWrites(connection)
    jobs, members = JobWrites(connection, blobs, audit), MemberWrites(connection, clock, audit)
    return Writes(
        jobs=jobs,
        revisions=RevisionWrites(connection),
        sessions=SessionWrites(connection, audit),
        slots=SlotWrites(connection, audit),
        audit=audit,
        members=members,
        group_jobs=GroupJobWrites(connection, jobs, members, audit),
        accounts=AccountWrites(connection, audit),
        work=WorkWrites(connection, clock),
        lab=LabWrites(connection, audit),
    )


class StoreReads:
    """What a store of either kind reads in the same way, on a connection of its own."""

    def __init__(self, connection: Database, now: Clock) -> None:
        """Read on a connection, in the thread that opened it.

        Args:
            connection: only for reading.
            now: the database's time, ns since 1970-01-01 UTC.
        """
        self._connection = connection
        self.jobs = JobReads(connection)
        self.sessions = SessionReads(connection)
        self.slots = SlotReads(connection)
        self.members = MemberReads(connection, now)
        self.group_jobs = GroupJobReads(connection)
        self.accounts = AccountReads(connection)
        self.work = WorkReads(connection, now)
        self.lab = LabReads(connection)
        self.audit = AuditReads(connection)

    def revisions(self, backend: str) -> RevisionReads:
        """Ask about a backend's revisions."""
        return RevisionReads(self._connection, backend)


class Store(Protocol):
    """An open store: reads at once, writes as futures that are durable when they give their result."""

    jobs: JobReads
    sessions: SessionReads
    slots: SlotReads
    members: MemberReads
    group_jobs: GroupJobReads
    accounts: AccountReads
    work: WorkReads
    lab: LabReads
    audit: AuditReads

    @property
    def sharing(self) -> Sharing | None:
        """How it is shared with other daemons; None for one that is this daemon's alone."""
        ...

    def revisions(self, backend: str) -> RevisionReads:
        """Ask about a backend's revisions."""
        ...

    def blob(self, digest: str) -> bytes:
        """Read a blob and check it, from any thread."""
        ...

    def pieces(self, digest: str) -> Generator[bytes]:
        """Check a blob, which may take a while, and give its messages one after another; from any thread."""
        ...

    def check_room(self, needed: int) -> None:
        """Make sure that so many bytes more fit."""
        ...

    def write(self, command: Callable[[Writes], Result], *, hurried: bool = True) -> Future[Result]:
        """Run a command in the writer's thread; its future gives the result once that is durable.

        One that is not hurried waits for the next that is, or for `hurry`.
        """
        ...

    def hurry(self) -> None:
        """Let what was not hurried wait no longer."""
        ...

    def close(self) -> None:
        """Finish what waits and close."""
        ...
