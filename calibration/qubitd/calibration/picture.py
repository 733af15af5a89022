"""One picture of one measurement: data with error bars, the fit, the residuals; drawn also when the fit was refused."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qubitd.calibration.curve import Curve
from qubitd.calibration.experiment import Analysis, Axis
from qubitd.calibration.palette import BLUE, GREY, INK, PALE, RED, plain_frame
from qubitd.calibration.quantity import prefixed, written

_DATA, _FIT, _REFUSED = BLUE, RED, GREY


def draw_analysis(analysis: Analysis, *, subtitle: str = "") -> Figure:
    """Draw a measurement and what was made of it.

    Args:
        analysis: accepted or refused.
        subtitle: where and when, such as `line5, job 3f2a, 2026-03-01 12:00 UTC`.
    """
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    scale, unit = prefixed(float(analysis.curve.x[-1]), analysis.axis.unit)
    x = analysis.curve.x / scale
    _draw_data(upper, analysis, x, scale)
    _draw_residuals(lower, analysis, x)
    lower.set_xlabel(_label(analysis.axis, unit))
    figure.suptitle(_headline(analysis), fontsize=12, fontweight="bold", color=INK)
    upper.set_title(_small_print(analysis, subtitle), fontsize=9, color=INK)
    for axes in (upper, lower):
        plain_frame(axes)
    return figure


def save_analysis(analysis: Analysis, path: Path, *, subtitle: str = "") -> None:
    """Draw a measurement into a file; its ending says which kind."""
    draw_analysis(analysis, subtitle=subtitle).savefig(path, dpi=150)


def _draw_data(axes: Axes, analysis: Analysis, x: NDArray[np.float64], scale: float) -> None:
    curve, kept = analysis.curve, analysis.fit.kept
    _draw_points(axes, x[kept], curve.only(kept), fill=_DATA, label="measured, ±1σ")
    if not kept.all():
        _draw_points(axes, x[~kept], curve.only(~kept), fill="white", label="left out (beyond 5σ)")
    fine = np.linspace(curve.x[0], curve.x[-1], 601)
    colour, label = (_FIT, "fit") if analysis.is_accepted else (_REFUSED, "fit, refused")
    axes.plot(fine / scale, analysis.fit(fine), color=colour, linewidth=1.6, label=label)
    axes.set_ylabel("excited fraction")
    axes.legend(frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=(1, 1.02), ncols=3)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.12 * (high - low))


def _draw_points(axes: Axes, x: NDArray[np.float64], curve: Curve, *, fill: str, label: str) -> None:
    axes.errorbar(
        x,
        curve.y,
        curve.sigma,
        color=_DATA,
        linestyle="none",
        marker="o",
        markersize=4,
        markerfacecolor=fill,
        elinewidth=1,
        capsize=2,
        label=label,
    )


def _draw_residuals(axes: Axes, analysis: Analysis, x: NDArray[np.float64]) -> None:
    axes.axhspan(-1, 1, color=PALE, zorder=0)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.plot(x, analysis.fit.residuals, color=_DATA, linestyle="none", marker="o", markersize=4)
    reach = max(3.5, 1.1 * float(np.max(np.abs(analysis.fit.residuals))))
    axes.set_ylim(-reach, reach)
    axes.set_ylabel("residual (σ)")


def _headline(analysis: Analysis) -> str:
    return f"{analysis.title}: {'accepted' if analysis.is_accepted else 'refused'}"


def _small_print(analysis: Analysis, subtitle: str) -> str:
    values = ", ".join(f"{e.name} = {written(e.value, e.unit, e.stderr)}" for e in analysis.estimates)
    lines = [f"{values}; χ²/dof = {analysis.fit.chi2 / analysis.fit.dof:.2f}"]
    for reason in analysis.reasons:
        lines.extend(textwrap.wrap(reason, 100))
    return "\n".join([subtitle, *lines] if subtitle else lines)


def _label(axis: Axis, unit: str) -> str:
    return f"{axis.title} ({unit})" if unit else axis.title
