"""Histograms as text: one table per circuit, side by side where the terminal is wide enough."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from qubitd.cli.pictures.histogram import Bar, Outcomes, bars

_LONGEST_BAR = 14
_SHORTEST_BAR = 4
_GAP = "    "


def histogram_lines(all_outcomes: Sequence[Outcomes], *, width: int, block: str = "█") -> list[str]:
    """Write the tables of some circuits.

    Args:
        all_outcomes: one for each circuit.
        width: columns of the terminal.
        block: character that bars are made of.
    """
    bare = sum(len(_table(outcomes, "")[1]) for outcomes in all_outcomes) + len(_GAP) * (len(all_outcomes) - 1)
    if bare > width:
        tables = [_table(outcomes, block * _LONGEST_BAR) for outcomes in all_outcomes]
        return [line.rstrip() for table in tables for line in (*table, "")][:-1]
    room = min(_LONGEST_BAR, (width - bare) // len(all_outcomes) - 2)
    tables = [_table(outcomes, block * room if room >= _SHORTEST_BAR else "") for outcomes in all_outcomes]
    widths = [max(map(len, table)) for table in tables]
    rows = itertools.zip_longest(*tables, fillvalue="")
    return [_GAP.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _table(outcomes: Outcomes, full_bar: str) -> list[str]:
    """Write a title, a head and a row for each outcome that matters."""
    shown = bars(outcomes, least=0.005, most=16)
    name = max(len("outcome"), *(len(bar.label) for bar in shown))
    most = max(bar.count for bar in shown)
    head = f"{'outcome':<{name}}  measured  expected  ideal"
    rows = (_row(bar, outcomes, name) + _drawn(bar.count / most, full_bar) for bar in shown)
    return [f"{outcomes.title}, {outcomes.shots} shots", head, *rows]


def _row(bar: Bar, outcomes: Outcomes, name: int) -> str:
    expected, ideal = bar.expected * outcomes.shots, bar.ideal * outcomes.shots
    return f"{bar.label:<{name}}  {bar.count:>8}  {expected:>8.1f}  {ideal:>5.0f}"


def _drawn(share: float, full_bar: str) -> str:
    return f"  {full_bar[: round(share * len(full_bar))]}" if full_bar else ""
