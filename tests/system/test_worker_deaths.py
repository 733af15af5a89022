"""A worker dies at every named point, alone or with another to follow: what it had in hand ends once, and rightly.

About a minute.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from tests.followed import end_of
from tests.postgres_server import PostgresServer
from tests.system.kill_soak import rack_file
from tests.wire.daemon.test_workers import big

from qubitd.cli.child import Child, ChildError
from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.rack_process import start_emulator
from qubitd.client import QubitdClient
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep
from qubitd.server.failpoints import WORK_POINTS

psycopg = pytest.importorskip("psycopg")

BEFORE_WORK = ("worker.there",)
WHEN_STOPPED = ("worker.leaving",)
SOON = 1.0
MOST_JOBS = 30
SHOTS = 3
JOB = JobSpec(batch=big(), sweep=Sweep(), shots=SHOTS)


@pytest.fixture(scope="module")
def store(postgres: PostgresServer) -> str:
    return postgres.new_schema()


@pytest.fixture(scope="module")
def daemon(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("workers")
    with start_emulator(linger=120) as emulator:
        rack = rack_file(folder, emulator.address)
        with start_daemon(data_dir=folder / "data", rack=rack, options=["--store", store]) as daemon:
            yield daemon


def start_worker(store: str) -> Child:
    return Child("qubitd.cli", ["worker", "--store", store, "--stop-at-eof"], name="the worker")


def doomed_worker(point: str, store: str, monkeypatch: pytest.MonkeyPatch) -> Child:
    """Start a worker that dies at a named point."""
    with monkeypatch.context() as patch:
        patch.setenv("QUBITD_FAILPOINT", point)
        return start_worker(store)


def asked(store: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(store, autocommit=True) as connection:
        return list(connection.execute(sql).fetchall())


@pytest.mark.parametrize(
    ("point", "is_followed"), [*((point, True) for point in WORK_POINTS), ("work.begun", False), ("work.done", False)]
)
def test_whatever_the_point_of_a_workers_death_its_job_ends_once_and_rightly(
    point: str, is_followed: bool, store: str, daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = doomed_worker(point, store, monkeypatch)
    with QubitdClient(daemon.address) as client:
        job_ids = [client.submit(JOB, "line5")]
        if point in BEFORE_WORK:
            with pytest.raises(ChildError):
                worker.first_line()
        else:
            worker.first_line()
        if point in WHEN_STOPPED:
            os.kill(worker.process_id, signal.SIGTERM)
        while (code := ended(worker)) is None:
            # Until the daemon has seen the worker it gives nothing away.
            assert len(job_ids) < MOST_JOBS
            job_ids.append(client.submit(JOB, "line5"))
        assert code == -signal.SIGKILL
        follower = start_worker(store) if is_followed else None
        try:
            for job_id in job_ids:
                job = end_of(client, job_id)
                assert job.status is JobStatus.DONE
                assert sum(piece.shots for piece in client.results(job_id)) == job.num_programs * SHOTS
        finally:
            for child in filter(None, (worker, follower)):
                child.stop()
    assert {attempts for (attempts,) in asked(store, "SELECT attempt FROM job")} == {1}
    assert asked(store, "SELECT key FROM work") == []


def ended(worker: Child) -> int | None:
    """The worker's exit code, if it ends soon."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return worker.wait(SOON)
    return None
