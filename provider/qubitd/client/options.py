"""Command-line options that say which daemon: the same for all commands and scripts, found as every client finds it."""

from __future__ import annotations

import argparse

from qubitd.client.client import QubitdClient
from qubitd.client.config import Access, find_access
from qubitd.client.errors import UnconfiguredError
from qubitd.client.link import PATIENCE

USUAL_ADDRESS = "localhost:50051"
"""Where a daemon is looked for if nobody says where it is."""


def add_access(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--server", metavar="ADDRESS", help=f"the daemon's host:port (that of the profile, or {USUAL_ADDRESS})"
    )
    parser.add_argument("--profile", metavar="NAME", help="named profile of the user's configuration")
    parser.add_argument("--token", help="instead of the profile's, or of QUBITD_TOKEN")
    parser.add_argument("--ca", metavar="FILE", help="the lab's authority, for TLS")


def configured_access(arguments: argparse.Namespace) -> Access | None:
    """Give the way to the daemon that an option, the environment or a profile names; None if none of them does.

    Raises:
        ConfigError: what names it cannot be used.
    """
    try:
        return find_access(arguments.server, arguments.token, ca=arguments.ca, profile=arguments.profile)
    except UnconfiguredError:
        return None


def usual_access(arguments: argparse.Namespace) -> Access:
    """Give the way to a daemon on this machine, with the token and authority that were typed."""
    return find_access(USUAL_ADDRESS, arguments.token, ca=arguments.ca)


def connect(arguments: argparse.Namespace, *, patience: float = PATIENCE) -> QubitdClient:
    """Give a client of the daemon that was meant, to be closed; without any hint of the one on this machine.

    Raises:
        ConfigError: what names it cannot be used.
    """
    access = configured_access(arguments) or usual_access(arguments)
    return QubitdClient(access.address, access.token, ca=access.ca, cert=access.cert, key=access.key, patience=patience)
