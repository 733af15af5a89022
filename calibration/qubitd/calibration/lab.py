"""Which daemon a calibration script talks to: found as every client finds it, else this machine's."""

from __future__ import annotations

import argparse

from qubitd.client import QubitdClient, UnconfiguredError, find_access

_USUAL = "localhost:50051"


def add_lab(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say which daemon."""
    parser.add_argument(
        "--server", metavar="ADDRESS", help=f"the daemon's host:port (that of the profile, or {_USUAL})"
    )
    parser.add_argument("--profile", metavar="NAME", help="named profile of the user's configuration")
    parser.add_argument("--token", help="instead of the profile's, or of QUBITD_TOKEN")
    parser.add_argument("--ca", metavar="FILE", help="the lab's authority, for TLS")


def open_lab(options: argparse.Namespace) -> QubitdClient:
    """Give a client of the daemon that options of `add_lab`, the environment or a profile name, to be closed.

    Raises:
        ConfigError: what names it cannot be used.
    """
    try:
        access = find_access(options.server, options.token, ca=options.ca, profile=options.profile)
    except UnconfiguredError:
        access = find_access(_USUAL, options.token, ca=options.ca)
    return QubitdClient(access.address, access.token, ca=access.ca, cert=access.cert, key=access.key)
