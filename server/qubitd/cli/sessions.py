"""`qubitd sessions`: your sessions, newest first; an operator may end anybody's."""

from __future__ import annotations

import argparse

from qubitd.cli.remote import add_remote, connect, moment, show_rows
from qubitd.client import SessionInfo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--open", action="store_true", help="leave out those that are closed")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--close", metavar="ID", help="let it take no more jobs; those that wait still run")
    end.add_argument("--cancel", metavar="ID", help="close it and cancel its jobs")
    add_remote(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them, or end one and print it."""
    with connect(arguments) as client:
        if arguments.close:
            found: tuple[SessionInfo, ...] = (client.sessions.close(arguments.close),)
        elif arguments.cancel:
            found = (client.sessions.cancel(arguments.cancel),)
        else:
            found = client.sessions.list(open_only=arguments.open)
    rows = [
        {
            "session": session.session_id,
            "state": session.state.value,
            "mode": session.mode.value,
            "owner": session.owner,
            "opened": moment(session.created_ns),
            "used_seconds": session.elapsed_seconds,
            "of_seconds": session.max_seconds,
            "instrument_seconds": session.qpu_seconds,
            "has_the_rack": session.holds_rack,
        }
        for session in found
    ]
    show_rows(rows, nothing="no sessions", as_json=arguments.json)
    return 0
