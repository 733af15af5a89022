"""However many jobs a user waits for at once, one stream feeds them: a project may hold only so many."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from qiskit import QuantumCircuit
from qiskit.providers import JobStatus

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.client import NotFoundError, QubitdClient
from qubitd.provider import QubitdJob, QubitdProvider, QubitdSession
from qubitd.provider.errors import JobFailedError
from qubitd.server.auth.accounts import Account, Accounts, new_token, token_digest, write_accounts
from qubitd.server.auth.identity import Role
from qubitd.server.front.access import DIRECTORY

STORY = [JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE]


def told(job: QubitdJob, reached: JobStatus, then: Callable[[], object]) -> list[JobStatus]:
    """Wait for a job's end, and give the states that were told; as soon as one of them is reached, do something."""
    statuses: list[JobStatus] = []
    for status in job.statuses(timeout=60):
        statuses.append(status)
        if status is reached:
            then()
    return statuses


def shots_of(job: QubitdJob) -> int:
    return sum(job.result(timeout=120).get_counts().values())


def test_a_hundred_jobs_are_waited_for_at_once_though_a_project_may_hold_64_streams(
    own_data: Path, flip: QuantumCircuit
) -> None:
    token = new_token()
    account = Account(name="ann", project="ann", role=Role.USER.name.lower(), token_sha256=token_digest(token))
    write_accounts(own_data / DIRECTORY, Accounts().with_account(account))
    with (
        start_daemon(data_dir=own_data) as daemon,
        QubitdProvider(daemon.address, token) as provider,
        ThreadPoolExecutor(100) as threads,
    ):
        backend = provider.get_backend()
        jobs = list(threads.map(lambda shots: backend.run(flip, shots=shots), range(1, 101)))
        assert list(threads.map(shots_of, jobs)) == list(range(1, 101))
        for job in jobs:
            assert list(job.statuses(timeout=0)) == STORY


def test_two_who_wait_for_one_job_hear_all_of_it(daemon: DaemonProcess, flip: QuantumCircuit) -> None:
    """A session keeps the rack until both wait."""
    both = threading.Barrier(3)
    with QubitdProvider(daemon.address) as provider, ThreadPoolExecutor(2) as threads:
        with QubitdSession(provider.get_backend()) as session:
            session.run(flip, shots=1).result(timeout=60)
            job = provider.get_backend().run(flip, shots=20)
            same = (job, provider.job(job.job_id()))
            waits = [threads.submit(told, one, JobStatus.QUEUED, lambda: both.wait(60)) for one in same]
            both.wait(60)
        assert [wait.result() for wait in waits] == [STORY, STORY]


def test_a_job_that_was_deleted_does_not_end_the_wait_for_others(daemon: DaemonProcess, flip: QuantumCircuit) -> None:
    with QubitdProvider(daemon.address) as provider, QubitdClient(daemon.address) as client:
        backend = provider.get_backend()
        gone = backend.run(flip, shots=1)
        shots_of(gone)
        forgotten = provider.job(gone.job_id())
        client.delete(gone.job_id())
        waited = backend.run([flip] * 5, shots=20_000)
        with ThreadPoolExecutor(1) as threads:
            result = threads.submit(waited.result, 60)
            with pytest.raises(JobFailedError, match=f"job {gone.job_id()} cannot be followed") as caught:
                forgotten.wait_for_final_state(timeout=60)
            assert isinstance(caught.value.__cause__, NotFoundError)
            assert result.result().success


def test_whoever_waits_is_told_when_the_provider_is_closed(daemon: DaemonProcess, flip: QuantumCircuit) -> None:
    """A session of somebody else keeps the rack meanwhile."""
    waits = threading.Event()
    with (
        ThreadPoolExecutor(1) as threads,
        QubitdProvider(daemon.address) as other,
        QubitdSession(other.get_backend()) as session,
    ):
        session.run(flip, shots=1).result(timeout=60)
        with QubitdProvider(daemon.address) as provider:
            job = provider.get_backend().run(flip, shots=1)
            wait = threads.submit(told, job, JobStatus.QUEUED, waits.set)
            assert waits.wait(60)
        with pytest.raises(JobFailedError, match="was closed"):
            wait.result(timeout=60)
        with pytest.raises(JobFailedError, match="was closed"):
            job.wait_for_final_state(timeout=60)
        other.job(job.job_id()).cancel()
