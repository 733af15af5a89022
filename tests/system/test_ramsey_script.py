"""The Ramsey script on a rack whose oscillator is off: the error is seen with its sign, and driven away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qubitd.cli.daemon_process import start_daemon
from qubitd.client import QubitdClient

ROOT = Path(__file__).parents[2]
ERROR = 1e6
"""Hz by which the oscillator of q0 is too high."""


def write_rack(folder: Path) -> Path:
    """A rack file, and beside it the cabling that it names."""
    cabling = (ROOT / "drivers/qubitd/emulator/cablings/line5.toml").read_text(encoding="utf-8")
    line = 'to = "q0.drive"\n'
    assert line in cabling
    (folder / "off.toml").write_text(cabling.replace(line, f"{line}lo_error = {ERROR}\n"), encoding="utf-8")
    rack = (ROOT / "drivers/qubitd/drivers/racks/cluster.toml").read_text(encoding="utf-8")
    path = folder / "rack.toml"
    path.write_text(rack.replace('cabling = "line5"', 'cabling = "off.toml"'), encoding="utf-8")
    return path


def script(*options: str) -> str:
    command = [sys.executable, "-W", "error", str(ROOT / "examples/calibrate_ramsey.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_an_oscillator_that_is_off_shows_with_its_sign_and_is_made_up_for(tmp_path: Path) -> None:
    with start_daemon(data_dir=tmp_path / "data", rack=write_rack(tmp_path)) as daemon:
        said = [script("--server", daemon.address, "--seed", seed, "--output", str(tmp_path / "out")) for seed in "12"]
        with QubitdClient(daemon.address) as client:
            (latest, *_) = client.history("line5", "q0.frequency")
    assert "written" in said[0]
    assert "confirmed, the old value stays" in said[1]
    assert latest.parameter.value == pytest.approx(6.05e9 - ERROR, abs=5e3)
