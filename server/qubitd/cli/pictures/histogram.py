"""Counts beside what the ideal circuit and the calibrated device predict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qubitd.calibration.palette import BLUE, GREY, INK, ORANGE, plain_frame

OTHER = "other"
"""Label of all outcomes that have no bar of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What one circuit gave and what was to be expected."""

    title: str
    """Such as `Bell pair`."""
    counts: Mapping[str, int]
    """Bit string (bit 0 last) to shots."""
    ideal: Mapping[str, float]
    """Probabilities of a perfect device."""
    expected: Mapping[str, float]
    """Probabilities that the calibration snapshot predicts."""

    @property
    def shots(self) -> int:
        """How often the circuit ran."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One outcome."""

    label: str
    """Bit string, or `other`."""
    count: int
    ideal: float
    """Probability."""
    expected: float
    """Probability."""


def bars(outcomes: Outcomes, *, least: float, most: int = 12) -> tuple[Bar, ...]:
    """Give the outcomes that matter in ascending order, and the sum of all others if there are any.

    Args:
        outcomes: of one circuit.
        least: fraction of the shots, or predicted probability, from which an outcome has its own bar.
        most: bars of their own at most; the largest win.
    """
    every = set(outcomes.counts) | set(outcomes.ideal) | set(outcomes.expected)
    weight = {key: _weight(outcomes, key) for key in every}
    chosen = sorted(sorted((k for k in every if weight[k] >= least), key=lambda k: (-weight[k], k))[:most])
    shown = [_bar(outcomes, key, [key]) for key in chosen]
    rest = _bar(outcomes, OTHER, sorted(every.difference(chosen)))
    return (*shown, rest) if rest.count or rest.expected * outcomes.shots >= 0.5 else tuple(shown)


def draw_histograms(all_outcomes: Sequence[Outcomes], *, source: str = "") -> Figure:
    """Draw one panel per circuit: measured counts with error bars beside both predictions.

    Args:
        all_outcomes: one for each circuit.
        source: where they come from, such as `line5, revision 3`.
    """
    shown = [bars(outcomes, least=0.01) for outcomes in all_outcomes]
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    panels = figure.subplots(1, len(shown), width_ratios=[len(row) + 1 for row in shown], squeeze=False)[0]
    for axes, outcomes, row in zip(panels, all_outcomes, shown, strict=True):
        _draw_panel(axes, outcomes, row)
    panels[0].set_ylabel("shots")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    headline = f"Counts against prediction ({source})" if source else "Counts against prediction"
    figure.suptitle(headline, fontsize=12, fontweight="bold", color=INK)
    return figure


def _draw_panel(axes: Axes, outcomes: Outcomes, row: Sequence[Bar]) -> None:
    x = np.arange(len(row))
    width = 0.27
    counts = np.array([bar.count for bar in row])
    errors = [math.sqrt(c * (1 - c / outcomes.shots)) for c in counts]
    ideal = [bar.ideal * outcomes.shots for bar in row]
    expected = [bar.expected * outcomes.shots for bar in row]
    axes.bar(x - width, ideal, width, color="white", edgecolor=GREY, hatch="///", linewidth=0.8, label="ideal")
    axes.bar(x, expected, width, color=ORANGE, label="expected from the calibration")
    axes.bar(x + width, counts, width, color=BLUE, yerr=errors, capsize=2.5, ecolor=INK, label="measured, ±1σ")
    slanted = len(row) > 5
    labels = [bar.label for bar in row]
    axes.set_xticks(x, labels, rotation=50 if slanted else 0, ha="right" if slanted else "center", family="monospace")
    axes.set_title(f"{outcomes.title}, {outcomes.shots} shots", fontsize=11, color=INK)
    axes.set_ylim(0, 1.12 * max(*counts, *ideal, *expected))
    plain_frame(axes)
    axes.grid(visible=False, axis="x")


def _weight(outcomes: Outcomes, key: str) -> float:
    measured = outcomes.counts.get(key, 0) / max(outcomes.shots, 1)
    return max(measured, outcomes.ideal.get(key, 0.0), outcomes.expected.get(key, 0.0))


def _bar(outcomes: Outcomes, label: str, keys: Sequence[str]) -> Bar:
    return Bar(
        label=label,
        count=sum(outcomes.counts.get(key, 0) for key in keys),
        ideal=sum(outcomes.ideal.get(key, 0.0) for key in keys),
        expected=sum(outcomes.expected.get(key, 0.0) for key in keys),
    )
