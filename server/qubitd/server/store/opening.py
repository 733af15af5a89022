"""Which store an address leads to: SQLite in the data directory without one, else a PostgreSQL."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from qubitd.server.errors import StoreBrokenError, StoreError
from qubitd.server.store.copies import USUALLY_KEPT, Copies
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.store.store import Store
from qubitd.server.telemetry.meters import Meters

SCHEMES = ("postgresql://", "postgres://")
"""Beginnings of an address."""


def open_store(
    address: str,
    data_dir: Path,
    *,
    on_broken: Callable[[StoreBrokenError], None],
    meters: Meters,
    copies_kept: int = USUALLY_KEPT,
) -> Store:
    """Open, check and migrate the store of a daemon.

    Args:
        address: of a PostgreSQL database; empty for SQLite.
        data_dir: the daemon's own.
        on_broken: told from any thread once nothing more can be written.
        meters: that are told of commits.
        copies_kept: in the data directory; 0 makes none before a migration.

    Raises:
        StoreTooNewError: a newer version wrote it.
        StoreCorruptError: it is damaged.
        StoreError: it cannot be opened, or commits would not be durable.
    """
    if not address:
        copies = Copies(data_dir, kept=copies_kept)
        return SqliteStore(data_dir, on_broken=on_broken, meters=meters, before_migration=copies.before_migration)
    check_address(address)
    from qubitd.server.store.postgres_store import PostgresStore

    return PostgresStore(address, on_broken=on_broken, meters=meters)


def check_address(address: str) -> None:
    """Make sure that an address may be one of PostgreSQL, and that its driver is installed.

    Raises:
        StoreError: it is not.
    """
    if not address.startswith(SCHEMES):
        raise StoreError(
            f"{address!r} is no address of a store; write postgresql://USER@HOST:PORT/DATABASE, or nothing for a "
            "database in the data directory"
        )
    if importlib.util.find_spec("psycopg") is None:
        raise StoreError("a store in PostgreSQL needs psycopg, which is not installed: pip install 'qubitd[postgres]'")
