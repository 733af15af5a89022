"""The book of what was done: each line carries the hash of the one before, so that none can be changed or lost unseen.

Lines are appended in the same commit as what they tell of. The database refuses to change or remove one. That its last
lines were cut off shows by a hash that was kept elsewhere: the daemon tells the newest one to its own log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
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
    newest: str
    """Hash of the last of them."""
    broken: int | None = None
    """Number of the first line that does not follow from the one before."""


def line_hash(before: str, number: int, time_ns: int, who: str, what: str) -> str:
    """Chain a line to the one before."""
    return hashlib.sha256("\x1f".join((before, str(number), str(time_ns), who, what)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How far a book has come."""

    number: int
    """Of its newest line; 0 before the first."""
    hash: str
    """Of that line."""


class AuditReads:
    """What the daemon asks about the book."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    def end(self) -> End:
        """Give how far it has come."""
        return _end(self._connection)


class AuditWrites:
    """Appends to the book; lives in the writer's thread. Lines of one commit are chained and written together."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection
        self._postpones = False
        self._lines: list[tuple[int, str, str]] = []
        """A time in ns, who and what of each that is not written yet."""

    def append(self, *, time_ns: int, who: str, what: str) -> None:
        """Write a line, in the commit that is going on."""
        self.extend(((time_ns, who, what),))

    def extend(self, lines: Iterable[tuple[int, str, str]]) -> None:
        """Write lines, each a time in ns, who and what, in the commit that is going on."""
        self._lines += lines
        if not self._postpones:
            self.settle()

    def postpone(self) -> None:
        """Keep lines from now on until they are settled."""
        self._postpones = True

    def settle(self) -> None:
        """Write the lines that were kept."""
        if not self._lines:
            return
        end = _end(self._connection)
        before, rows = end.hash, []
        for number, (time_ns, who, what) in enumerate(self._lines, start=end.number + 1):
            before = line_hash(before, number, time_ns, who, what)
            rows.append((number, time_ns, who, what, before))
        self._connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", rows)
        self.drop()

    def drop(self) -> None:
        """Forget the lines that were kept."""
        self._lines.clear()


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
            return Verdict(lines=count, newest=before, broken=line.number)
        before, expected, count = line.hash, expected + 1, count + 1
    return Verdict(lines=count, newest=before)


def has_hash(connection: Database, wanted: str) -> bool:
    """Whether a line of the book has a hash; the one before the first line is in every book."""
    if wanted == FIRST_HASH:
        return True
    return connection.execute("SELECT 1 FROM audit WHERE hash = ?", (wanted,)).fetchone() is not None


def _end(connection: Database) -> End:
    row = connection.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    return End(number=0, hash=FIRST_HASH) if row is None else End(number=row[0], hash=row[1])
