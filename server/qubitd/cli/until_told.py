"""How a process that goes on for ever is told to end: SIGTERM, Ctrl-C, or the end of whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

_ABORTED = 1


def stop_when_told(*, stop_at_eof: bool) -> asyncio.Event:
    """Give an event of the running loop that is set by the first SIGTERM or SIGINT; the second ends us at once.

    Args:
        stop_at_eof: whether the end of stdin sets it, too.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if stop.is_set():
            os._exit(_ABORTED)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if stop_at_eof:
        _stop_at_eof(loop, stop)
    return stop


def _stop_at_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Whoever started us holds the other end; when it is gone, however it went, so are we."""
    descriptor = sys.stdin.fileno()

    def look() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop.set()

    loop.add_reader(descriptor, look)
