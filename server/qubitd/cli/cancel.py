"""`qubitd cancel ID`: end a job; what it has measured stays readable."""

from __future__ import annotations

import argparse

from qubitd.cli.remote import add_remote, connect, show_facts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("job", metavar="ID", help="the job")
    parser.add_argument("--force", action="store_true", help="break the running chunk off at once, not within a second")
    add_remote(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask for its end."""
    with connect(arguments) as client:
        status = client.cancel(arguments.job, force=arguments.force)
    show_facts({"job": arguments.job, "status": status.value}, as_json=arguments.json)
    return 0
