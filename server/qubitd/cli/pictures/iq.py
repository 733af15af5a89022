"""IQ clouds of the prepared states with the discriminator, and where the shots of an experiment fell between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qubitd.calibration.palette import BLUE, GREY, INK, RED, plain_frame
from qubitd.core.discriminator import Discriminator

_BINS = 48


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QubitClouds:
    """Single shots of one qubit, as fractions of ADC full scale; each array has shape (shots,)."""

    qubit: str
    """Name of the qubit."""
    discriminator: Discriminator
    ground: NDArray[np.complex64]
    """Prepared in |0>."""
    excited: NDArray[np.complex64]
    """Prepared in |1>."""
    experiment: NDArray[np.complex64]
    """From the circuit of interest."""

    def errors(self) -> tuple[float, float]:
        """Give the fractions of prepared |0> read as 1 and of prepared |1> read as 0."""
        return float(self.discriminator(self.ground).mean()), float(1 - self.discriminator(self.excited).mean())


def draw_iq(clouds: Sequence[QubitClouds], *, experiment: str) -> Figure:
    """Draw a column per qubit: the IQ plane above, the distribution across the discriminator below.

    Args:
        clouds: one for each qubit.
        experiment: what the third set of shots is, for the legend.
    """
    figure = Figure(figsize=(2.75 * len(clouds) + 0.6, 6.4), layout="constrained")
    planes, spreads = figure.subplots(2, len(clouds), squeeze=False, height_ratios=[1.15, 1])
    for i, one in enumerate(clouds):
        _draw_plane(planes[i], one)
        _draw_spread(spreads[i], one, experiment)
    planes[0].set_ylabel("Q (% of full scale)")
    spreads[0].set_ylabel("shots per bin")
    entries = {
        label: handle
        for axes in (planes[0], spreads[0])
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    legend = figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=4, frameon=False, markerscale=4
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(0.8)
    figure.suptitle("Readout: every shot in the IQ plane", fontsize=13, fontweight="bold", color=INK)
    return figure


def _draw_plane(axes: Axes, clouds: QubitClouds) -> None:
    for points, colour, label in ((clouds.ground, BLUE, "prepared |0⟩"), (clouds.excited, RED, "prepared |1⟩")):
        axes.scatter(
            100 * points.real,
            100 * points.imag,
            s=4,
            color=colour,
            alpha=0.25,
            linewidths=0,
            label=label,
            rasterized=True,
        )
    axes.set_aspect("equal", adjustable="datalim")
    _draw_discriminator(axes, clouds.discriminator, reach=100 * _reach(clouds))
    wrong0, wrong1 = clouds.errors()
    axes.set_title(f"{clouds.qubit}\nP(1|0) = {wrong0:.1%}, P(0|1) = {wrong1:.1%}", fontsize=9.5, color=INK)
    axes.set_xlabel("I (% of full scale)")
    plain_frame(axes)


def _draw_discriminator(axes: Axes, discriminator: Discriminator, *, reach: float) -> None:
    """Draw Re(iq exp(1j rotation)) = threshold without letting it widen the axes."""
    middle, along = _centre(axes), np.exp(-1j * discriminator.rotation)
    foot = 100 * discriminator.threshold * along
    nearest = foot + 1j * along * np.real((middle - foot) * np.conj(1j * along))
    ends = nearest + 1j * along * reach * np.array([-1, 1])
    axes.plot(ends.real, ends.imag, color=INK, linestyle="--", linewidth=1.2, label="discriminator")


def _draw_spread(axes: Axes, clouds: QubitClouds, experiment: str) -> None:
    sets = [_across(clouds, points) for points in (clouds.ground, clouds.excited, clouds.experiment)]
    edges = list(np.linspace(min(map(np.min, sets)), max(map(np.max, sets)), _BINS + 1))
    axes.hist(sets[2], edges, color=GREY, alpha=0.55, label=experiment)
    axes.hist(sets[0], edges, histtype="step", color=BLUE, linewidth=1.4)
    axes.hist(sets[1], edges, histtype="step", color=RED, linewidth=1.4)
    axes.axvline(0, color=INK, linestyle="--", linewidth=1.2)
    axes.set_xlabel("distance from discriminator\n(% of full scale)")
    plain_frame(axes)


def _across(clouds: QubitClouds, points: NDArray[np.complex64]) -> NDArray[np.float64]:
    rotated = np.real(points.astype(np.complex128) * np.exp(1j * clouds.discriminator.rotation))
    return np.asarray(100 * (rotated - clouds.discriminator.threshold), dtype=np.float64)


def _reach(clouds: QubitClouds) -> float:
    both = np.concatenate([clouds.ground, clouds.excited])
    return 0.5 * float(max(np.ptp(both.real), np.ptp(both.imag)))


def _centre(axes: Axes) -> complex:
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return complex((left + right) / 2, (low + high) / 2)
