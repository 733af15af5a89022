"""Seconds become ticks without losing one, or are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qubitd.core.errors import OffGridError
from qubitd.core.ticks import NEAREST, nearest_ticks, to_seconds, to_ticks


@pytest.mark.parametrize("ticks", [0, 1, 3, 19, 20, 40, 65_535, 300_000, 210_000_000, 10**15 + 1])
def test_whole_ticks_survive_seconds_and_back(ticks: int) -> None:
    assert to_ticks(to_seconds(ticks), what="a pulse") == ticks


def test_a_float_just_below_a_tick_is_that_tick() -> None:
    assert to_ticks(19.999999999e-9, what="a pulse") == 20


@pytest.mark.parametrize("seconds", [40.5e-9, 40.002e-9, -1e-9, math.nan, math.inf, 1e10])
def test_durations_off_the_grid_are_refused_by_name(seconds: float) -> None:
    with pytest.raises(OffGridError, match=r"q0\.x\.duration") as refused:
        to_ticks(seconds, what="q0.x.duration")
    assert refused.value.what == "q0.x.duration"


def test_delays_are_rounded_to_the_nearest_tick_one_by_one_as_in_a_column() -> None:
    seconds = [0.0, 10.4e-9, 10.6e-9, 1.0000000004]
    column = nearest_ticks(np.array(seconds))
    assert column.tolist() == [0, 10, 11, 1_000_000_000]
    assert [to_ticks(s, what="delay", tolerance=NEAREST) for s in seconds] == column.tolist()
