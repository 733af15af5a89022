"""`qubitd auth`: accounts, tokens and certificates of a daemon, or accounts of a group. A daemon looks at them again by
itself: a token that is added or revoked needs no restart.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import socket
import time
from pathlib import Path

from qubitd.cli.config import state_directory
from qubitd.cli.ledger import Ledger, open_ledger, read_accounts_of
from qubitd.server.auth.accounts import Account, Accounts, new_token, token_digest
from qubitd.server.auth.certificates import (
    CA_CERTIFICATE,
    issue_client_certificate,
    make_authority,
    make_server_certificate,
    write_private,
)
from qubitd.server.auth.identity import Role
from qubitd.server.front.access import DIRECTORY

_ROLES = [role.name.lower() for role in Role]
_DAY_NS = 86_400 * 10**9
_MOST_DAYS = 36_500.0
_LONGEST_NAME = 64
_TAKEN = ("daemon", "local", "unknown")
"""Names by which the log of what was done means others."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    what = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    begin = what.add_parser("init", help="make the lab's authority and the daemon's certificate")
    begin.add_argument(
        "--host", action="append", default=[], help="name or address that clients use; may be repeated (this machine's)"
    )
    token = what.add_parser("token", help="let somebody in by a token, which is printed once")
    certificate = what.add_parser("cert", help="let somebody in by a certificate")
    certificate.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where it is written (%(default)s)"
    )
    for command in (token, certificate):
        command.add_argument("name", type=_own_name, help="of the person or program")
        command.add_argument("--project", type=_name, help="whose jobs are seen (a project of the same name)")
        command.add_argument(
            "--role", default="user", choices=[role.name.lower() for role in Role], help="(%(default)s)"
        )
        command.add_argument("--days", type=_days, default=365.0, help="until it expires, 0 for never (%(default)g)")
    what.add_parser("list", help="show who may come in")
    revoke = what.add_parser("revoke", help="let somebody in no longer, at once")
    revoke.add_argument("name", help="of the account")
    for command in what.choices.values():
        command.add_argument(
            "--data-dir", type=Path, metavar="DIR", help="of the daemon (that of line5 in the user's state)"
        )
    for name in ("token", "cert", "list", "revoke"):
        what.choices[name].add_argument(
            "--store", metavar="URL", default="", help="PostgreSQL of a group: for all its daemons (for this one alone)"
        )


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    directory = (arguments.data_dir or state_directory() / "line5") / DIRECTORY
    if arguments.what == "init":
        _init(directory, arguments.host)
        return 0
    if arguments.what == "list":
        _list(read_accounts_of(arguments.store, directory))
        return 0
    with open_ledger(arguments.store, directory) as ledger:
        match arguments.what:
            case "token":
                _token(ledger, arguments)
            case "cert":
                _certificate(ledger, directory, arguments)
            case _:
                ledger.remove(arguments.name)
                print(f"{arguments.name} is let in no longer")
    return 0


def _init(directory: Path, hosts: list[str]) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = dt.datetime.now(tz=dt.UTC)
    names = hosts or [socket.gethostname(), "localhost", "127.0.0.1"]
    make_authority(directory, name=f"qubitd {names[0]}", now=now)
    make_server_certificate(directory, names, now=now)
    print(f"the daemon's certificate is for {', '.join(names)}")
    print(f"clients need {directory / CA_CERTIFICATE}: QubitdProvider(address, token, ca=...)")


def _token(ledger: Ledger, arguments: argparse.Namespace) -> None:
    token = new_token()
    account = _account(arguments, token_sha256=token_digest(token))
    ledger.put(account)
    print(token)


def _certificate(ledger: Ledger, directory: Path, arguments: argparse.Namespace) -> None:
    account = _account(arguments, token_sha256="")
    made = issue_client_certificate(directory, account.name, now=dt.datetime.now(tz=dt.UTC))
    for suffix, data in (("pem", made.certificate), ("key", made.key)):
        path = arguments.out / f"{arguments.name}.{suffix}"
        write_private(path, data)
        print(path)
    ledger.put(account)


def _list(accounts: Accounts) -> None:
    if not accounts.accounts:
        print("no accounts")
    for account in accounts.accounts:
        by = "token" if account.token_sha256 else "certificate"
        print(f"{account.name:20} {account.role:10} project {account.project:20} {by:11} expires {_until(account)}")


def _account(arguments: argparse.Namespace, *, token_sha256: str) -> Account:
    expires = time.time_ns() + round(arguments.days * _DAY_NS) if arguments.days else 0
    return Account(
        name=arguments.name,
        project=arguments.project or arguments.name,
        role=arguments.role,
        token_sha256=token_sha256,
        expires_ns=expires,
    )


def _name(text: str) -> str:
    if text != text.strip() or not text.isprintable() or set(text) & set("/\\") or not 1 <= len(text) <= _LONGEST_NAME:
        what = f"{text!r} is no name; give 1 to {_LONGEST_NAME} characters without slashes, and no space at its ends"
        raise argparse.ArgumentTypeError(what)
    return text


def _own_name(text: str) -> str:
    if text in _TAKEN:
        raise argparse.ArgumentTypeError(f"{text!r} means somebody else in the audit log; give another name")
    return _name(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days <= _MOST_DAYS:  # and no NaN either
        what = f"{text!r} is no number of days; give more than 0, to {_MOST_DAYS:g}, or 0 for never"
        raise argparse.ArgumentTypeError(what)
    return days


def _until(account: Account) -> str:
    if not account.expires_ns:
        return "never"
    return f"{dt.datetime.fromtimestamp(account.expires_ns / 1e9, tz=dt.UTC):%Y-%m-%d}"
