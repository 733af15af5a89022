"""`qubitd demo` from the outside: what a newcomer sees, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tests.processes import running_process

from qubitd.cli.demo_rack import NothingPlayedError, start_demo_rack
from qubitd.cli.demo_tour import judge
from qubitd.cli.display import PlainDisplay
from qubitd.cli.pictures.histogram import Outcomes

STORY = ["INITIALIZING", "VALIDATING", "QUEUED", "RUNNING", "DONE"]
COMMAND = [sys.executable, "-m", "qubitd.cli", "demo"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one run of the demo left."""

    code: int
    lines: list[str]
    errors: str
    folder: Path


def started_with(environment: dict[str, str]) -> list[psutil.Process]:
    """Give the processes that were started with this TMPDIR, by whomever."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TMPDIR") == environment["TMPDIR"]:
                found.append(process)
    return found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("demo") / "pictures"
    done = subprocess.run([*COMMAND, "--output", str(folder)], capture_output=True, text=True, check=False)
    return Shown(code=done.returncode, lines=done.stdout.splitlines(), errors=done.stderr, folder=folder)


def test_demo_ends_well_and_has_nothing_to_complain_about(shown: Shown) -> None:
    assert (shown.code, shown.errors) == (0, "")


def test_every_status_is_shown_once_and_in_order(shown: Shown) -> None:
    seen = [line.split()[2] for line in shown.lines if re.match(r" +\d+ ms  [A-Z]+$", line)]
    assert seen == 3 * STORY


def test_histograms_stand_side_by_side_with_both_predictions(shown: Shown) -> None:
    (title,) = (line for line in shown.lines if line.startswith("Bell pair, 1000 shots"))
    assert title.endswith("GHZ on 5 qubits, 1000 shots")
    head = shown.lines[shown.lines.index(title) + 1]
    assert head.count("outcome  measured  expected  ideal") == 2
    verdicts = [line for line in shown.lines if "Hellinger fidelity" in line]
    assert len(verdicts) == 2
    assert all("as expected (p = " in line for line in verdicts)


def test_three_pictures_are_where_the_demo_says(shown: Shown) -> None:
    paths = [Path(line.removeprefix("picture: ")) for line in shown.lines if line.startswith("picture: ")]
    assert paths == [shown.folder / name for name in ("pulses.png", "iq.png", "histogram.png")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_an_interrupted_demo_leaves_no_process_and_no_data(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [*COMMAND, "--output", str(tmp_path)]
    with running_process(command, env=environment) as demo:
        assert demo.stdout is not None
        assert "daemon on 127.0.0.1:" in demo.stdout.readline()
        demo.send_signal(signal.SIGSTOP)  # or it could end well while its processes are counted
        assert len(started_with(environment)) >= 3
        demo.send_signal(signal.SIGINT)
        demo.send_signal(signal.SIGCONT)
        assert demo.wait(30) == 130
    assert started_with(environment) == []
    assert list(tmp_path.glob("qubitd-demo-*")) == []


def test_a_folder_that_cannot_be_made_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [*COMMAND, "--output", str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"qubitd: {tmp_path}/file cannot hold pictures (File exists); name another folder\n"


def test_counts_that_the_calibration_does_not_predict_are_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    fine = Outcomes(title="fine", counts={"0": 510, "1": 490}, ideal={"0": 1.0}, expected={"0": 0.5, "1": 0.5})
    wrong = Outcomes(title="wrong", counts={"0": 700, "1": 300}, ideal={"0": 1.0}, expected={"0": 0.5, "1": 0.5})
    assert judge([fine], PlainDisplay(), seed=1)
    assert not judge([fine, wrong], PlainDisplay(), seed=1)
    told = capsys.readouterr().out
    assert "fine: Hellinger fidelity 0.5100 to ideal, 0.9999 to expected; as expected" in told
    assert "NOT as expected (p = 5e-06, at least 0.0005)" in told


def test_a_rack_that_played_nothing_says_so_and_one_that_is_gone_too() -> None:
    with start_demo_rack() as rack:
        with socket.create_connection((rack.emulator.address, rack.emulator.control_port), timeout=10) as control:
            control.sendall(b'{"command": "clock"}\n')
            assert json.loads(control.makefile("rb").readline())["ok"]
        with pytest.raises(NothingPlayedError, match="run a job first"):
            rack.last_played()
    with pytest.raises(NothingPlayedError, match="does not answer"):
        rack.last_played()
