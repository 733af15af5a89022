"""`qubitd conformance ADDRESS`: does a server keep the wire contract?"""

from __future__ import annotations

import argparse

from qubitd.client import QubitdClient
from qubitd.client.conformance import check_server

_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("address", metavar="ADDRESS", help="the server's host:port")
    parser.add_argument("--backend", metavar="NAME", help="backend to ask (its first)")
    parser.add_argument("--token", help="who asks")
    parser.add_argument("--ca", metavar="FILE", help="the lab's authority, for TLS")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each check; the exit code is 1 if one fails."""
    failed = 0
    with QubitdClient(arguments.address, arguments.token, ca=arguments.ca, patience=5.0) as client:
        for verdict in check_server(client, arguments.backend or client.backends()[0]):
            failed += bool(verdict.complaint)
            print(f"{'FAIL' if verdict.complaint else 'ok':5} {verdict.sentence}", flush=True)
            if verdict.complaint:
                print(f"      {verdict.complaint}", flush=True)
    print("the server keeps the contract" if not failed else f"{failed} checks fail")
    return _FAILED if failed else 0
