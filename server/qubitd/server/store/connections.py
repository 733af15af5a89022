"""How SQLite is opened: exactly one read-write connection in the process (it also checkpoints), all others
read-only.

A second writer or checkpointer is the precondition of the WAL-reset bug of SQLite before 3.51.3. `synchronous`
belongs to a connection, not to the file: with NORMAL a power cut loses acknowledged rows, so the running writer is
asked.
"""

from __future__ import annotations

import logging
import sqlite3
from functools import partial
from pathlib import Path

from qubitd.server.errors import StoreBrokenError, StoreCorruptError, StoreError
from qubitd.server.posix import file_system_of
from qubitd.server.store.database import Database, Engine

_log = logging.getLogger(__name__)
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "journal_size_limit = 67108864",
    # What it takes to undo one command of a commit; else a file of its own from 64 KB on, wherever there is room.
    "temp_store = MEMORY",
)
_FULL = 2
_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "ceph-fuse", "glusterfs", "lustre", "gfs2", "ocfs2", "9p"}
    | {"beegfs", "sshfs", "s3fs", "rclone"}
)
"""By the names that Linux has for them, without the `fuse.` in front."""
_MENDED = (3, 51, 3)
"""The first version without the bug of a WAL that two connections reset at once."""
_BUSY_SECONDS = 5.0


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the one read-write connection. It belongs to the thread that calls this."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a read-only connection to a store that a writer holds open."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_SECONDS)


def truncate_wal(connection: Database) -> bool:
    """Bring the write-ahead log into the database and make it empty; whether nobody was reading from it, who is not
    waited for.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000:.0f}")


def assert_durable(connection: Database) -> None:
    """Make sure that a commit on this connection survives a power cut.

    Raises:
        StoreError: the journal or `synchronous` is not what the promise needs.
    """
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    if (journal, synchronous) != ("wal", _FULL):
        raise StoreError(
            f"the store's writer has journal_mode={journal}, synchronous={synchronous}; durable commits need wal and "
            f"{_FULL} (FULL); put the data directory on a local file system"
        )


def assert_local(directory: Path) -> None:
    """Make sure that a directory is on a disk of this machine; say if this SQLite had better be a newer one.

    Raises:
        StoreError: it is on a network file system.
    """
    kind = file_system_of(directory)
    if kind.removeprefix("fuse.") in _REMOTE:
        raise StoreError(
            f"{directory} is on a network file system ({kind}), whose locks and flushes a database cannot rely on; "
            "give a directory on a local disk with --data-dir, or a PostgreSQL with --store"
        )
    if sqlite3.sqlite_version_info < _MENDED:
        _log.info("this SQLite is old; only its one writer keeps it safe", extra={"version": sqlite3.sqlite_version})


def assert_sound(connection: sqlite3.Connection, path: Path) -> None:
    """Look for damage.

    Raises:
        StoreCorruptError: SQLite's quick check found some.
    """
    found = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise StoreCorruptError(path=path, what="; ".join(found))


def sqlite_engine(path: Path) -> Engine:
    """How the writer deals with SQLite."""
    return Engine(
        open_writer=lambda: open_writer(path),
        assert_durable=assert_durable,
        begin=lambda connection: connection.execute("BEGIN IMMEDIATE"),
        failures=(sqlite3.Error, OSError),
        constraints=(sqlite3.IntegrityError,),
        broken=lambda cause: StoreBrokenError(place=str(path), cause=cause),
        unopened=partial(_unopened, path),
    )


def _unopened(path: Path, error: Exception) -> StoreError:
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return StoreCorruptError(path=path, what=str(error))
    return StoreError(f"{path} cannot be opened: {error}; check the file and its directory's permissions")
