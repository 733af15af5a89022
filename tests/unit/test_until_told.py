"""A process that was told to end is gone in time, even if nobody reads what it writes."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

UNREAD = """
import asyncio, os, sys
from qubitd.cli import until_told

until_told.END_SECONDS = 0.2


async def main():
    until_told.stop_when_told(stop_at_eof=True)
    os.set_blocking(2, False)
    try:
        while True:
            os.write(2, bytes(4096))
    except BlockingIOError:
        os.set_blocking(2, True)
    print("ready", flush=True)
    if sys.argv[1] == "holds up the loop":
        os.write(2, bytes(4096))
    await asyncio.Event().wait()


asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("what", "told"),
    [("holds up the loop", "SIGTERM"), ("is for its last words", "SIGTERM"), ("is for its last words", "EOF")],
)
def test_a_process_ends_in_time_though_its_stderr_is_full(what: str, told: str) -> None:
    command = [sys.executable, "-c", UNREAD, what]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            if told == "EOF":
                process.stdin.close()
            else:
                process.terminate()
            assert process.wait(20) == -signal.SIGALRM
        finally:
            process.kill()
