"""A store from outside: a copy of it while a daemon works, and a look for damage that reads every byte."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qubitd.server.errors import StoreCorruptError, StoreError
from qubitd.server.store.audit import verify
from qubitd.server.store.blobs import BlobFolder
from qubitd.server.store.connections import open_reader
from qubitd.server.store.database import Database
from qubitd.server.store.schema import MIGRATIONS
from qubitd.server.store.sqlite_store import BLOBS, DATABASE

_MOST = 100
"""Problems that are listed."""


class ReadableBlobs(Protocol):
    """Blobs that can be read and checked."""

    def get(self, connection: Database, digest: str) -> bytes:
        """Read one and check it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a look at a store found."""

    version: int
    """Steps of the schema that it went through."""
    jobs: int
    blobs: int
    audit_lines: int
    problems: tuple[str, ...]
    """Sentences; none for a store that is whole."""


def check_store(directory: Path) -> Report:
    """Look for damage in the tables, in every blob and in the log of what was done.

    Raises:
        StoreError: there is no store.
    """
    with closing(open_source(directory)) as connection:
        try:
            return _check(connection, BlobFolder(directory / BLOBS))
        except sqlite3.DatabaseError as error:
            raise StoreCorruptError(path=directory / DATABASE, what=str(error)) from error


def back_up(directory: Path, target: Path) -> None:
    """Copy a store as it is at one moment; a daemon may go on writing meanwhile.

    Raises:
        StoreError: there is no store, the target is in use, or a result was deleted while it was copied.
    """
    empty_target(target)
    with closing(open_source(directory)) as source, closing(sqlite3.connect(target / DATABASE)) as copy:
        source.backup(copy)
        files = [row[0] for row in copy.execute("SELECT digest FROM blob WHERE data IS NULL")]
    for digest in files:
        try:
            shutil.copyfile(directory / BLOBS / digest, target / BLOBS / digest)
        except FileNotFoundError:
            raise StoreError(f"result {digest} was deleted while it was copied; empty {target} and try again") from None


def empty_target(target: Path) -> None:
    """Make a directory for a copy.

    Raises:
        StoreError: it is in use.
    """
    if target.exists() and any(target.iterdir()):
        raise StoreError(f"{target} is not empty; give an empty directory for the copy")
    (target / BLOBS).mkdir(parents=True, exist_ok=True)


def open_source(directory: Path) -> sqlite3.Connection:
    """Open a store to read from it.

    Raises:
        StoreError: there is none.
    """
    if not (directory / DATABASE).exists():
        raise StoreError(f"there is no store in {directory}; a daemon makes one when it is started with --data-dir")
    return open_reader(directory / DATABASE)


def _check(connection: sqlite3.Connection, folder: BlobFolder) -> Report:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    damage = [f"table: {row[0]}" for row in connection.execute("PRAGMA integrity_check(10)") if row[0] != "ok"]
    return report_of(connection, folder, version=version, damage=damage)


def report_of(connection: Database, blobs: ReadableBlobs, *, version: int, damage: Sequence[str] = ()) -> Report:
    """Read every line of the log and every blob of a store.

    Args:
        connection: to read from.
        blobs: where its blobs are.
        version: steps of the schema that it went through.
        damage: what was found in its tables.
    """
    problems = list(damage)
    lines = 0
    if version == len(MIGRATIONS):
        verdict = verify(connection)
        lines = verdict.lines
        if verdict.broken is not None:
            problems.append(f"log: line {verdict.broken} does not follow from the {lines} lines before it")
    else:
        problems.append(f"version: the store is at {version}, this program at {len(MIGRATIONS)}; qubitd store migrate")
    problems += blob_problems(connection, blobs)
    return Report(
        version=version,
        jobs=connection.execute("SELECT count(*) FROM job").fetchone()[0],
        blobs=connection.execute("SELECT count(*) FROM blob").fetchone()[0],
        audit_lines=lines,
        problems=tuple(problems[:_MOST]),
    )


def blob_problems(connection: Database, blobs: ReadableBlobs) -> Iterator[str]:
    """Read every blob; a sentence for each that is not what was written."""
    for (digest,) in connection.execute("SELECT digest FROM blob").fetchall():
        try:
            blobs.get(connection, digest)
        except StoreCorruptError as error:
            yield f"blob: {error}"
