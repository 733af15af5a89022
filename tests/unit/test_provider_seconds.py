"""Seconds are taken in any real type, wherever they are given; what is no time is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from qubitd.provider import session
from qubitd.provider.deadline import Deadline, seconds_of
from qubitd.provider.errors import ProviderError

HUGE = 10**400
"""More than a floating-point number holds."""


@pytest.mark.parametrize("value", [60, 60.0, np.int64(60), np.float32(60)])
def test_seconds_of_any_real_type_are_taken(value: Any) -> None:
    assert seconds_of(value) == Deadline(value).timeout == session._seconds(value) == session._max_seconds(value) == 60


@pytest.mark.parametrize("value", [HUGE, float("inf")], ids=["huge", "inf"])
def test_what_is_more_than_a_number_can_say_is_for_ever(value: Any) -> None:
    assert seconds_of(value) == Deadline(value).timeout == session._max_seconds("9" * 400) == float("inf")
    assert (Deadline(value).left() or 0) > 86_400


@pytest.mark.parametrize(
    "value", [-1, pytest.param(-HUGE, id="huge"), float("nan"), np.float64("nan"), True, np.True_, Decimal(1), [1]]
)
def test_what_is_no_time_is_refused(value: Any) -> None:
    assert seconds_of(value) is None
    with pytest.raises(ProviderError, match="give seconds"):
        Deadline(value)
    with pytest.raises(ProviderError, match="give seconds"):
        session._seconds(value)
