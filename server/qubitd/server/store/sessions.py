"""Sessions as the store holds them: what was asked for, and how far they had come when they were written last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qubitd.server.errors import KeyReusedError, QuotaExceededError, UnknownSessionError
from qubitd.server.store.audit import AuditWrites
from qubitd.server.store.database import Database
from qubitd.wire.sessions import AtExpiry, SessionMode

_COLUMNS = (
    "number, id, owner, backend, mode, max_seconds, idle_seconds, at_expiry, created_ns, started_ns, closed_ns,"
    " accepting, elapsed, qpu_seconds, holding"
)

_WAIT = 10.0
"""Seconds after which it is worth trying again when a session of one's own has to end first."""
_ALL = 2**62
"""Rows; both databases take it as a limit."""
_ASKED = "id, owner, key, request_digest, backend, mode, max_seconds, idle_seconds, at_expiry, created_ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session on its way in."""

    session_id: str
    """Made by the server."""
    owner: str
    author: str
    """Who asks for it."""
    key: str
    """Made by the client, unique among its sessions."""
    request_digest: str
    """SHA-256 of the request's bytes."""
    backend: str
    mode: SessionMode
    max_seconds: float
    idle_seconds: float
    at_expiry: AtExpiry
    created_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A session as it was written last."""

    number: int
    """Order of opening."""
    session_id: str
    owner: str
    backend: str
    mode: SessionMode
    max_seconds: float
    idle_seconds: float
    at_expiry: AtExpiry
    created_ns: int
    started_ns: int
    """When its first job started; 0 before."""
    closed_ns: int
    """When it was over; 0 before."""
    accepting: bool
    elapsed: float
    """Seconds of its time."""
    qpu_seconds: float
    holding: bool
    """Whether it had the rack to itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionProgress:
    """What changes while a session lasts."""

    session_id: str
    started_ns: int
    closed_ns: int
    accepting: bool
    elapsed: float
    qpu_seconds: float
    holding: bool


class SessionWrites:
    """What the writer's thread can do to sessions."""

    def __init__(self, connection: Database, audit: AuditWrites) -> None:
        self._connection = connection
        self._audit = audit

    def open(self, new: NewSession, *, most: int | None = None) -> tuple[SessionRow, bool]:
        """Take a session, or recognise one that was opened before. Gives it, and whether it is new.

        Args:
            new: the session.
            most: that its owner may have open; None for any number.

        Raises:
            KeyReusedError: the key stands for a session that was asked for otherwise.
            QuotaExceededError: the owner has as many open.
        """
        known = self._connection.execute(
            f"SELECT request_digest, {_COLUMNS} FROM session WHERE owner = ? AND key = ?",  # noqa: S608 (constant)
            (new.owner, new.key),
        ).fetchone()
        if known is not None:
            row = _row(known[1:])
            if known[0] != new.request_digest:
                raise KeyReusedError(key=new.key, job_id=row.session_id)
            return row, False
        if most is not None:
            self._check_room(new.owner, most)
        self._audit.append(time_ns=new.created_ns, who=new.author, what=f"opened session {new.session_id}")
        return self._insert(new), True

    def update(self, progress: SessionProgress) -> None:
        """Write how far a session has come."""
        if progress.closed_ns:
            self._note_end(progress)
        self._connection.execute(
            "UPDATE session SET started_ns = ?, closed_ns = ?, accepting = ?, elapsed = ?, qpu_seconds = ?,"
            " holding = ? WHERE id = ?",
            (
                progress.started_ns,
                progress.closed_ns,
                int(progress.accepting),
                progress.elapsed,
                progress.qpu_seconds,
                int(progress.holding),
                progress.session_id,
            ),
        )

    def _note_end(self, progress: SessionProgress) -> None:
        ends = self._connection.execute(
            "SELECT 1 FROM session WHERE id = ? AND closed_ns = 0", (progress.session_id,)
        ).fetchone()
        if ends is not None:
            what = f"session {progress.session_id} is over"
            self._audit.append(time_ns=progress.closed_ns, who="daemon", what=what)

    def _check_room(self, owner: str, most: int) -> None:
        (held,) = self._connection.execute(
            "SELECT count(*) FROM session WHERE owner = ? AND closed_ns = 0", (owner,)
        ).fetchone()
        if held >= most:
            raise QuotaExceededError(
                owner=owner,
                what=f"has {held} sessions that are not over; the limit is {most}",
                retry_after=_WAIT,
                advice="close one",
            )

    def _insert(self, new: NewSession) -> SessionRow:
        row = self._connection.execute(
            f"INSERT INTO session ({_ASKED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}",  # noqa: S608
            (
                new.session_id,
                new.owner,
                new.key,
                new.request_digest,
                new.backend,
                new.mode.value,
                new.max_seconds,
                new.idle_seconds,
                new.at_expiry.value,
                new.created_ns,
            ),
        ).fetchone()
        return _row(row)


class SessionReads:
    """What can be asked about sessions."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    def is_known(self, *, owner: str, key: str) -> bool:
        """Whether an owner has opened a session with this key."""
        row = self._connection.execute("SELECT 1 FROM session WHERE owner = ? AND key = ?", (owner, key)).fetchone()
        return row is not None

    def get(self, *, owner: str, session_id: str) -> SessionRow:
        """Give a session.

        Raises:
            UnknownSessionError: the owner has no such session.
        """
        found = self._rows("id = ? AND owner = ?", (session_id, owner), limit=1)
        if not found:
            raise UnknownSessionError(session_id=session_id)
        return found[0]

    def find(self, session_id: str) -> SessionRow | None:
        """Give a session, whosever it is; None if there is none."""
        found = self._rows("id = ?", (session_id,), limit=1)
        return found[0] if found else None

    def owner_of(self, session_id: str) -> str:
        """Give whose a session is.

        Raises:
            UnknownSessionError: there is none.
        """
        row = self._connection.execute("SELECT owner FROM session WHERE id = ?", (session_id,)).fetchone()
        if row is None:
            raise UnknownSessionError(session_id=session_id)
        return str(row[0])

    def newest(self, *, owner: str, limit: int, open_only: bool) -> list[SessionRow]:
        """List sessions, newest first."""
        return self._rows("owner = ?" + (" AND closed_ns = 0" if open_only else ""), (owner,), limit=limit)

    def alive(self, backend: str | None = None) -> list[SessionRow]:
        """Give the sessions that are not over, of one backend or of all."""
        of_one = "" if backend is None else " AND backend = ?"
        return self._rows("closed_ns = 0" + of_one, () if backend is None else (backend,), limit=_ALL)

    def jobs(self, session_id: str) -> int:
        """Count the jobs that were submitted to a session."""
        row = self._connection.execute("SELECT count(*) FROM job WHERE session = ?", (session_id,)).fetchone()
        return int(row[0])

    def _rows(self, condition: str, values: Sequence[Any], *, limit: int) -> list[SessionRow]:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM session WHERE {condition} ORDER BY number DESC LIMIT ?",  # noqa: S608 (constants)
            (*values, limit),
        )
        return [_row(row) for row in rows]


def _row(columns: Sequence[Any]) -> SessionRow:
    return SessionRow(
        number=columns[0],
        session_id=columns[1],
        owner=columns[2],
        backend=columns[3],
        mode=SessionMode(columns[4]),
        max_seconds=columns[5],
        idle_seconds=columns[6],
        at_expiry=AtExpiry(columns[7]),
        created_ns=columns[8],
        started_ns=columns[9],
        closed_ns=columns[10],
        accepting=bool(columns[11]),
        elapsed=columns[12],
        qpu_seconds=columns[13],
        holding=bool(columns[14]),
    )
