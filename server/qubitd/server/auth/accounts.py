"""People, programs and their tokens, in one file that the daemon only reads. A token itself is never written down:
the file has its SHA-256, and it is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from qubitd.server.auth.errors import AccountsError
from qubitd.server.auth.identity import Identity, Role

FILE = "accounts.json"
"""Name of the file in the directory of accounts."""
_PREFIX = "qubitd_"
_FRESH = 1.0
"""Seconds for which shared accounts are known: a revoked token ends within as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who may call, by one token or by a certificate of the same name."""

    name: str
    project: str
    role: str
    """Name of a `Role`, in lower case."""
    token_sha256: str = ""
    """Hexadecimal; empty for one who comes with a certificate."""
    expires_ns: int = 0
    """ns since 1970-01-01 UTC; 0 for never."""

    @property
    def identity(self) -> Identity:
        """Who it is."""
        return Identity(name=self.name, project=self.project, role=Role[self.role.upper()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Everybody who may call."""

    accounts: tuple[Account, ...] = ()

    def by_token(self, token: str, *, now_ns: int) -> Identity | None:
        """Find whose token it is, if it has not expired."""
        digest = token_digest(token)
        return self._find((a for a in self.accounts if a.token_sha256 and a.token_sha256 == digest), now_ns)

    def by_certificate(self, name: str, *, now_ns: int) -> Identity | None:
        """Find who comes with a certificate of this name."""
        return self._find((a for a in self.accounts if not a.token_sha256 and a.name == name), now_ns)

    def with_account(self, account: Account) -> Accounts:
        """Add somebody, or give them another token, project or role."""
        kept = (a for a in self.accounts if a.name != account.name)
        return Accounts(accounts=(*kept, account))

    def without(self, name: str) -> Accounts:
        """Let somebody in no longer.

        Raises:
            AccountsError: there is nobody of this name.
        """
        if all(a.name != name for a in self.accounts):
            known = ", ".join(a.name for a in self.accounts) or "nobody"
            raise AccountsError(f"there is no account {name!r}; there is {known}")
        return Accounts(accounts=tuple(a for a in self.accounts if a.name != name))

    @staticmethod
    def _find(found: Iterable[Account], now_ns: int) -> Identity | None:
        account = next(iter(found), None)
        if account is None or 0 < account.expires_ns <= now_ns:
            return None
        return account.identity


def new_token() -> str:
    """Make a token of 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """Give what the file keeps of a token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def read_accounts(directory: Path) -> Accounts:
    """Read the file; none means nobody.

    Raises:
        AccountsError: it cannot be read.
    """
    path = directory / FILE
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return Accounts(accounts=tuple(_account(entry) for entry in entries))
    except FileNotFoundError:
        return Accounts()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise AccountsError(f"{path} cannot be read as accounts: {error}; mend it or make it anew") from error


def write_accounts(directory: Path, accounts: Accounts) -> None:
    """Replace the file in one step, readable by its owner alone.

    Raises:
        AccountsError: it cannot be written.
    """
    path = directory / FILE
    fresh = path.with_suffix(".new")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump([asdict(account) for account in accounts.accounts], file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise AccountsError(f"{path} cannot be written: {error.strerror or error}") from error


class AccountSource(Protocol):
    """Where a daemon looks for accounts."""

    @property
    def current(self) -> Accounts:
        """Give them as they are now."""
        ...


class KnownAccounts:
    """The accounts as the daemon knows them: read again whenever the file changes, so that a revoked token ends now."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stamp: tuple[int, int] | None = None
        self._accounts = Accounts()

    @property
    def current(self) -> Accounts:
        """Give them as they are now; a file that cannot be read lets nobody in.

        Raises:
            AccountsError: the file cannot be read.
        """
        stamp = self._look()
        if stamp != self._stamp:
            self._accounts = Accounts()
            self._accounts = read_accounts(self._directory)
            self._stamp = stamp
        return self._accounts

    def _look(self) -> tuple[int, int] | None:
        try:
            status = (self._directory / FILE).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino


class GroupAccounts:
    """The accounts that all daemons of a group share, and this daemon's own: looked at again every second."""

    def __init__(self, *, shared: Callable[[], Accounts], own: KnownAccounts, steady: Callable[[], float]) -> None:
        self._look = shared
        self._own = own
        self._steady = steady
        self._shared = Accounts()
        self._looked_at = -math.inf
        self._joined = Accounts()
        self._joined_of: tuple[Accounts, ...] = ()
        """Own and shared ones that were put together last."""

    @property
    def current(self) -> Accounts:
        """Give them as they are now; the own ones go first.

        Raises:
            AccountsError: the file cannot be read.
        """
        now = self._steady()
        if now - self._looked_at >= _FRESH:
            self._shared, self._looked_at = self._look(), now
        parts = (self._own.current, self._shared)
        if self._joined_of != parts:
            self._joined = Accounts(accounts=tuple(account for part in parts for account in part.accounts))
            self._joined_of = parts
        return self._joined


def _account(entry: dict[str, Any]) -> Account:
    account = Account(**entry)
    if account.role.upper() not in Role.__members__:
        raise ValueError(f"account {account.name!r} has the role {account.role!r}")
    return account
