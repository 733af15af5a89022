"""What registers of a nest of loops can count, decided in exact integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubitd.drivers.cluster.registers import TURN, gain_registers
from qubitd.drivers.cluster.series import nest_of, solve

ENDS = st.floats(-1, 1)


@given(first=ENDS, last=ENDS, points=st.integers(2, 400))
def test_a_rounded_line_is_counted_exactly(first: float, last: float, points: int) -> None:
    values = np.floor(np.linspace(first, last, points) * 32768 + 0.5).astype(np.int64)
    series = solve(values, (points,), 0)
    assert series is not None
    np.testing.assert_array_equal(series.values((points,)), values)


@given(rate=st.integers(-(10**12), 10**12), parts=st.integers(1, 64), points=st.integers(2, 400))
def test_phases_are_counted_past_full_turns(rate: int, parts: int, points: int) -> None:
    values = rate * np.arange(points) // parts % TURN
    series = solve(values, (points,), TURN)
    assert series is not None
    np.testing.assert_array_equal(series.values((points,)), values)


@given(outer=st.integers(2, 9), inner=st.integers(2, 9), strides=st.tuples(st.integers(2, 99), st.integers(-99, -2)))
def test_two_axes_are_two_loops(outer: int, inner: int, strides: tuple[int, int]) -> None:
    values = (np.arange(outer)[:, None] * strides[0] * 100 + np.arange(inner) * strides[1]).ravel()
    turns = nest_of(values[:, None], np.zeros(1, dtype=np.int64))
    assert turns == ((outer, inner) if inner > 2 else turns)
    series = solve(values.reshape(outer, inner), (outer, inner), 0)
    assert series is not None
    assert (series.start, series.strides, series.fraction) == (0, (strides[0] * 100, strides[1]), None)


@pytest.mark.parametrize("values", [[0, 1, 4, 9], [0, 5, 1, 6, 2], [0, 0, 0, 1, 0]])
def test_what_is_no_line_is_not_counted(values: list[int]) -> None:
    assert solve(np.array(values), (len(values),), 0) is None


def test_a_line_through_halves_is_counted_too() -> None:
    values = gain_registers(np.arange(21) / 2 / 32768)
    assert solve(values, (21,), 0) is not None
