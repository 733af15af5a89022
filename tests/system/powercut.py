"""A disk that remembers what was written and synced, and what of it is left when the power goes.

SQLite writes through a VFS of apsw that records every call; the store's own files are recorded where they are synced
and renamed. A cut keeps what was synced; of what came after it keeps, loses or tears each write by chance. The disk can
also be told to refuse an operation.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import apsw

SECTOR = 512
"""Bytes that a disk writes as a whole."""
NAME = "recorded"


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that went to a file; they are safe after the next Sync of it."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A file was shortened, or lengthened."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """All that was done to a file, or to the names in a folder, is safe."""

    path: str


@dataclass(frozen=True, slots=True)
class Rename:
    """A file has another name; safe after the next Sync of its folder."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Remove:
    """A file is gone."""

    path: str


Operation = Write | Cut | Sync | Rename | Remove


@dataclass(slots=True)
class Refusal:
    """The disk refuses one operation, and does the next one as if nothing had been: an fsync that fails does that."""

    kind: type[Operation]
    left: int
    """Operations of this kind that it still does."""
    number: int
    """ENOSPC or EIO."""
    happened: bool = False

    def meets(self, operation: Operation) -> bool:
        """Whether this is the operation that is refused."""
        if self.happened or not isinstance(operation, self.kind):
            return False
        self.left -= 1
        self.happened = self.left < 0
        return self.happened


@dataclass(slots=True)
class Disk:
    """Everything that was done, in order."""

    log: list[Operation] = field(default_factory=list[Operation])
    refusal: Refusal | None = None

    def do(self, operation: Operation) -> None:
        """Note an operation.

        Raises:
            OSError: it is refused.
        """
        if self.refusal is not None and self.refusal.meets(operation):
            raise OSError(self.refusal.number, os.strerror(self.refusal.number))
        self.log.append(operation)

    def left_after(self, count: int, rng: random.Random) -> dict[str, bytes]:
        """Give the files that are left if the power goes after some operations."""
        safe: dict[str, bytes] = {}
        unsynced: dict[str, list[Write | Cut]] = {}
        names: dict[str, list[Rename]] = {}
        for operation in self.log[:count]:
            match operation:
                case Write(path) | Cut(path):
                    unsynced.setdefault(path, []).append(operation)
                case Sync(path):
                    for rename in names.pop(path, []):
                        _rename(safe, unsynced, rename)
                    safe[path] = _applied(safe.get(path, b""), unsynced.pop(path, []))
                case Rename(old):
                    names.setdefault(str(Path(old).parent), []).append(operation)
                case Remove(path):
                    safe.pop(path, None)
                    unsynced.pop(path, None)
        for renames in names.values():
            for rename in renames:
                if rng.random() < 0.5:
                    _rename(safe, unsynced, rename)
        for path, operations in unsynced.items():
            kept = [torn for one in operations if (torn := _torn(one, rng)) is not None]
            safe[path] = _applied(safe.get(path, b""), kept)
        return safe


def _rename(safe: dict[str, bytes], unsynced: dict[str, list[Write | Cut]], rename: Rename) -> None:
    if rename.old in safe:
        safe[rename.new] = safe.pop(rename.old)
    if rename.old in unsynced:
        unsynced[rename.new] = unsynced.pop(rename.old)


def _torn(operation: Write | Cut, rng: random.Random) -> Write | Cut | None:
    """Keep a write, lose it, or keep some of its sectors."""
    fate = rng.random()
    if fate < 0.4 or isinstance(operation, Cut):
        return operation if fate < 0.7 else None
    if fate < 0.7 or len(operation.data) <= SECTOR:
        return None
    sectors = rng.randrange(1, len(operation.data) // SECTOR + 1)
    return Write(operation.path, operation.offset, operation.data[: SECTOR * sectors])


def _applied(content: bytes, operations: list[Write | Cut]) -> bytes:
    data = bytearray(content)
    for operation in operations:
        if isinstance(operation, Cut):
            data = data[: operation.size] + bytes(max(0, operation.size - len(data)))
            continue
        end = operation.offset + len(operation.data)
        if len(data) < end:
            data += bytes(end - len(data))
        data[operation.offset : end] = operation.data
    return bytes(data)


class _RecordedFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], disk: Disk) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._path = str(name.filename() if isinstance(name, apsw.URIFilename) else name)

    def xWrite(self, data: bytes, offset: int) -> None:
        _told_sqlite(self._disk, Write(self._path, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        _told_sqlite(self._disk, Cut(self._path, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        _told_sqlite(self._disk, Sync(self._path))
        super().xSync(flags)


def _told_sqlite(disk: Disk, operation: Operation) -> None:
    try:
        disk.do(operation)
    except OSError as error:
        refused = apsw.FullError if error.errno == errno.ENOSPC else apsw.IOError
        raise refused(str(error)) from error


class _RecordedVfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(NAME, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _RecordedFile(name, flags, self._disk)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._disk.do(Remove(filename))


class _Cursor:
    """What the store uses of a cursor of sqlite3."""

    def __init__(self, connection: apsw.Connection, rows: Iterator[Any]) -> None:
        self._rows = list(rows)
        self.lastrowid = connection.last_insert_rowid()
        self.rowcount = connection.changes()

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)


class Connection:
    """What the store uses of a connection of sqlite3, on the recorded disk."""

    def __init__(self, path: Path, *, synchronous: str) -> None:
        self._connection = apsw.Connection(str(path), vfs=NAME)
        # A VFS in Python has no shared memory; without readers an exclusive log does as well.
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            f"synchronous = {synchronous}",
            "temp_store = MEMORY",
        ):
            self.execute(f"PRAGMA {pragma}")

    def execute(self, sql: str, values: Any = ()) -> _Cursor:
        with _as_sqlite3_raises():
            return _Cursor(self._connection, self._connection.execute(sql, values))

    def executemany(self, sql: str, rows: Any) -> None:
        with _as_sqlite3_raises():
            self._connection.executemany(sql, rows).fetchall()

    def executescript(self, sql: str) -> None:
        with _as_sqlite3_raises():
            self._connection.execute(sql).fetchall()

    def close(self) -> None:
        # What a last checkpoint cannot copy stays in the log; sqlite3 tells nobody either.
        with suppress(apsw.FullError, apsw.IOError):
            self._connection.close()


@contextmanager
def _as_sqlite3_raises() -> Generator[None]:
    try:
        yield
    except (apsw.FullError, apsw.IOError) as error:
        raise sqlite3.OperationalError(str(error)) from error


@contextmanager
def recorded(disk: Disk) -> Generator[None]:
    """Record what SQLite and the store's own files do."""
    vfs = _RecordedVfs(disk)
    fsync, rename = os.fsync, Path.rename

    def recorded_fsync(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            disk.do(Write(str(path), 0, path.read_bytes()))
        disk.do(Sync(str(path)))

    def recorded_rename(self: Path, target: Path) -> Path:
        disk.do(Rename(str(self), str(target)))
        return rename(self, target)

    try:
        with mock.patch("os.fsync", recorded_fsync), mock.patch.object(Path, "rename", recorded_rename):
            yield
    finally:
        vfs.unregister()
