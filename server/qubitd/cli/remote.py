"""What the commands share that ask a daemon something: how it is reached, and tables for people or JSON for scripts."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qubitd.client import QubitdClient, options

_WIDEST = 200
"""Columns of a table that goes into a file or a pipe."""
Row = Mapping[str, Any]


def add_remote(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say which daemon, and how it answers."""
    options.add_access(parser)
    parser.add_argument("--json", action="store_true", help="JSON, for scripts")


def connect(arguments: argparse.Namespace) -> QubitdClient:
    """Give a client of the daemon that was meant; without any hint the one on this machine."""
    return options.connect(arguments, patience=2.0)


def show_rows(rows: Sequence[Row], *, nothing: str, as_json: bool, one_line: Collection[str] = ()) -> None:
    """Print rows that all have the same keys, in their order.

    Args:
        rows: what is shown.
        nothing: said where there are none.
        as_json: all of it, for scripts.
        one_line: keys whose values are cut to the table's width rather than folded.
    """
    if as_json:
        print(json.dumps(list(rows), default=str))
        return
    if not rows:
        print(nothing)
        return
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(rows[0]):
        table.add_column(name.replace("_", " "), overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*(_cell(value, is_cut=name in one_line) for name, value in row.items()))
    width = None if sys.stdout.isatty() else _WIDEST
    Console(highlight=False, width=width).print(table)


def show_facts(facts: Row, *, as_json: bool) -> None:
    """Print one thing's facts, one a line."""
    if as_json:
        print(json.dumps(facts, default=str))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):{width}}  {_text(value)}")


def moment(time_ns: int) -> str:
    """Write a time, UTC; an empty text for one that has not come."""
    return f"{dt.datetime.fromtimestamp(time_ns / 1e9, tz=dt.UTC):%Y-%m-%d %H:%M:%S}" if time_ns else ""


def _cell(value: Any, *, is_cut: bool) -> Text:
    text = _text(value)
    return Text(" ".join(text.split()), no_wrap=True, overflow="ellipsis") if is_cut else Text(text)


def _text(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)
