"""Processes of a test that end with it."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO


@contextmanager
def running_process(
    command: Sequence[str], *, stderr: int | IO[bytes] | None = None, env: Mapping[str, str] | None = None
) -> Generator[subprocess.Popen[str]]:
    """Run a command for as long as the block takes, and kill it if it still runs then.

    `Popen` alone would wait for it: a test that fails before it told its process to end would never come to its end.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()
