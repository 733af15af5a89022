"""Folders on a disk in memory, where there is one: for tests that sync thousands of times, but not for its sake."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

IN_MEMORY = Path("/dev/shm")


@contextmanager
def memory_folder() -> Generator[Path]:
    """Give a folder that goes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="qubitd-test-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
