"""Long calculations ask now and then whether somebody still waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

GoOn: TypeAlias = Callable[[], None]
"""Called every few ms of a calculation; raises what ends it if nobody waits for it any more."""

MOST_SECONDS = 90.0
"""That shots which have to be played one by one may take: less than those who wait for a run in virtual time allow."""


def nothing() -> None:
    """Do nothing; for what is always waited for."""
