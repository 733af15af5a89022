"""The only place that calls the operating system's own functions. (Linux and macOS.)"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
from pathlib import Path
from typing import IO

_MMAP_THRESHOLD = -3
_BIG_BLOCK = 2**20


def try_lock(file: IO[str]) -> bool:
    """Take a file for this process alone, until the process ends or closes it; whether it was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def step_back(niceness: int, own_group: Path = Path("/proc/self/autogroup")) -> None:
    """Let other processes go before this one; 0 changes nothing, 19 is the most.

    It leaves its session too: where Linux shares the processor among sessions first (sched(7), autogroup), what this
    process takes would be its parent's, however it stands back.
    """
    os.nice(niceness)
    with contextlib.suppress(OSError):
        os.setsid()
        own_group.write_text(str(niceness))


def send_datagram(path: str, text: str, *, longest: float) -> None:
    """Send a line to a Unix socket. It is lost if nobody is there, or reads what came before.

    Args:
        path: of the socket; a name that begins with @ is an abstract one.
        text: the line.
        longest: seconds to wait while as many lines as it may hold are unread.
    """
    name = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.settimeout(longest)
        sender.sendto(text.encode(), name)


def return_big_blocks() -> None:
    """Have the C library give memory blocks of a megabyte back as soon as they are free, where it knows how (glibc).

    Left alone it keeps blocks of up to 32 MiB for later, in every thread: mallopt(3), M_MMAP_THRESHOLD.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _BIG_BLOCK)


def file_system_of(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Give the kind of file system that a path is on, such as `ext4`; empty where that cannot be told.

    Args:
        path: of what is there.
        mounts: as of proc(5).
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    where = path.resolve()
    kinds = {Path(fields[1].replace("\\040", " ")): fields[2] for fields in map(str.split, lines) if len(fields) > 2}
    above = (place for place in (where, *where.parents) if place in kinds)
    return next((kinds[place] for place in above), "")
