"""`qubitd audit`: the book of what was done, and whether it is whole."""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path

from qubitd.cli.config import state_directory
from qubitd.server.errors import StoreError
from qubitd.server.store.audit import FIRST_HASH, has_hash, read_lines, verify
from qubitd.server.store.backup import open_source
from qubitd.server.store.database import Database
from qubitd.server.store.opening import check_address

_BROKEN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    what = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    verify = what.add_parser("verify", help="follow the chain of hashes from the first line to the last")
    verify.add_argument("--expect", default=FIRST_HASH, metavar="HASH", help="which one of the lines must have")
    show = what.add_parser("show", help="print the lines")
    show.add_argument("--after", type=int, default=0, metavar="NUMBER", help="only lines after this one")
    for command in what.choices.values():
        command.add_argument("--store", metavar="URL", help="of a store in PostgreSQL, in place of --data-dir")
        command.add_argument(
            "--data-dir", type=Path, metavar="DIR", help="of the daemon (that of line5 in the user's state)"
        )


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    connection = _opened(arguments)
    try:
        if arguments.what == "verify":
            return _verify(connection, arguments.expect.strip().lower())
        return _show(connection, arguments.after)
    finally:
        connection.close()


def _opened(arguments: argparse.Namespace) -> Database:
    if not arguments.store:
        return open_source(arguments.data_dir or state_directory() / "line5")
    check_address(arguments.store)
    from qubitd.server.store.postgres import PostgresConnection
    from qubitd.server.store.postgres_schema import check_steps

    connection = PostgresConnection(arguments.store, read_only=True)
    try:
        check_steps(connection)
    except StoreError:
        connection.close()
        raise
    return connection


def _verify(connection: Database, expected: str) -> int:
    verdict = verify(connection)
    if verdict.broken is not None:
        print(f"broken at line {verdict.broken}: it does not follow from the {verdict.lines} lines before it")
        return _BROKEN
    if not has_hash(connection, expected):
        print(f"lines are missing: none of the {verdict.lines} has the hash {expected}")
        return _BROKEN
    print(f"whole: {verdict.lines} lines, the newest of hash {verdict.newest}")
    return 0


def _show(connection: Database, after: int) -> int:
    for line in read_lines(connection, after=after):
        when = dt.datetime.fromtimestamp(line.time_ns / 1e9, tz=dt.UTC)
        print(f"{line.number:8} {when:%Y-%m-%d %H:%M:%S} {line.who:16} {line.what}")
    return 0
