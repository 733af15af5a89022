"""How long a caller is willing to wait, to the millisecond; 0 is a time, too."""

from __future__ import annotations

import math
import time
from numbers import Real

from qubitd.provider.errors import ProviderError


class Deadline:
    """A point in time, or none."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = None if timeout is None else _timeout(timeout)
        self._end = None if self.timeout is None else time.monotonic() + self.timeout

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.left() == 0

    def left(self) -> float | None:
        """Give the seconds that are left, 0 or more; None for as long as it takes."""
        return None if self._end is None else min(max(0.0, self._end - time.monotonic()), 1e6)


def seconds_of(value: object) -> float | None:
    """Read a number of seconds of any real type, such as NumPy's; None if it is none, is negative, or not a number."""
    if isinstance(value, bool) or not isinstance(value, Real) or value < 0:
        return None
    try:
        seconds = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf
    return seconds if seconds >= 0 else None  # NaN is not


def _timeout(timeout: object) -> float:
    if (seconds := seconds_of(timeout)) is None:
        raise ProviderError(
            f"timeout is {timeout!r}; give seconds of 0 or more, or None to wait for as long as it takes"
        )
    return seconds
