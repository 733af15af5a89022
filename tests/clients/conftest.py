"""Makers' own clients against our emulators, collected only where those clients are installed (see pytest.ini here)."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("qblox_instruments") else ["test_*.py"]


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The address of an emulated demo rack, as a process of its own."""
    command = [sys.executable, "-m", "qubitd.emulator", "--seed", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as emulator:
        assert emulator.stdout is not None
        ready = emulator.stdout.readline().split()
        yield ready[3]
        emulator.terminate()
