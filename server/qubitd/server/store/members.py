"""The backends of a group and their owners as rows, and errands: what one daemon wants another to do.

Ownership changes only in a writer's turn, so that a write that found its fence number right is still right at its
commit. The time is the database's.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qubitd.server.errors import BackendTakenError, FencedError
from qubitd.server.membership import ABANDONED, Claim, Member, Notice, may_take
from qubitd.server.store.audit import AuditWrites
from qubitd.server.store.database import Database
from qubitd.wire.lab import LabState

DATABASE_TIME = "(extract(epoch FROM clock_timestamp()) * 1000000000)::BIGINT"
"""ns since 1970-01-01 UTC by PostgreSQL's clock."""
_COLUMNS = "backend, fence, daemon, address, beat_ns, left_because, lab, lab_reason, description"


Clock = Callable[[], int]
"""The database's time, ns since 1970-01-01 UTC."""


class ErrandKind(enum.Enum):
    """What the owner of a backend is to do with a job."""

    ADOPT = "adopt"
    """Another daemon took it: let it wait."""
    CANCEL = "cancel"
    BREAK_OFF = "break off"
    """Cancel it, and do not wait for its chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Something to be done by the owner of a backend."""

    number: int
    job_id: str
    kind: ErrandKind


class MemberReads:
    """What can be asked about the group, on any connection."""

    def __init__(self, connection: Database, now: Clock) -> None:
        self._connection = connection
        self._now = now

    def all(self) -> list[Member]:
        """Give every backend that was ever served, by name."""
        now = self._now()
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM member ORDER BY backend")  # noqa: S608 (constant)
        return [_member(row, now) for row in rows]

    def find(self, backend: str) -> Member | None:
        """Give one backend."""
        now = self._now()
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM member WHERE backend = ?",  # noqa: S608 (constant)
            (backend,),
        ).fetchone()
        return None if row is None else _member(row, now)

    def errands(self, backend: str) -> list[Errand]:
        """Give what is to be done for a backend, in order."""
        rows = self._connection.execute(
            "SELECT number, job, kind FROM errand WHERE backend = ? ORDER BY number", (backend,)
        )
        return [Errand(number=number, job_id=job, kind=ErrandKind(kind)) for number, job, kind in rows]

    def cancels(self, backend: str) -> list[Errand]:
        """Give those of them that are to end a job."""
        return [errand for errand in self.errands(backend) if errand.kind is not ErrandKind.ADOPT]


class MemberWrites:
    """What the writer's thread can do to the group."""

    def __init__(self, connection: Database, now: Clock, audit: AuditWrites) -> None:
        self._connection = connection
        self._now = now
        self._audit = audit
        self.reads = MemberReads(connection, now)
        """On the writer's own connection: what is read cannot change before the commit."""

    def take(self, claim: Claim) -> int:
        """Own a backend and give the fence number.

        Raises:
            BackendTakenError: another daemon owns it and is there.
        """
        member = self.reads.find(claim.backend)
        if member is not None and not may_take(claim, member):
            raise BackendTakenError(backend=claim.backend, address=member.address, age=member.age, wait=ABANDONED)
        row = self._connection.execute(
            f"INSERT INTO member ({_COLUMNS}) VALUES (?, 1, ?, '', ?, '', ?, ?, ?)"  # noqa: S608 (constant)
            " ON CONFLICT (backend) DO UPDATE SET fence = member.fence + 1, daemon = excluded.daemon,"
            " address = '', beat_ns = excluded.beat_ns, left_because = '' RETURNING fence",
            (claim.backend, claim.daemon, self._now(), *_columns(Notice(description=b""))),
        ).fetchone()
        fence = int(row[0])
        self._note(f"daemon {claim.daemon} owns backend {claim.backend} under number {fence}")
        return fence

    def tell(self, backend: str, *, address: str, notice: Notice) -> None:
        """Tell the others where a backend is served and how it is now."""
        self._connection.execute(
            "UPDATE member SET address = ?, lab = ?, lab_reason = ?, description = ? WHERE backend = ?",
            (address, *_columns(notice), backend),
        )

    def leave(self, backend: str, because: str) -> None:
        """Own a backend no longer, and say why."""
        self._connection.execute(
            "UPDATE member SET daemon = '', left_because = ? WHERE backend = ?", (because, backend)
        )

    def evict(self, backend: str) -> Member:
        """Make sure that the daemon of an abandoned backend writes no more, should it only have been slow.

        Raises:
            BackendTakenError: it is there after all.
        """
        member = self.reads.find(backend)
        if member is None or not member.is_abandoned:
            where, age = ("", 0.0) if member is None else (member.address, member.age)
            raise BackendTakenError(backend=backend, address=where, age=age, wait=ABANDONED)
        if member.daemon:
            self._connection.execute("UPDATE member SET fence = fence + 1, daemon = '' WHERE backend = ?", (backend,))
            self._note(f"daemon {member.daemon} owns backend {backend} no longer, since it was silent")
        return member

    def send(self, job_id: str, kind: ErrandKind) -> None:
        """Ask the owner of the backend that has a job by now for something."""
        self._connection.execute(
            "INSERT INTO errand (backend, job, kind) SELECT backend, id, ? FROM job WHERE id = ?", (kind.value, job_id)
        )

    def hand_on(self, job_id: str, *, to: str) -> None:
        """Let what is to be done about a job go with it."""
        self._connection.execute("UPDATE errand SET backend = ? WHERE job = ?", (to, job_id))

    def done(self, errands: Sequence[Errand]) -> None:
        """Forget what was done."""
        for errand in errands:
            self._connection.execute("DELETE FROM errand WHERE number = ?", (errand.number,))

    def _note(self, what: str) -> None:
        self._audit.append(time_ns=self._now(), who="daemon", what=what)


def check_fence(connection: Database, backend: str, fence: int) -> None:
    """Make sure, in a writer's turn, that a backend is still owned under a number.

    Raises:
        FencedError: another daemon owns it, or others acted for it meanwhile.
    """
    row = connection.execute("SELECT fence FROM member WHERE backend = ?", (backend,)).fetchone()
    if row is None or row[0] != fence:
        raise FencedError(backend=backend, fence=fence)


def _columns(notice: Notice) -> tuple[str, str, bytes]:
    return notice.lab.value, notice.lab_reason, notice.description


def _member(columns: Sequence[Any], now: int) -> Member:
    backend, fence, daemon, address, beat_ns, left_because, lab, lab_reason, description = columns
    return Member(
        backend=backend,
        fence=fence,
        daemon=daemon,
        address=address,
        beat_ns=beat_ns,
        age=max(0.0, (now - beat_ns) * 1e-9),
        left_because=left_because,
        notice=Notice(description=bytes(description), lab=LabState(lab), lab_reason=lab_reason),
    )
