"""PostgreSQL behind the same statements: question marks become psycopg's, and one lock orders all writers.

Writers of a group take turns: a number of an event or of an audit line is then in the order of the commits, which a
watcher's cursor and the audit's chain rely on. Group commit makes up for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg

from qubitd.server.errors import StoreError
from qubitd.server.store.database import Database, Engine, Rows

OLDEST = 15
"""Lowest major version of PostgreSQL."""
_TAKE_TURN = "SELECT pg_advisory_xact_lock(29045, hashtext(current_schema()))"
"""The lock that a writer holds until its commit; a store is a schema."""
_NEEDED = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


class PostgresConnection:
    """One connection that looks as the store's statements expect."""

    def __init__(self, url: str, *, read_only: bool) -> None:
        """Connect.

        Raises:
            StoreError: nothing answers there, or it is too old.
        """
        try:
            self._inner: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError as error:
            raise StoreError(f"PostgreSQL does not answer: {error}; check the address after --store") from error
        try:
            check_version(self._inner.info.server_version)
            self._inner.execute("SET synchronous_commit = on")
            if read_only:
                self._inner.execute("SET default_transaction_read_only = on")
        except BaseException:
            self._inner.close()
            raise

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Rows:
        """Run one statement."""
        return cast(Rows, self._inner.execute(cast(Any, translated(sql)), parameters or None))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """Run one statement once for each row of values: a way to the server and back for all, none for no row."""
        rows = list(parameters)
        if len(rows) == 1:
            return self.execute(sql, rows[0])
        if rows:
            with self._inner.cursor() as cursor:
                cursor.executemany(cast(Any, translated(sql)), rows)
        return None

    def script(self, text: str) -> None:
        """Run several statements as they are."""
        self._inner.execute(cast(Any, text))

    def close(self) -> None:
        """Hang up; what was not committed is undone."""
        self._inner.close()


@lru_cache(maxsize=512)
def translated(sql: str) -> str:
    """Spell a statement's places for values as psycopg reads them."""
    if "?" not in sql and not re.search(r"(?<!:):[a-z_]+", sql):
        return sql
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", sql.replace("%", "%%").replace("?", "%s"))


def check_version(found: int) -> None:
    """Refuse servers that are too old.

    Raises:
        StoreError: it is older than `OLDEST`.
    """
    if found // 10_000 < OLDEST:
        raise StoreError(
            f"the PostgreSQL server has version {found // 10_000}.{found % 10_000}; the lowest that qubitd works with "
            f"is {OLDEST}; upgrade the server"
        )


def assert_durable(connection: Database) -> None:
    """Make sure that a commit survives a power cut of the server.

    Raises:
        StoreError: the server is set to lose some.
    """
    for name, needed in _NEEDED.items():
        found = connection.execute(f"SHOW {name}").fetchone()[0]
        if found != needed:
            raise StoreError(f"PostgreSQL has {name} = {found}; durable commits need {needed}; change postgresql.conf")


def postgres_engine(url: str) -> Engine:
    """How the writer deals with PostgreSQL."""
    return Engine(
        open_writer=lambda: PostgresConnection(url, read_only=False),
        assert_durable=assert_durable,
        begin=_begin,
        failures=(psycopg.Error, OSError),
        constraints=(psycopg.IntegrityError,),
    )


def _begin(connection: Database) -> None:
    connection.execute(f"BEGIN; {_TAKE_TURN}")
