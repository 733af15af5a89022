"""What a user sees of a daemon that commits, restarts or dies while they wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from qiskit import QuantumCircuit
from qiskit.providers import JobError, JobStatus

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.client import LostError
from qubitd.core.snapshot import Parameter
from qubitd.provider import QubitdBackend, QubitdJob, QubitdProvider


def busy_circuits() -> list[QuantumCircuit]:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    return [circuit] * 50


def port_of(daemon: DaemonProcess) -> int:
    return int(daemon.address.rpartition(":")[2])


def running_job(backend: QubitdBackend) -> QubitdJob:
    """A job that runs, and will for a while."""
    job = backend.run(busy_circuits(), shots=100_000)
    assert JobStatus.RUNNING in iter(job.statuses())
    return job


def test_a_committed_revision_is_a_new_target_without_asking(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address) as provider:
        backend = provider.get_backend("line5")
        pushed = threading.Event()
        take_in = backend.update

        def update(info) -> None:  # type: ignore[no-untyped-def]  # as the method that it stands before
            take_in(info)
            if info.revision == 2:
                pushed.set()

        monkeypatch.setattr(backend, "update", update)
        before = backend.target
        changed = Parameter(name="q0.sx.duration", value=44e-9, unit="s", stderr=0.0, source="test")
        revision = provider.client.commit("line5", base_revision=1, parameters=[changed], message="longer")
        assert revision.revision == 2
        assert pushed.wait(60)
        assert (backend.revision, backend.target["sx"][0,].duration) == (2, 44e-9)
        assert before["sx"][0,].duration == 40e-9
        circuit = QuantumCircuit(1, 1)
        circuit.sx(0)
        circuit.measure(0, 0)
        assert backend.run(circuit, shots=10).result().revision == 2


def test_a_backend_that_nobody_holds_is_followed_by_no_thread(own_data: Path) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address) as provider:
        before = set(threading.enumerate())
        backend = provider.get_backend("line5")
        assert backend.target.num_qubits == 5
        (follower,) = [t for t in set(threading.enumerate()) - before if t.name == "qubitd-backend-line5"]
        del backend
        follower.join(60)
        assert not follower.is_alive()


def test_a_wait_bears_a_daemon_that_is_killed_and_comes_back(own_data: Path) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address, patience=60) as provider:
        job = running_job(provider.get_backend("line5"))
        daemon.kill()
        with start_daemon(data_dir=own_data, port=port_of(daemon)):
            with pytest.raises(JobError, match="interrupted"):
                job.result(timeout=60)
            assert job.status() is JobStatus.ERROR


def test_a_job_that_was_told_to_goes_on_when_the_daemon_comes_back(own_data: Path) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address, patience=60) as provider:
        backend = provider.get_backend("line5")
        job = backend.run(busy_circuits(), shots=100_000, rerun_on_interrupt=True)
        assert next(job.stream()).progress is not None
        daemon.kill()
        with start_daemon(data_dir=own_data, port=port_of(daemon)):
            result = job.result(timeout=100)
        assert [each.shots for each in result.results] == [100_000] * 50


def test_a_job_that_has_ended_is_not_read_for_longer_than_was_said(own_data: Path) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address, patience=600) as provider:
        backend = provider.get_backend("line5")
        job = backend.run(busy_circuits(), shots=10_000)  # gives more than comes with the news of its end
        job.wait_for_final_state(60)
        found = provider.job(job.job_id())
        daemon.kill()
        streamed: Callable[..., object] = lambda timeout: list(job.stream(timeout))  # noqa: E731  # typed
        waits: list[Callable[..., object]] = [job.result, job.packed_bits, streamed]
        waits += [found.result, found.wait_for_final_state, found.logs]
        for wait in waits:
            for timeout in (0, 0.2):
                began = time.monotonic()
                with pytest.raises(TimeoutError, match=f"within {timeout:g} s: .* {daemon.address} went away"):
                    wait(timeout=timeout)
                assert time.monotonic() - began < 60
        assert job.status() is JobStatus.DONE


def test_a_daemon_that_stays_away_ends_the_wait_with_address_and_time(own_data: Path) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address, patience=0.2) as provider:
        job = running_job(provider.get_backend("line5"))
        daemon.kill()
        with pytest.raises(JobError, match=f"{daemon.address} went away .* has not come back for 0.2 s") as caught:
            job.result()
        assert job.job_id() in str(caught.value)
        assert isinstance(caught.value.__cause__, LostError)
