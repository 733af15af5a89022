"""A daemon as an operator runs it: one file, a service manager that listens, numbers for Prometheus, JSON logs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import urllib.request
from pathlib import Path

from tests.followed import end_of, flip
from tests.processes import running_process

from qubitd.client import QubitdClient
from qubitd.core.job import JobStatus


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_flip(address: str) -> None:
    with QubitdClient(address) as client:
        assert end_of(client, client.submit(flip(), "line5")).status is JobStatus.DONE


def test_what_an_operator_sees_of_a_daemon(tmp_path: Path) -> None:
    metrics, log = free_port(), tmp_path / "log"
    (tmp_path / "qubitd.toml").write_text(
        f'[daemon]\nport = 0\ndata_dir = "data"\n[log]\nlevel = "debug"\nform = "json"\n[metrics]\nport = {metrics}\n'
    )
    command = [sys.executable, "-m", "qubitd.cli", "serve", "--config", str(tmp_path / "qubitd.toml")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, log.open("wb") as errors:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(30)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        with running_process(command, stderr=errors, env=environment) as daemon:
            assert daemon.stdout is not None
            said = re.fullmatch(r"serving line5 on (\S+)\n", daemon.stdout.readline())
            assert said is not None
            assert ear.recv(200).startswith(b"READY=1\nSTATUS=serving line5 on port ")
            assert ear.recv(200) == ear.recv(200) == b"WATCHDOG=1"
            run_flip(said[1])
            with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=5) as answer:
                text = answer.read().decode()
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
    for line in (
        "qubitd_queued_jobs 0.0",
        "qubitd_rack_operational 1.0",
        'qubitd_jobs_total{status="DONE"} 1.0',
        'qubitd_compiled_total{known="no"} 1.0',
        'qubitd_stage_seconds_count{activity="run"} 1.0',
        "qubitd_wait_seconds_count 1.0",
    ):
        assert f"\n{line}\n" in text
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert {record.get("instrument") for record in records if record["message"] == "rack"} == {"cluster"}
    assert any(record.get("job") for record in records)
