"""The only place that calls the operating system's own functions. (Linux and macOS.)"""

from __future__ import annotations

import fcntl
import os
from typing import IO


def try_lock(file: IO[str]) -> bool:
    """Take a file for this process alone, until the process ends or closes it; whether it was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def step_back(niceness: int) -> None:
    """Let other processes go before this one; 0 changes nothing, 19 is the most."""
    os.nice(niceness)
