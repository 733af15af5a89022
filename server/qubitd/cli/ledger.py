"""Where `qubitd auth` keeps accounts: in the file of one daemon, or in the store that a group of daemons shares."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qubitd.server.auth.accounts import Account, Accounts, read_accounts, write_accounts
from qubitd.server.store.opening import check_address, open_store

if TYPE_CHECKING:
    from qubitd.server.store.store import Store


class Ledger(Protocol):
    """A place of accounts that change."""

    def put(self, account: Account) -> None:
        """Let somebody in."""
        ...

    def remove(self, name: str) -> None:
        """Let somebody in no longer."""
        ...


class FileLedger:
    """The file of one daemon."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, account: Account) -> None:
        """Let somebody in.

        Raises:
            AccountsError: the file cannot be read or written.
        """
        write_accounts(self._directory, read_accounts(self._directory).with_account(account))

    def remove(self, name: str) -> None:
        """Let somebody in no longer.

        Raises:
            AccountsError: there is nobody of this name, or the file cannot be read or written.
        """
        write_accounts(self._directory, read_accounts(self._directory).without(name))


class StoreLedger:
    """The store of a group."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, account: Account) -> None:
        """Let somebody in.

        Raises:
            StoreError: the database is gone.
        """
        now = time.time_ns()
        self._store.write(lambda w: w.accounts.put(account, time_ns=now)).result()

    def remove(self, name: str) -> None:
        """Let somebody in no longer.

        Raises:
            AccountsError: there is nobody of this name.
            StoreError: the database is gone.
        """
        now = time.time_ns()
        self._store.write(lambda w: w.accounts.remove(name, time_ns=now)).result()


def read_accounts_of(store: str, directory: Path) -> Accounts:
    """Give everybody who may come in: to the group whose store's address is given, or else to one daemon.

    Raises:
        AccountsError: the daemon's file cannot be read.
        StoreError: the address leads to no store, or to one of another version, which is left as it is.
    """
    if not store:
        return read_accounts(directory)
    check_address(store)
    from qubitd.server.store.accounts import AccountReads
    from qubitd.server.store.postgres import PostgresConnection
    from qubitd.server.store.postgres_schema import check_steps

    with closing(PostgresConnection(store, read_only=True)) as connection:
        check_steps(connection)
        return AccountReads(connection).all()


@contextmanager
def open_ledger(store: str, directory: Path) -> Generator[Ledger]:
    """Open the accounts of a group to change them, given its store's address, or else those of one daemon.

    Raises:
        StoreError: the address leads to no store.
    """
    if not store:
        yield FileLedger(directory)
        return
    from qubitd.server.telemetry.meters import Meters

    with closing(open_store(store, directory, on_broken=lambda _: None, meters=Meters())) as opened:
        yield StoreLedger(opened)
