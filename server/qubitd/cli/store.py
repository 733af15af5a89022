"""`qubitd store`: check, copy or migrate a daemon's database. A copy may be made while the daemon works."""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path

from qubitd.cli.config import state_directory
from qubitd.server.errors import StoreError
from qubitd.server.lock import locked
from qubitd.server.store.backup import Report, back_up, check_store
from qubitd.server.store.copies import Copies
from qubitd.server.store.opening import check_address
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.store.upkeep_record import read_record

_DAMAGED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "action",
        choices=["check", "backup", "migrate"],
        help="check: look for damage in tables, blobs and the audit log; backup: copy all into an empty directory; "
        "migrate: bring it to this version while no daemon runs",
    )
    parser.add_argument(
        "--to",
        metavar="DIR|URL",
        help="where a backup goes, a directory; or the empty PostgreSQL database that a store in a directory moves to",
    )
    parser.add_argument("--store", metavar="URL", help="of a store in PostgreSQL, in place of --data-dir")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="of the daemon (line5's, in the user's state)")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    if arguments.store:
        return _in_postgres(arguments)
    directory = arguments.data_dir or state_directory() / "line5"
    match arguments.action:
        case "check":
            report = check_store(directory)
            print(_last_look(directory))
            return _told(report)
        case "backup":
            target = Path(arguments.to) if arguments.to else directory.with_name(f"{directory.name}-backup")
            back_up(directory, target)
            print(f"copied to {target}")
            return _told(check_store(target))
        case _:
            with locked(directory):
                SqliteStore(directory, before_migration=Copies(directory).before_migration).close()
                if arguments.to:
                    check_address(arguments.to)
                    from qubitd.server.store import transfer

                    transfer.move_to_postgres(directory, arguments.to)
                    return _told(transfer.check_postgres(arguments.to))
            return _told(check_store(directory))


def _in_postgres(arguments: argparse.Namespace) -> int:
    check_address(arguments.store)
    from qubitd.server.store import transfer
    from qubitd.server.store.postgres_store import PostgresStore

    match arguments.action:
        case "check":
            return _told(transfer.check_postgres(arguments.store))
        case "backup":
            if not arguments.to:
                raise StoreError("a backup of a database needs a place: give an empty directory with --to")
            transfer.back_up_postgres(arguments.store, Path(arguments.to))
            print(f"copied to {arguments.to}")
            return _told(check_store(Path(arguments.to)))
        case _:
            PostgresStore(arguments.store).close()
            return _told(transfer.check_postgres(arguments.store))


def _last_look(directory: Path) -> str:
    record = read_record(directory)
    if record is None or not record.looked_ns:
        return "no daemon has looked for damage by itself yet"
    found = f"damage ({'; '.join(record.problems)})" if record.problems else "no damage"
    when = dt.datetime.fromtimestamp(record.looked_ns * 1e-9, dt.UTC)
    return f"a daemon looked by itself on {when:%Y-%m-%d at %H:%M} UTC and found {found}"


def _told(report: Report) -> int:
    for problem in report.problems:
        print(problem)
    print(f"version {report.version}, {report.jobs} jobs, {report.blobs} blobs, {report.audit_lines} lines of the log")
    return _DAMAGED if report.problems else 0
