"""Copies a whole store from one database into another that is empty: every row, every blob, and how far it has counted.

A backup of a PostgreSQL store is thereby a SQLite store, which any daemon opens, and the way back is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from qubitd.server.errors import StoreError
from qubitd.server.store.backup import Report, empty_target, open_source, report_of
from qubitd.server.store.blobs import BlobFolder
from qubitd.server.store.connections import open_writer
from qubitd.server.store.database import Database
from qubitd.server.store.members import DATABASE_TIME
from qubitd.server.store.postgres import PostgresConnection, begin_turn
from qubitd.server.store.postgres_blobs import BlobRows
from qubitd.server.store.postgres_schema import check_steps, check_version, steps_of
from qubitd.server.store.postgres_schema import migrate as migrate_postgres
from qubitd.server.store.schema import migrate as migrate_sqlite
from qubitd.server.store.sqlite_store import BLOBS, DATABASE
from qubitd.wire.lab import LabState

TABLES = (
    "project",
    "job",
    "tag",
    "attempt",
    "chunk",
    "event",
    "spent",
    "revision",
    "parameter",
    "file_value",
    "device_file",
    "session",
    "slot",
    "audit",
    "member",
    "account",
    "errand",
    "served",
    "usage",
    "event_floor",
    "lab",
)
"""All but the blobs', each after those that it refers to."""
PASSING = ("work", "worker")
"""Tables that are not copied: what workers had in hand is asked for again."""
_COUNTERS = (
    ("project", "number"),
    ("job", "number"),
    ("event", "sequence"),
    ("session", "number"),
    ("slot", "number"),
    ("errand", "number"),
)
_AT_ONCE = 1000
"""Rows of one statement."""


def check_postgres(url: str) -> Report:
    """Look for damage in every blob and in the log of what was done; the tables are the server's to keep.

    Raises:
        StoreError: it does not answer, or there is no store.
    """
    with closing(PostgresConnection(url, read_only=True)) as connection:
        _snapshot(connection)
        version = steps_of(connection)
        if version == 0:
            raise StoreError(f"there is no store in {connection.place}; a daemon makes one when it is given --store")
        return report_of(connection, BlobRows(), version=version)


def back_up_postgres(url: str, target: Path) -> None:
    """Copy a store as it is at one moment into a SQLite store in an empty directory; daemons may go on meanwhile.

    Raises:
        StoreError: there is no store, another version wrote it, or the target is in use.
        StoreCorruptError: a blob is not what was written.
    """
    empty_target(target)
    with closing(PostgresConnection(url, read_only=True)) as source:
        _snapshot(source)
        check_steps(source)
        with closing(open_writer(target / DATABASE)) as copy:
            migrate_sqlite(copy, path=target / DATABASE)
            copy.execute("BEGIN IMMEDIATE")
            folder = BlobFolder(target / BLOBS)
            _copy_blobs(source, BlobRows().get, copy, folder.put)
            for table in TABLES:
                _insert(copy, table, _columns(copy, table), source.stream(_select(table, _columns(copy, table))))
            for table, column in _COUNTERS:
                count = source.execute(
                    "SELECT pg_sequence_last_value(pg_get_serial_sequence(?, ?)::regclass)", (table, column)
                ).fetchone()[0]
                copy.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
                if count:
                    copy.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, count))
            copy.execute("COMMIT")


def move_to_postgres(directory: Path, url: str) -> None:
    """Copy a SQLite store that no daemon works on into a database without one, in one transaction.

    Raises:
        StoreError: there is no store, another version wrote it, or the database holds one already.
        StoreCorruptError: a blob is not what was written.
    """
    with closing(open_source(directory)) as source, closing(PostgresConnection(url, read_only=False)) as target:
        check_version(source.execute("PRAGMA user_version").fetchone()[0], str(directory))
        migrate_postgres(target)
        begin_turn(target)
        if any(_count(target, table) for table in (*TABLES, "blob")):
            raise StoreError(f"the database {target.place} holds a store already; give an empty schema")
        _copy_blobs(source, BlobFolder(directory / BLOBS).get, target, BlobRows().put)
        for table in TABLES:
            columns = _columns(source, table)
            _insert(target, table, columns, source.execute(_select(table, columns)))
        for table, column in _COUNTERS:
            row = source.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
            if row is not None and row[0] > 0:
                target.execute("SELECT setval(pg_get_serial_sequence(?, ?), ?)", (table, column, row[0]))
        _expect_daemons(target)
        target.execute("COMMIT")


def _expect_daemons(target: PostgresConnection) -> None:
    """Have the daemons of a group leave alone what came with a store until its own daemons serve it.

    Each tidies by its own rule what belongs to nobody, or to backends that were silent for long; as in a copy of old.
    """
    reason = "came with a store, and was not served since"
    target.execute(
        "INSERT INTO member"  # noqa: S608 (constant)
        " (backend, fence, daemon, address, beat_ns, left_because, lab, lab_reason, description)"
        f" SELECT DISTINCT backend, 0, '', '', {DATABASE_TIME}, ?, ?, '', ? FROM job"
        " ON CONFLICT (backend) DO NOTHING",
        (reason, LabState.SERVING.value, b""),
    )
    target.execute(f"UPDATE member SET daemon = '', beat_ns = {DATABASE_TIME}")  # noqa: S608 (constant)


def _snapshot(connection: PostgresConnection) -> None:
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    # A copy takes as long as it takes.
    connection.execute("SET idle_in_transaction_session_timeout = 0")


def _copy_blobs(
    source: Database, get: Callable[[Any, str], bytes], target: Database, put: Callable[[Any, bytes], str]
) -> None:
    for (digest,) in source.execute("SELECT digest FROM blob").fetchall():
        put(target, get(source, digest))


def _columns(sqlite: Database, table: str) -> list[str]:
    return [str(row[1]) for row in sqlite.execute(f"PRAGMA table_info({table})")]


def _select(table: str, columns: Iterable[str]) -> str:
    return f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608 (names of ours)


def _insert(target: Database, table: str, columns: list[str], rows: Iterable[Any]) -> None:
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 (names of ours)
    for some in _batches(rows):
        target.executemany(statement, some)


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    following = iter(rows)
    while some := list(islice(following, _AT_ONCE)):
        yield some


def _count(connection: Database, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 (names of ours)
