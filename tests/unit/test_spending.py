"""Time on the rack is added up by activity and told once."""

from __future__ import annotations

import pytest

from qubitd.server.telemetry.spending import Activity, Spending
from qubitd.wire.jobs import TimeSpent


def test_times_of_one_activity_add_up_until_they_are_taken() -> None:
    spending = Spending()
    spending.add(Activity.IDLE, 0.25)
    spending.add(Activity.RUN, 1.0)
    spending.add(Activity.IDLE, 0.5)
    assert set(spending.take()) == {
        TimeSpent(activity="idle", seconds=0.75),
        TimeSpent(activity="run", seconds=1.0),
    }
    assert spending.take() == ()


def test_a_block_is_timed_if_it_ends_well() -> None:
    spending = Spending()
    with spending.timed(Activity.UPLOAD):
        pass
    with pytest.raises(KeyError), spending.timed(Activity.FETCH):
        raise KeyError
    assert [spent.activity for spent in spending.take()] == ["upload"]
