"""How a process that goes on for ever is told to end: SIGTERM, Ctrl-C, or the end of whoever started it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from types import FrameType

END_SECONDS = 29.0
"""Seconds in which a process that was told to end is gone, whoever does not answer it."""
_LAST_WORDS = 0.5
"""Seconds in which it says why it ends without somebody."""
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
        # Called even while the loop is held up, by a log that nobody reads, say; the loop hears of the signal, too.
        signal.signal(number, _told)
        signal.siginterrupt(number, True)
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


def _told(_number: int, _frame: FrameType | None) -> None:
    """Have the operating system end us if nothing else does: it needs neither the loop nor a thread for that."""
    if signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, END_SECONDS + _LAST_WORDS)


def _end_in_time() -> None:
    """Be gone in time, even if the loop or a thread hangs: what is durable stays so, as after any death."""
    _told(0, None)
    timer = threading.Timer(END_SECONDS, _give_up)
    timer.daemon = True
    timer.start()


def _give_up() -> None:
    _log.critical("something does not let go; ending without it: look whether the outputs are off")
    os._exit(_ABORTED)
