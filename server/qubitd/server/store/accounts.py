"""The accounts of a group as rows: who may call any of its daemons. Each change is a line of the audit log."""

from __future__ import annotations

from dataclasses import astuple

from qubitd.server.auth.accounts import Account, Accounts
from qubitd.server.store.audit import AuditWrites
from qubitd.server.store.database import Database

_COLUMNS = "name, project, role, token_sha256, expires_ns"


class AccountReads:
    """What can be asked about accounts."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    def all(self) -> Accounts:
        """Give everybody who may call."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM account ORDER BY name")  # noqa: S608 (constant)
        return Accounts(
            accounts=tuple(
                Account(name=name, project=project, role=role, token_sha256=token, expires_ns=expires)
                for name, project, role, token, expires in rows
            )
        )


class AccountWrites:
    """What the writer's thread can do to accounts."""

    def __init__(self, connection: Database, audit: AuditWrites) -> None:
        self._connection = connection
        self._audit = audit

    def put(self, account: Account, *, time_ns: int) -> None:
        """Let somebody in, or by another token, into another project or role."""
        self._connection.execute(
            f"INSERT INTO account ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 (constants)
            " ON CONFLICT (name) DO UPDATE SET"
            " project = excluded.project, role = excluded.role, token_sha256 = excluded.token_sha256,"
            " expires_ns = excluded.expires_ns",
            astuple(account),
        )
        what = f"account {account.name}: {account.role} of project {account.project}"
        self._audit.append(time_ns=time_ns, who="operator", what=what)

    def remove(self, name: str, *, time_ns: int) -> None:
        """Let somebody in no longer.

        Raises:
            AccountsError: there is nobody of this name.
        """
        AccountReads(self._connection).all().without(name)
        self._connection.execute("DELETE FROM account WHERE name = ?", (name,))
        self._audit.append(time_ns=time_ns, who="operator", what=f"account {name} removed")
