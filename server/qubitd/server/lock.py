"""A data directory belongs to one daemon. The kernel drops the lock when its holder dies, however it dies."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from qubitd.server.errors import DataDirError, DataDirInUseError
from qubitd.server.posix import try_lock

LOCK_FILE = "lock"
"""Name of the file in the data directory; it says who holds it."""


@contextmanager
def locked(directory: Path) -> Generator[None]:
    """Make the directory, hold it, and give it back.

    Raises:
        DataDirInUseError: another daemon holds it.
        DataDirError: it cannot be made or written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (directory / LOCK_FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise DataDirError(path=directory, cause=error.strerror or str(error)) from error
    with file:
        if not try_lock(file):
            file.seek(0)
            raise DataDirInUseError(path=directory, owner=file.read().strip() or "which has not said who it is")
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield
