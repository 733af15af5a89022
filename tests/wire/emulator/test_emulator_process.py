"""`python -m qubitd.emulator` as a process: its one line, its addresses, its end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.processes import running_process


def start(*arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return running_process([sys.executable, "-m", "qubitd.emulator", *arguments], stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def process() -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """A running emulator of the demo rack, its address and its control port."""
    with start("--seed", "3") as emulator:
        assert emulator.stdout is not None
        words = emulator.stdout.readline().split()
        assert words[:3] == ["emulator", "ready", "on"]
        assert words[4] == "control"
        yield emulator, words[3], int(words[5])
        emulator.send_signal(signal.SIGTERM)
        assert emulator.wait(10) == 0
        assert emulator.stdout.read() == ""
        assert emulator.stderr is not None
        assert emulator.stderr.read() == ""


def test_every_module_of_the_demo_rack_listens(process: tuple[subprocess.Popen[str], str, int]) -> None:
    _, address, control = process
    for port in (5025, *range(25_001, 25_007), control):
        socket.create_connection((address, port), timeout=5).close()


def test_a_second_emulator_cannot_have_the_same_address(process: tuple[subprocess.Popen[str], str, int]) -> None:
    _, address, _ = process
    with start("--address", address) as second:
        output, errors = second.communicate(timeout=30)
    assert second.returncode == 1
    assert output == ""
    assert errors.startswith("emulator: no address has the ports 5025, 25001")
    assert errors.count("\n") == 1


def test_a_second_emulator_finds_an_address_of_its_own(process: tuple[subprocess.Popen[str], str, int]) -> None:
    _, address, _ = process
    with start("--real-time") as second:
        assert second.stdout is not None
        other = second.stdout.readline().split()[3]
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=10)
    assert other != address
    assert second.returncode == 0


def test_a_cabling_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with start("--cabling", str(tmp_path / "none.toml")) as refused:
        output, errors = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert output == ""
    assert "none.toml" in errors
    assert "Traceback" not in errors
