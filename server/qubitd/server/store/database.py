"""What reads and writes need of a database: statements with question marks, which both dialects understand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qubitd.core.errors import QubitdError
from qubitd.server.errors import StoreBrokenError, StoreError


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Rows that it changed."""
        ...

    def fetchone(self) -> Any:
        """Give the next row; None after the last."""
        ...

    def fetchall(self) -> list[Any]:
        """Give the rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Give one row after another."""
        ...


class Database(Protocol):
    """An open connection, of SQLite or of PostgreSQL."""

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Rows:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """Run one statement once for each row of values."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Postponing(Protocol):
    """What commands work on: rows that several commands of a commit add to are written once, at its end."""

    def postpone(self) -> None:
        """Keep such rows from now on until they are settled, instead of writing each at once."""
        ...

    def settle(self) -> None:
        """Write what was kept (in the current transaction), and remember nothing of it."""
        ...

    def drop(self) -> None:
        """Remember nothing of what was kept: it is undone with the rest."""
        ...


class Blobs(Protocol):
    """Bytes known by their SHA-256, as writes keep and drop them."""

    def put(self, connection: Database, data: bytes) -> str:
        """Keep bytes (in the current transaction) and give their digest."""
        ...

    def drop_unused(self, connection: Database, digests: list[str]) -> None:
        """Remove those that nothing refers to any more (in the current transaction)."""
        ...

    def remove_files(self, connection: Database, digests: list[str]) -> None:
        """Remove what dropped ones left outside the database. Needs committed rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Engine:
    """How the writer's thread deals with one kind of database."""

    open_writer: Callable[[], Database]
    assert_durable: Callable[[Database], None]
    """Raises StoreError if a commit on the connection might not survive a power cut."""
    begin: Callable[[Database], object]
    """Begins a transaction that no other writer's can overlap."""
    failures: tuple[type[Exception], ...]
    """Errors that end all writing."""
    constraints: tuple[type[Exception], ...]
    """Errors of the database that say no to one statement."""
    broken: Callable[[str], StoreBrokenError]
    """Says that writing ended, given the cause."""
    unopened: Callable[[Exception], StoreError]
    """Says that it cannot be opened, given what was raised."""

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """Errors that undo one command alone."""
        return (QubitdError, *self.constraints)

    @property
    def opening(self) -> tuple[type[Exception], ...]:
        """Errors that an opening may end with."""
        return (QubitdError, *self.failures)
