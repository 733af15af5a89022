"""What the instruments really played during one shot, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from qubitd.calibration.palette import BLUE, GREEN, INK, ORANGE, PALE, PURPLE

_MARGIN = 0.04
"""Blank time before and after, as a fraction of the shot."""
_IF: Literal["dotted"] = "dotted"
"""Line of a pulse that may not be played."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlayedPulse:
    """One pulse as it left a connector, without its carrier."""

    start: int
    """ns from the first pulse."""
    samples: NDArray[np.complex128]
    """I + 1j Q, 1 ns apart, fraction of the output's full scale."""
    phase: float | None
    """Of its carrier against the line's first pulse, degrees in (-180, 180]; None where none is shown."""
    conditional: bool = False
    """Whether outcomes decide if it is played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One integration at the digitiser."""

    start: int
    """ns from the first pulse."""
    length: int
    """ns."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlayedLine:
    """All that one line carried."""

    name: str
    """Such as `q0.drive`."""
    port: str
    """Connector, such as `slot1.out0`."""
    frequency: float
    """Carrier, Hz; 0 on a flux line."""
    pulses: tuple[PlayedPulse, ...]
    windows: tuple[Window, ...]

    @property
    def is_idle(self) -> bool:
        """Whether nothing was played."""
        return not self.pulses


def draw_pulses(lines: Sequence[PlayedLine], *, title: str) -> Figure:
    """Draw a row for each line that carried anything; the idle ones are named below.

    Raises:
        ValueError: nothing was played on any line.
    """
    busy = [line for line in lines if not line.is_idle]
    if not busy:
        raise ValueError("no line carried a pulse: there is nothing to draw")
    figure = Figure(figsize=(11, 1.6 + 1.0 * len(busy)), layout="constrained")
    rows = figure.subplots(len(busy), 1, sharex=True, squeeze=False)[:, 0]
    for axes, line in zip(rows, busy, strict=True):
        _draw_line(axes, line)
    first, last = _extent(busy)
    rows[-1].set_xlim(first - _MARGIN * (last - first), last + _MARGIN * (last - first))
    figure.align_ylabels(rows)
    rows[-1].set_xlabel(_bottom_line(lines))
    rows[-1].spines["bottom"].set_visible(True)
    rows[-1].tick_params(axis="x", length=4)
    figure.suptitle(title, fontsize=13, fontweight="bold", color=INK)
    figure.supylabel("amplitude (fraction of full scale)", fontsize=9, color=INK)
    figure.legend(handles=_legend(busy), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def _draw_line(axes: Axes, line: PlayedLine) -> None:
    axes.axhline(0, color=INK, linewidth=0.6)
    for window in line.windows:
        axes.axvspan(window.start, window.start + window.length, color=PALE, zorder=0)
    for pulse in line.pulses:
        _draw_pulse(axes, line, pulse)
    _scale_to_pulses(axes, line.pulses)
    axes.set_ylabel(_label(line), rotation=0, ha="right", va="center", fontsize=9, color=INK)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)


def _scale_to_pulses(axes: Axes, pulses: Sequence[PlayedPulse]) -> None:
    values = np.concatenate([part for pulse in pulses for part in (pulse.samples.real, pulse.samples.imag)])
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    room = high - low
    axes.set_ylim(low - 0.15 * room, high + 0.35 * room)
    ticks = [tick for tick in (low, 0.0, high) if tick == 0 or abs(tick) > 0.3 * room]
    axes.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks], fontsize=8)


def _draw_pulse(axes: Axes, line: PlayedLine, pulse: PlayedPulse) -> None:
    time = pulse.start + np.arange(len(pulse.samples) + 1)
    colour = _colour(line)
    if not pulse.conditional:
        axes.stairs(pulse.samples.real, time, color=colour, fill=True, alpha=0.25)
    style = _IF if pulse.conditional else "solid"
    axes.stairs(pulse.samples.real, time, color=colour, linewidth=1.4, linestyle=style)
    if np.any(pulse.samples.imag):
        axes.stairs(pulse.samples.imag, time, color=ORANGE, linewidth=1.2)
    if pulse.phase is not None:
        top = max(float(pulse.samples.real.max()), 0.0)
        axes.annotate(
            f"{pulse.phase:.0f}°",
            (pulse.start + len(pulse.samples) / 2, top),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
            color=INK,
        )


def _colour(line: PlayedLine) -> str:
    if line.name.endswith(".drive"):
        return BLUE
    return GREEN if line.name.endswith(".flux") else PURPLE


def _label(line: PlayedLine) -> str:
    carrier = f"{line.frequency / 1e9:.4g} GHz" if line.frequency else "baseband"
    return f"{line.name}\n{line.port}\n{carrier}"


def _bottom_line(lines: Sequence[PlayedLine]) -> str:
    time = "time from the first pulse (ns); phases against the first pulse of each line"
    idle = ", ".join(line.name for line in lines if line.is_idle)
    return f"{time}\nidle: {idle}" if idle else time


def _extent(lines: Sequence[PlayedLine]) -> tuple[int, int]:
    pulses = [(p.start, p.start + len(p.samples)) for line in lines for p in line.pulses]
    windows = [(w.start, w.start + w.length) for line in lines for w in line.windows]
    ends = pulses + windows
    return min(start for start, _ in ends), max(end for _, end in ends)


def _legend(lines: Sequence[PlayedLine]) -> list[Line2D | Patch]:
    """Explain what is there and nothing else."""
    labels = {BLUE: "drive, I", GREEN: "flux", PURPLE: "readout, I"}
    present = {_colour(line) for line in lines}
    handles: list[Line2D | Patch] = [Line2D([], [], color=c, label=labels[c]) for c in labels if c in present]
    if any(np.any(pulse.samples.imag) for line in lines for pulse in line.pulses):
        handles.append(Line2D([], [], color=ORANGE, label="Q"))
    if any(pulse.conditional for line in lines for pulse in line.pulses):
        handles.append(Line2D([], [], color=INK, linestyle=_IF, label="if outcomes say so"))
    if any(line.windows for line in lines):
        handles.append(Patch(color=PALE, label="integration window"))
    return handles
