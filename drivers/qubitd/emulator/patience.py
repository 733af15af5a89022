"""Long calculations ask now and then whether somebody still waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

GoOn: TypeAlias = Callable[[], None]
"""Called every few ms of a calculation; raises what ends it if nobody waits for it any more."""


def nothing() -> None:
    """Do nothing; for what is always waited for."""
