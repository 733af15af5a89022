"""`qubitd slots`: reserved time of the rack."""

from __future__ import annotations

import argparse
import datetime as dt
import secrets

from qubitd.cli.remote import add_remote, connect, moment, show_rows
from qubitd.client import QubitdClient, Reservation, SlotKind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--reserve", choices=[kind.value for kind in SlotKind], help="reserve time for this")
    change.add_argument("--release", metavar="ID", help="give a slot's time back")
    parser.add_argument(
        "--start",
        type=dt.datetime.fromisoformat,
        metavar="TIME",
        help="ISO 8601; this machine's zone if none (now)",
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long it is reserved (%(default)s)")
    parser.add_argument("--note", default="", help="why, for people")
    add_remote(parser)


def run(arguments: argparse.Namespace) -> int:
    """Change what was asked for and print the slots that are not over."""
    with connect(arguments) as client:
        if arguments.reserve:
            _reserve(client, arguments)
        elif arguments.release:
            client.slots.release(arguments.release)
        slots = client.slots.list()
    rows = [
        {
            "slot": slot.slot_id,
            "kind": slot.kind.value,
            "start": moment(slot.start_ns),
            "end": moment(slot.end_ns),
            "owner": slot.owner,
            "note": slot.note,
        }
        for slot in slots
    ]
    show_rows(rows, nothing="no slots", as_json=arguments.json)
    return 0


def _reserve(client: QubitdClient, arguments: argparse.Namespace) -> None:
    [backend] = client.backends()
    client.slots.reserve(
        Reservation(
            key=secrets.token_hex(16),
            backend=backend,
            kind=SlotKind(arguments.reserve),
            start_ns=0 if arguments.start is None else int(arguments.start.timestamp() * 1e9),
            seconds=arguments.minutes * 60.0,
            note=arguments.note,
        )
    )
