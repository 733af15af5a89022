"""One daemon on an emulated rack for all system tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qubitd.cli.daemon_process import DaemonProcess, start_daemon


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that serves line5 with its first values. Commit nothing to it, and do not stop it."""
    with start_daemon(data_dir=tmp_path_factory.mktemp("daemon") / "data") as process:
        yield process


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """A data directory for a daemon of one test."""
    return tmp_path / "own-data"
