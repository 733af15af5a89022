"""The only place that calls the operating system's own functions. (Linux and macOS.)"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
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


def send_datagram(path: str, text: str) -> None:
    """Send a line to a Unix socket; a name that begins with @ is an abstract one. If nobody is there, it is lost."""
    name = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.sendto(text.encode(), name)
