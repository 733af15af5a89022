"""Colours that every kind of colour vision tells apart (Okabe and Ito, 2008), and the look that all pictures share."""

from __future__ import annotations

from matplotlib.axes import Axes

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
RED = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
INK = "#333333"
GREY = "#999999"
PALE = "#E5E5E5"


def plain_frame(axes: Axes) -> None:
    """Leave the axis lines that carry numbers, and a grid behind the data."""
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
