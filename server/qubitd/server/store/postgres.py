"""PostgreSQL behind the same statements: question marks become psycopg's, and one lock orders all writers.

Writers of a group take turns: a number of an event or of an audit line is then in the order of the commits, which a
watcher's cursor and the audit's chain rely on. Group commit makes up for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from qubitd.server.errors import DatabaseLostError, StoreBrokenError, StoreError
from qubitd.server.store.database import Database, Engine, Rows

OLDEST = 15
"""Lowest major version of PostgreSQL."""
_TURN = 29045
"""Kind of the advisory lock; a store is a schema, whose name tells its own from others."""
BEGIN_WRITING = f"BEGIN; SELECT pg_advisory_xact_lock({_TURN}, hashtext(current_schema()))"
_NEEDED = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_LINK: Mapping[str, Any] = {
    "application_name": "qubitd",
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""A server that is gone is noticed within some 15 s, unless the address says otherwise."""
_SESSION = (
    "SET synchronous_commit = on",
    # So that the server notices within as long that we are gone, and gives our locks to another.
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3",
    # A daemon that is stopped in the middle of a commit must not hold up the others of its group for ever.
    "SET idle_in_transaction_session_timeout = '15s'",
)


class PostgresConnection:
    """One connection that looks as the store's statements expect."""

    def __init__(self, url: str, *, read_only: bool) -> None:
        """Connect.

        Raises:
            StoreError: nothing answers there, or it is too old.
        """
        self.place = place_of(url)
        try:
            self._inner: psycopg.Connection[Any] = psycopg.connect(linked(url), autocommit=True)
        except psycopg.Error as error:
            raise StoreError(
                f"PostgreSQL does not answer at {self.place}: {str(error).strip()}; check the address after --store"
            ) from error
        try:
            check_version(self._inner.info.server_version)
            for setting in _SESSION:
                self._inner.execute(cast(Any, setting))
            if read_only:
                self._inner.execute("SET default_transaction_read_only = on")
        except BaseException:
            self._inner.close()
            raise

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Rows:
        """Run one statement."""
        return cast(Rows, self._inner.execute(cast(Any, translated(sql)), _without_nul(parameters) or None))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """Run one statement once for each row of values: a way to the server and back for all, none for no row."""
        rows = list(parameters)
        if len(rows) == 1:
            return self.execute(sql, rows[0])
        if rows:
            with self._inner.cursor() as cursor:
                cursor.executemany(cast(Any, translated(sql)), [_without_nul(row) for row in rows])
        return None

    def script(self, text: str) -> None:
        """Run several statements as they are."""
        self._inner.execute(cast(Any, text))

    def stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Give the rows of a statement without holding them all; in a transaction."""
        with self._inner.cursor(name="rows") as cursor:
            yield from cursor.execute(cast(Any, sql))

    def close(self) -> None:
        """Hang up; what was not committed is undone."""
        self._inner.close()


class PostgresReader(PostgresConnection):
    """A read-only connection that says so when the server is lost."""

    def __init__(self, url: str, *, on_lost: Callable[[StoreBrokenError], None]) -> None:
        """Connect.

        Raises:
            StoreError: as for any connection.
        """
        super().__init__(url, read_only=True)
        self._on_lost = on_lost

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Rows:
        """Run one statement.

        Raises:
            DatabaseLostError: the server does not answer any more.
        """
        try:
            return super().execute(sql, parameters)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            lost = DatabaseLostError(place=self.place, cause=first_line(error))
            self._on_lost(lost)
            raise lost from error


def linked(url: str) -> str:
    """Give an address with what has a server that is gone noticed in time."""
    return make_conninfo(url, **{key: value for key, value in _LINK.items() if f"{key}=" not in url})


def place_of(url: str) -> str:
    """Say where a database is, without its password.

    Raises:
        StoreError: it is no address.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise StoreError(
            f"the address of the store cannot be read: {first_line(error)}; write it as "
            "postgresql://USER@HOST:PORT/DATABASE"
        ) from error
    host, port = parts.get("host", ""), parts.get("port")
    return f"{parts.get('dbname', '')} at {host or 'this machine'}{f':{port}' if port else ''}"


def first_line(error: BaseException) -> str:
    """Give what an error of the server says first."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


@lru_cache(maxsize=512)
def translated(sql: str) -> str:
    """Spell a statement's places for values as psycopg reads them."""
    if "?" not in sql and not re.search(r"(?<!:):[a-z_]+", sql):
        return sql
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", sql.replace("%", "%%").replace("?", "%s"))


def _without_nul(values: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
    """PostgreSQL's text has every character but one, which is kept, and looked for, as its picture."""
    if isinstance(values, Mapping):
        return {key: _pictured(value) for key, value in values.items()}
    return [_pictured(value) for value in values]


def _pictured(value: Any) -> Any:
    return value.replace("\0", "\u2400") if isinstance(value, str) and "\0" in value else value


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


def begin_turn(connection: Database) -> None:
    """Begin a transaction that no other writer's overlaps."""
    connection.execute(BEGIN_WRITING)


def postgres_engine(url: str, *, check: Callable[[Database], None]) -> Engine:
    """How the writer deals with PostgreSQL; `check` looks, in each turn, whether it may write at all."""
    place = place_of(url)

    def begin(connection: Database) -> None:
        begin_turn(connection)
        check(connection)

    return Engine(
        open_writer=lambda: PostgresConnection(url, read_only=False),
        assert_durable=assert_durable,
        begin=begin,
        failures=(psycopg.Error, OSError, StoreBrokenError),
        constraints=(psycopg.IntegrityError, psycopg.DataError),
        broken=lambda cause: DatabaseLostError(place=place, cause=cause.strip().partition("\n")[0]),
        unopened=lambda error: StoreError(
            f"the database {place} cannot be used: {first_line(error)}; the user of the address must own its schema"
        ),
    )
