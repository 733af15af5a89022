"""When a run is looked at: often at first and when it should end, ever more seldom in between and after that."""

from __future__ import annotations

import pytest

from qubitd.drivers.cluster.driver import FIRST_PAUSE, LONGEST_PAUSE, _next_look

STARTED, DUE = 100.0, 101.0


@pytest.mark.parametrize(
    ("looked", "pause"),
    [
        (STARTED, FIRST_PAUSE),
        (STARTED + 0.01, 0.005),
        (STARTED + 0.5, LONGEST_PAUSE),
        (DUE - 0.001, 0.001),
        (DUE, FIRST_PAUSE),
        (DUE + 0.01, 0.005),
        (DUE + 0.5, LONGEST_PAUSE),
    ],
)
def test_the_next_look_is_not_past_the_end_and_the_pause_grows_with_the_time_since(looked: float, pause: float) -> None:
    assert _next_look(looked, STARTED, DUE) - looked == pytest.approx(pause)


def test_what_takes_until_the_end_of_a_run_is_followed_by_a_look_at_once() -> None:
    """However long that lasted: it counts as a part of the pause."""
    assert _next_look(DUE - 0.01, STARTED, DUE) <= DUE


@pytest.mark.parametrize("looked", [STARTED, STARTED + 0.3, DUE - 1e-6, DUE, DUE + 0.001, DUE + 100.0])
def test_between_two_looks_is_a_tenth_of_the_200_ms_in_which_a_run_that_is_given_up_ends(looked: float) -> None:
    assert LONGEST_PAUSE <= 0.02
    assert _next_look(looked, STARTED, DUE) - looked <= LONGEST_PAUSE + 1e-9
