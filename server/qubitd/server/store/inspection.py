"""A look for damage in the tables of a store while a daemon writes it: table by table, so that the write-ahead log can
begin anew between two.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from qubitd.server.store.backup import open_source

_MOST = 20
"""Problems that are told of one table."""


def inspect_tables(directory: Path) -> list[str]:
    """Read every row and index entry; gives a sentence for each that is wrong. No writer waits for it.

    Each table is looked at as of one moment, and the next one as of a later one. How pages are shared out among the
    tables is looked at when the store is opened.

    Raises:
        StoreError: there is no store.
        sqlite3.OperationalError: it cannot be read now.
    """
    with closing(open_source(directory)) as connection:
        try:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            return [problem for table in ("sqlite_schema", *tables) for problem in _problems(connection, table)]
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            return [str(error)]


def _problems(connection: sqlite3.Connection, table: str) -> list[str]:
    found = connection.execute(f"PRAGMA integrity_check('{table}')").fetchmany(_MOST)
    return [f"{table}: {row[0]}" for row in found if row[0] != "ok"]
