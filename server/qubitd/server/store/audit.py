"""The book of what was done: each line carries the hash of the one before, so that none can be changed or lost unseen.

Lines are appended in the same commit as what they tell of. The database refuses to change or remove one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from qubitd.server.store.database import Database

FIRST_HASH = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One thing that was done."""

    number: int
    time_ns: int
    """ns since 1970-01-01 UTC."""
    who: str
    what: str
    hash: str
    """Of this line and the hash before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a book is whole."""

    lines: int
    """That were read."""
    broken: int | None = None
    """Number of the first line that does not follow from the one before."""


def line_hash(before: str, number: int, time_ns: int, who: str, what: str) -> str:
    """Chain a line to the one before."""
    return hashlib.sha256("\x1f".join((before, str(number), str(time_ns), who, what)).encode()).hexdigest()


class AuditWrites:
    """Appends to the book; lives in the writer's thread."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    def append(self, *, time_ns: int, who: str, what: str) -> None:
        """Write a line, in the commit that is going on."""
        number, before = self._last()
        chained = line_hash(before, number + 1, time_ns, who, what)
        self._connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", (number + 1, time_ns, who, what, chained))

    def _last(self) -> tuple[int, str]:
        row = self._connection.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        return (0, FIRST_HASH) if row is None else (row[0], row[1])


def read_lines(connection: Database, *, after: int = 0) -> Iterator[AuditLine]:
    """Read the book in order."""
    rows = connection.execute(
        "SELECT number, time_ns, who, what, hash FROM audit WHERE number > ? ORDER BY number", (after,)
    )
    for number, time_ns, who, what, chained in rows:
        yield AuditLine(number=number, time_ns=time_ns, who=who, what=what, hash=chained)


def verify(connection: Database) -> Verdict:
    """Follow the chain from the first line to the last."""
    before, expected, count = FIRST_HASH, 1, 0
    for line in read_lines(connection):
        if line.number != expected or line.hash != line_hash(before, line.number, line.time_ns, line.who, line.what):
            return Verdict(lines=count, broken=line.number)
        before, expected, count = line.hash, expected + 1, count + 1
    return Verdict(lines=count)
