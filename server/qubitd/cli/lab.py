"""`qubitd lab`: how a daemon and its rack are, and the operator's switches."""

from __future__ import annotations

import argparse

from qubitd.cli.remote import add_remote, connect, moment, show_facts, show_rows
from qubitd.client import QubitdClient

_SWITCHES = {
    "drain": "take no job and start none; the running one ends",
    "stop": "emergency: make the rack safe at once",
    "resume": "take and start jobs again",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "action",
        nargs="?",
        default="health",
        choices=["health", "instruments", "backends", *_SWITCHES],
        help="; ".join(f"{name}: {purpose}" for name, purpose in _SWITCHES.items()) + " (%(default)s)",
    )
    parser.add_argument("--reason", default="", help="of a drain or stop, for people")
    add_remote(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say how things are then."""
    with connect(arguments) as client:
        match arguments.action:
            case "drain":
                client.lab.drain(arguments.reason)
            case "stop":
                client.lab.stop(arguments.reason)
            case "resume":
                client.lab.resume()
            case "instruments":
                _show_instruments(client, as_json=arguments.json)
                return 0
            case "backends":
                _show_backends(client, as_json=arguments.json)
                return 0
            case _:
                pass
        _show_health(client, as_json=arguments.json)
    return 0


def _show_instruments(client: QubitdClient, *, as_json: bool) -> None:
    rows = [
        {
            "instrument": instrument.name,
            "kind": instrument.kind,
            "resource": instrument.resource,
            "answers": instrument.answers,
            "fault": instrument.fault,
        }
        for instrument in client.lab.instruments()
    ]
    show_rows(rows, nothing="no instruments", as_json=as_json)


def _show_backends(client: QubitdClient, *, as_json: bool) -> None:
    rows = [
        {"backend": one.name, "online": one.online, "address": one.address, "reason": one.reason}
        for one in client.standings()
    ]
    show_rows(rows, nothing="no backends", as_json=as_json)


def _show_health(client: QubitdClient, *, as_json: bool) -> None:
    health = client.lab.health()
    facts = {
        "state": health.state.value,
        "reason": health.reason,
        "rack_answers": health.operational,
        "running": health.running,
        "queued": health.queued,
        "sessions": health.sessions,
        "started": moment(health.started_ns),
        "version": health.server_version,
    }
    show_facts(facts, as_json=as_json)
