"""Work that daemons give away, as rows: asked for by a daemon, claimed by a worker for a while and under a number.

A piece is known by the SHA-256 of all that goes into it, and nothing else goes in: done twice it gives the same. Each
claim counts its number up, and an answer under an older one changes nothing. The time is the database's.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from qubitd.server.membership import ABANDONED, OFFLINE
from qubitd.server.store.database import Database
from qubitd.server.store.members import Clock

LEASE = 5.0
"""Seconds without a sign of life of the worker that has a piece, after which another may take it."""
MOST_CLAIMS = 3
"""Claims of one piece; what three workers did not survive is left alone, and so is what was forsaken."""
SKIP_LOCKED = " FOR UPDATE SKIP LOCKED"
"""What workers say to PostgreSQL, so that they wait neither for each other nor for a daemon's turn, which withdraws
pieces in an order of its own. What is locked is being withdrawn, or has its lease renewed by the next sign of life.
"""
_KEPT = 86_400 * 10**9
"""ns after which nobody waits for an answer any more."""


class WorkKind(enum.Enum):
    """What a worker can do for a daemon."""

    VALIDATE = "validate"
    EXPLAIN = "explain"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWork:
    """Something to be done."""

    kind: WorkKind
    version: str
    """Of qubitd: another one may come to another answer."""
    content: bytes
    """All that it takes, but the job."""
    spec_digest: str = ""
    """The blob that holds the job; empty for one that is in the content."""

    @property
    def key(self) -> str:
        """What it is known by."""
        head = f"{self.kind.value}\x1f{self.version}\x1f{self.spec_digest}\x1f"
        return hashlib.sha256(head.encode() + self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Something that a worker has in hand."""

    key: str
    kind: WorkKind
    spec_digest: str
    content: bytes
    worker: str
    """That claimed it."""
    fence: int
    """Of the claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a piece is."""

    fence: int
    """Counts its claims."""
    lease_ns: int
    """Until when it is claimed, ns since 1970-01-01 UTC."""
    is_given_up: bool
    """Whether nobody will claim it any more: nobody who did survived it, or it was forsaken."""
    answer: bytes | None


class WorkReads:
    """What a daemon can ask about work."""

    def __init__(self, connection: Database, now: Clock) -> None:
        self._connection = connection
        self._now = now

    def standings(self, keys: Sequence[str]) -> dict[str, Standing]:
        """Say how far some pieces are, by key; those that are gone are not among them."""
        now = self._now()
        rows = self._connection.execute(
            "SELECT key, fence, lease_ns, answer FROM work"  # noqa: S608 (question marks)
            f" WHERE key IN ({', '.join('?' * len(keys)) or 'NULL'})",
            tuple(keys),
        )
        return {
            key: Standing(
                fence=fence,
                lease_ns=lease_ns,
                is_given_up=fence >= MOST_CLAIMS and lease_ns < now,
                answer=None if answer is None else bytes(answer),
            )
            for key, fence, lease_ns, answer in rows
        }

    def is_forsaken(self, new: NewWork) -> bool:
        """Whether nobody is to do a piece, or to look at its job under any calibration, since nobody managed to."""
        row = self._connection.execute(
            "SELECT 1 FROM work WHERE answer IS NULL AND fence >= ? AND lease_ns < ?"
            " AND (key = ? OR spec_digest <> '' AND spec_digest = ? AND version = ?) LIMIT 1",
            (MOST_CLAIMS, self._now(), new.key, new.spec_digest, new.version),
        ).fetchone()
        return row is not None

    def workers(self, version: str) -> int:
        """Give how many workers of a version are there."""
        silent = self._now() - round(OFFLINE * 1e9)
        row = self._connection.execute(
            "SELECT count(*) FROM worker WHERE version = ? AND beat_ns > ?", (version, silent)
        ).fetchone()
        return int(row[0])


class WorkWrites:
    """What can be done to work: by a daemon in its writer's turn, or by a worker on a connection of its own.

    Nobody relies on the order of these rows, so a worker need not wait for a turn.
    """

    def __init__(self, connection: Database, now: Clock, *, locking: str = "") -> None:
        """Write on a connection; `locking` is what is said to the database about rows that others change."""
        self._connection = connection
        self._now = now
        self._locking = locking
        self._in_hand = f"key IN (SELECT key FROM work WHERE worker = ? AND answer IS NULL{locking})"  # noqa: S608

    def ask(self, new: NewWork) -> None:
        """Have something done, unless it is asked for already."""
        now = self._now()
        self._connection.execute("DELETE FROM work WHERE asked_ns < ?", (now - _KEPT,))
        self._connection.execute(
            "INSERT INTO work (key, kind, version, spec_digest, content, asked_ns) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (new.key, new.kind.value, new.version, new.spec_digest, new.content, now),
        )

    def withdraw(self, key: str) -> None:
        """Ask for it no longer; an answer that comes late changes nothing."""
        self._connection.execute("DELETE FROM work WHERE key = ?", (key,))

    def forsake(self, key: str) -> None:
        """Have nobody do it any more, and remember for a day that nobody managed to."""
        self._connection.execute(
            "UPDATE work SET worker = '', fence = ?, lease_ns = 0, asked_ns = ?, content = ?, answer = NULL"
            " WHERE key = ?",
            (MOST_CLAIMS, self._now(), b"", key),
        )

    def beat(self, worker: str, version: str) -> set[str]:
        """Give a worker's sign of life, for all that it has in hand too; gives the keys of that.

        A row that another changes at this moment is passed over, so what is missing once may be there the next time.
        """
        now = self._now()
        self._connection.execute(
            "INSERT INTO worker VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET beat_ns = excluded.beat_ns",
            (worker, version, now),
        )
        held = self._connection.execute(
            f"UPDATE work SET lease_ns = ? WHERE {self._in_hand} RETURNING key",  # noqa: S608 (constants)
            (_lease(now), worker),
        ).fetchall()
        self._connection.execute(
            "DELETE FROM worker WHERE id IN"  # noqa: S608 (constants)
            f" (SELECT id FROM worker WHERE beat_ns < ?{self._locking})",
            (now - round(ABANDONED * 1e9),),
        )
        return {row[0] for row in held}

    def leave(self, worker: str) -> None:
        """Be there no longer; what the worker still has in hand is another's at once."""
        self._connection.execute("DELETE FROM worker WHERE id = ?", (worker,))
        self._connection.execute(
            f"UPDATE work SET lease_ns = 0, worker = '' WHERE {self._in_hand}",  # noqa: S608 (constants)
            (worker,),
        )

    def claim(self, worker: str, version: str) -> Piece | None:
        """Take what was asked for first and nobody has in hand; None if there is nothing."""
        now = self._now()
        row = self._connection.execute(
            "UPDATE work SET worker = ?, fence = fence + 1, lease_ns = ? WHERE key ="  # noqa: S608 (constant)
            " (SELECT key FROM work WHERE answer IS NULL AND version = ? AND lease_ns < ? AND fence < ?"
            f" ORDER BY asked_ns LIMIT 1{self._locking}) RETURNING key, kind, spec_digest, content, fence",
            (worker, _lease(now), version, now, MOST_CLAIMS),
        ).fetchone()
        if row is None:
            return None
        key, kind, spec_digest, content, fence = row
        return Piece(
            key=key,
            kind=WorkKind(kind),
            spec_digest=spec_digest,
            content=bytes(content),
            worker=worker,
            fence=fence,
        )

    def answer(self, piece: Piece, answer: bytes) -> bool:
        """Give what came of a piece; False if it came too late, and was dropped."""
        done = self._connection.execute(
            "UPDATE work SET answer = ? WHERE key = ? AND worker = ? AND fence = ? AND answer IS NULL",
            (answer, piece.key, piece.worker, piece.fence),
        )
        return done.rowcount == 1


def _lease(now: int) -> int:
    return now + round(LEASE * 1e9)
