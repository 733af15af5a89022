"""How long a caller is willing to wait, to the millisecond; 0 is a time, too."""

from __future__ import annotations

import math
import time

from qubitd.provider.errors import ProviderError


class Deadline:
    """A point in time, or none."""

    def __init__(self, timeout: float | None) -> None:
        if timeout is not None and (math.isnan(timeout) or timeout < 0):
            raise ProviderError(
                f"timeout is {timeout}; give seconds of 0 or more, or None to wait for as long as it takes"
            )
        self.timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Give the seconds that are left, 0 or more; None for as long as it takes."""
        return None if self._end is None else min(max(0.0, self._end - time.monotonic()), 1e6)
