"""A daemon that copies its store and looks for damage all the time, while it runs jobs: nobody notices, until the copy
is needed."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

from tests.followed import end_of, flip
from tests.system.test_operation import free_port

from qubitd.cli.__main__ import main
from qubitd.cli.daemon_process import start_daemon
from qubitd.client import QubitdClient
from qubitd.core.job import JobStatus
from qubitd.server.store.backup import check_store
from qubitd.server.store.copies import Copies

OFTEN = "[upkeep]\nbackup_hours = 0.0001\nbackups_kept = 2\ncheck_days = 0.000005\n"
"""Three copies a second, and two looks for damage."""
PATIENCE = 60.0


def numbers(port: int) -> dict[str, float]:
    """What Prometheus sees."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def upkeep_of(port: int) -> dict[str, float]:
    counted = {"copied": 0.0, "whole": 0.0}
    for name, value in numbers(port).items():
        if name.startswith("qubitd_upkeep_total"):
            counted[name.split('"')[1]] = value
    return counted


def test_jobs_go_on_while_their_store_is_copied_and_a_copy_serves_their_results(tmp_path: Path) -> None:
    (tmp_path / "often.toml").write_text(OFTEN)
    metrics, data = free_port(), tmp_path / "data"
    options = ["--config", str(tmp_path / "often.toml"), "--metrics-port", str(metrics)]
    with start_daemon(data_dir=data, options=options) as daemon, QubitdClient(daemon.address) as client:
        job_id = client.submit(flip(9000), "line5")
        assert end_of(client, job_id).status is JobStatus.DONE
        bits = [piece.bits.tobytes() for piece in client.results(job_id) if piece.bits is not None]
        until, seen = time.monotonic() + PATIENCE, upkeep_of(metrics)
        enough = {name: value + 2 for name, value in seen.items()}
        while any(upkeep_of(metrics)[name] < value for name, value in enough.items()):
            assert time.monotonic() < until, upkeep_of(metrics)
            assert end_of(client, client.submit(flip(), "line5")).status is JobStatus.DONE
        assert numbers(metrics)["qubitd_store_in_trouble"] == 0.0
        assert client.lab.health().reason == ""
        daemon.kill()
    copies = Copies(data)
    assert 1 <= len(copies.names()) <= 3
    copy = copies.folder / copies.names()[-1]
    assert check_store(copy).problems == ()
    assert main(["store", "check", "--data-dir", str(data)]) == 0
    with start_daemon(data_dir=copy) as daemon, QubitdClient(daemon.address) as client:
        assert [piece.bits.tobytes() for piece in client.results(job_id) if piece.bits is not None] == bits
