"""A store from outside: a copy of it while a daemon works, and a look for damage that reads every byte."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qubitd.server.errors import StoreCorruptError, StoreError
from qubitd.server.store.audit import verify
from qubitd.server.store.blobs import BlobFolder, sync_folder
from qubitd.server.store.connections import open_reader
from qubitd.server.store.database import Database
from qubitd.server.store.schema import MIGRATIONS
from qubitd.server.store.sqlite_store import BLOBS, DATABASE

Place = Callable[[Path, Path], object]
"""Brings a file to where the second path says."""
_MOST = 100
"""Problems that are listed."""
_PIECE_PAGES = 512
"""Pages of the database (4 KiB each) between two looks around."""
_PIECE_FILES = 256
"""Files between two looks around."""
_ATTEMPTS = 3
"""How often a copy is begun again because of files that went meanwhile."""


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


def nothing() -> None:
    """Nobody looks around."""


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
        StoreError: there is no store, the target is in use, or results were deleted as fast as they were copied.
    """
    empty_target(target)
    copy_store(directory, target, place=copied)


def copy_store(directory: Path, target: Path, *, place: Place, between: Callable[[], None] = nothing) -> None:
    """Copy a store as it is at one moment into a directory that `empty_target` made, durably. No writer waits for it.

    Args:
        directory: of the store.
        target: where the copy goes.
        place: brings a blob's file to where the second path says.
        between: called after each piece; what it raises ends the copying.

    Raises:
        StoreError: there is no store, or results were deleted as fast as they were copied.
        OSError: of `place`, or if the disk is full.
        sqlite3.Error: as well.
    """
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            _copy(directory, target, place, between)
            sync_folder(target / BLOBS)
            sync_folder(target)
            return
    raise StoreError(f"results of {directory} are deleted while they are copied; empty {target} and try again")


def copied(source: Path, target: Path) -> None:
    """Copy a blob's file, durably."""
    with source.open("rb") as old, target.open("wb") as new:
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())


def linked(source: Path, target: Path) -> None:
    """Give a blob's file, which never changes, a second name; copy it where files have only one."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        copied(source, target)


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


def _copy(directory: Path, target: Path, place: Place, between: Callable[[], None]) -> None:
    """Most files are brought before the moment that is copied: few can be deleted between that and their turn."""
    (target / DATABASE).unlink(missing_ok=True)
    with closing(open_source(directory)) as source:
        _bring(_files(source), directory, target, place, between)
        files = _copy_database(source, target / DATABASE, between)
        _bring(files, directory, target, place, between)
        for path in (target / BLOBS).iterdir():
            if path.name not in files:
                path.unlink()


def _bring(files: set[str], directory: Path, target: Path, place: Place, between: Callable[[], None]) -> None:
    for number, digest in enumerate(sorted(files)):
        if not (target / BLOBS / digest).exists():
            place(directory / BLOBS / digest, target / BLOBS / digest)
        if number % _PIECE_FILES == 0:
            between()


def _files(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT digest FROM blob WHERE data IS NULL")}


def _copy_database(source: sqlite3.Connection, path: Path, between: Callable[[], None]) -> set[str]:
    """Copy the tables as of one moment, synced piece by piece: the writer's own syncs wait for little at a time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as copy, path.open("rb") as file:
        copy.execute("PRAGMA synchronous = OFF")
        copy.execute("PRAGMA journal_mode = OFF")

        def piece(*_: object) -> None:
            os.fsync(file.fileno())
            between()

        source.execute("BEGIN")
        source.execute("SELECT 1 FROM job LIMIT 1").fetchall()  # from here on it sees one moment
        source.backup(copy, pages=_PIECE_PAGES, progress=piece)
        source.execute("ROLLBACK")
        os.fsync(file.fileno())
        return _files(copy)


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
