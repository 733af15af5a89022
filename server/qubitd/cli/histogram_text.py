"""Histograms as text: one table per circuit, side by side where the terminal is wide enough."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from qubitd.cli.pictures.histogram import Bar, Outcomes, bars

_BAR_WIDTH = 14
_GAP = 4


def histogram_lines(all_outcomes: Sequence[Outcomes], *, width: int, block: str = "█") -> list[str]:
    """Write the tables of some circuits.

    Args:
        all_outcomes: one for each circuit.
        width: columns of the terminal.
        block: character that bars are made of.
    """
    tables = [_table(outcomes, block) for outcomes in all_outcomes]
    widths = [max(map(len, table)) for table in tables]
    if sum(widths) + _GAP * (len(tables) - 1) > width:
        return list(itertools.chain.from_iterable((*table, "") for table in tables))[:-1]
    rows = itertools.zip_longest(*tables, fillvalue="")
    return [(" " * _GAP).join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _table(outcomes: Outcomes, block: str) -> list[str]:
    shown = bars(outcomes, least=0.005, most=16)
    name = max(len("outcome"), *(len(bar.label) for bar in shown))
    most = max(bar.count for bar in shown)
    head = f"{'outcome':<{name}}  measured  expected  ideal"
    return [
        f"{outcomes.title}, {outcomes.shots} shots",
        head,
        *(_row(bar, outcomes, name, most, block) for bar in shown),
    ]


def _row(bar: Bar, outcomes: Outcomes, name: int, most: int, block: str) -> str:
    expected, ideal = bar.expected * outcomes.shots, bar.ideal * outcomes.shots
    drawn = block * round(_BAR_WIDTH * bar.count / most)
    return f"{bar.label:<{name}}  {bar.count:>8}  {expected:>8.1f}  {ideal:>5.0f}  {drawn:<{_BAR_WIDTH}}"
