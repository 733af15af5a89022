"""How a process that goes on for ever is told to end: SIGTERM, Ctrl-C, or the end of whoever started it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading

END_SECONDS = 29.0
"""Seconds in which a process that was told to end is gone, whoever does not answer it."""
_ABORTED = 1
_log = logging.getLogger(__name__)


def stop_when_told(*, stop_at_eof: bool) -> asyncio.Event:
    """Give an event of the running loop that is set by the first SIGTERM or SIGINT.

    The second ends us at once, and so does the time, `END_SECONDS` after the event was set.

    Args:
        stop_at_eof: whether the end of stdin sets it, too.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if stop.is_set():
            os._exit(_ABORTED)
        stop.set()
        _end_in_time()

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
            _end_in_time()

    loop.add_reader(descriptor, look)


def _end_in_time() -> None:
    """Be gone in time, even if the loop or a thread hangs: what is durable stays so, as after any death."""
    timer = threading.Timer(END_SECONDS, _give_up)
    timer.daemon = True
    timer.start()


def _give_up() -> None:
    _log.critical("something does not let go; ending without it: look whether the outputs are off")
    os._exit(_ABORTED)
