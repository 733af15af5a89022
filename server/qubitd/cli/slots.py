"""`qubitd slots`: reserved time of the rack."""

from __future__ import annotations

import argparse
import datetime as dt
import math
import secrets
from collections.abc import Sequence

from qubitd.cli.remote import add_remote, connect, moment, show_rows
from qubitd.client import ConfigError, QubitdClient, Reservation, SlotKind
from qubitd.wire.slots import MAX_SECONDS, MIN_SECONDS

_SHORTEST, _LONGEST = MIN_SECONDS / 60.0, MAX_SECONDS / 60.0
"""Minutes that a slot may take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--reserve", choices=[kind.value for kind in SlotKind], help="reserve time for this")
    change.add_argument("--release", metavar="ID", help="give a slot's time back")
    parser.add_argument("--backend", metavar="NAME", help="whose time is reserved (the daemon's only one)")
    parser.add_argument(
        "--start",
        type=_time,
        metavar="TIME",
        help="ISO 8601; this machine's zone if none (now)",
    )
    parser.add_argument("--minutes", type=_minutes, default=60.0, help="how long it is reserved (%(default)s)")
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
            "backend": slot.backend,
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


def _time(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        what = f"{text!r} is no time; write it by ISO 8601, such as 2026-03-01T09:30 or 2026-03-01T09:30+01:00"
        raise argparse.ArgumentTypeError(what) from None


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not _SHORTEST <= minutes <= _LONGEST:  # and no NaN either
        what = f"{text!r} is no length of a slot; give {_SHORTEST:.2g} to {_LONGEST:.6g} minutes"
        raise argparse.ArgumentTypeError(what)
    return minutes


def _reserve(client: QubitdClient, arguments: argparse.Namespace) -> None:
    client.slots.reserve(
        Reservation(
            key=secrets.token_hex(16),
            backend=arguments.backend or _only_one(client.backends()),
            kind=SlotKind(arguments.reserve),
            start_ns=0 if arguments.start is None else int(arguments.start.timestamp() * 1e9),
            seconds=arguments.minutes * 60.0,
            note=arguments.note,
        )
    )


def _only_one(backends: Sequence[str]) -> str:
    if len(backends) != 1:
        raise ConfigError(
            f"the daemon's group has {len(backends)} backends; choose with --backend: {', '.join(backends)}"
        )
    return backends[0]
