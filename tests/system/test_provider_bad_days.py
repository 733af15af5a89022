"""What a user is told when the network is cut, the token is revoked or the results are gone: nothing hangs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from qiskit import QuantumCircuit
from qiskit.providers import JobError, JobStatus
from tests.system.relay import Relay

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.client import DeniedError, LostError, link
from qubitd.provider import QubitdProvider, QubitdSession
from qubitd.server.auth.accounts import Account, Accounts, new_token, token_digest, write_accounts
from qubitd.server.auth.identity import Role
from qubitd.server.front.access import DIRECTORY


@contextmanager
def held(provider: QubitdProvider, flip: QuantumCircuit) -> Generator[None]:
    """Keep the rack for a session, so that a job outside it waits for as long as a test wants."""
    with QubitdSession(provider.get_backend()) as session:
        session.run(flip, shots=1).result(timeout=60)
        yield


def read_again_and_again(provider: QubitdProvider, job_id: str) -> None:
    """Read a job's results until they are gone: the daemon removes them beside its other work, soon after it starts."""
    for _ in range(10_000):
        provider.job(job_id).result(timeout=60)


def test_a_wait_bears_a_network_that_is_cut_and_mended(daemon: DaemonProcess, flip: QuantumCircuit) -> None:
    with (
        Relay(daemon.address) as relay,
        QubitdProvider(relay.address) as far,
        QubitdProvider(daemon.address) as near,
    ):
        with held(near, flip):
            job = far.get_backend().run([flip] * 20, shots=50_000)
            assert JobStatus.QUEUED in iter(job.statuses())
            relay.cut()
            assert relay.wait_for_try(60)
        assert near.job(job.job_id()).result(timeout=60).success
        relay.mend()
        result = job.result(timeout=60)
        assert [sum(counts.values()) for counts in result.get_counts()] == [50_000] * 20
        assert job.status() is JobStatus.DONE


def test_a_network_that_stays_cut_ends_the_wait_with_address_and_time(
    daemon: DaemonProcess, flip: QuantumCircuit
) -> None:
    with (
        Relay(daemon.address) as relay,
        QubitdProvider(relay.address, patience=0.2) as far,
        QubitdProvider(daemon.address) as near,
        held(near, flip),
    ):
        job = far.get_backend().run(flip, shots=10)
        assert JobStatus.QUEUED in iter(job.statuses())
        relay.cut()
        with pytest.raises(JobError, match=f"{relay.address} went away .* has not come back for 0.2 s") as caught:
            job.result()
        assert isinstance(caught.value.__cause__, LostError)
        near.job(job.job_id()).cancel()


def test_a_network_that_swallows_what_is_sent_ends_every_wait(
    daemon: DaemonProcess, flip: QuantumCircuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {"grpc.keepalive_time_ms": 500, "grpc.keepalive_timeout_ms": 500, "grpc.http2.ping_timeout_ms": 500}
    monkeypatch.setattr(link, "CHANNEL_OPTIONS", tuple((dict(link.CHANNEL_OPTIONS) | quick).items()))
    monkeypatch.setattr(link, "CALL_SECONDS", 1.0)
    with (
        Relay(daemon.address) as relay,
        QubitdProvider(relay.address, patience=1.0) as far,
        QubitdProvider(daemon.address) as near,
        held(near, flip),
    ):
        backend = far.get_backend()
        job = backend.run(flip, shots=10)
        assert JobStatus.QUEUED in iter(job.statuses())
        relay.silence()
        with pytest.raises(JobError, match=f"{relay.address} went away .* has not come back for 1 s"):
            job.result()
        with pytest.raises(LostError, match=f"{relay.address} went away during submitting to line5"):
            backend.run(flip, shots=10)
        relay.mend()
        near.job(job.job_id()).cancel()


def test_a_token_that_is_revoked_while_a_job_runs_ends_the_wait(own_data: Path, flip: QuantumCircuit) -> None:
    token = new_token()
    account = Account(name="ann", project="ann", role=Role.USER.name.lower(), token_sha256=token_digest(token))
    write_accounts(own_data / DIRECTORY, Accounts().with_account(account))
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address, token) as provider:
        backend = provider.get_backend()
        job = backend.run([flip] * 50, shots=100_000)
        assert JobStatus.RUNNING in iter(job.statuses())
        write_accounts(own_data / DIRECTORY, Accounts())
        with pytest.raises(JobError, match="the token is unknown, expired or revoked") as caught:
            job.result(timeout=60)
        assert isinstance(caught.value.__cause__, DeniedError)
        with pytest.raises(DeniedError, match="the token is unknown, expired or revoked"):
            provider.jobs()


def test_a_project_with_as_many_watches_as_it_may_have_waits_for_its_turn(
    own_data: Path, flip: QuantumCircuit, caplog: pytest.LogCaptureFixture
) -> None:
    token = new_token()
    account = Account(name="ann", project="ann", role=Role.USER.name.lower(), token_sha256=token_digest(token))
    write_accounts(own_data / DIRECTORY, Accounts().with_account(account))
    with (
        start_daemon(data_dir=own_data) as daemon,
        QubitdProvider(daemon.address, token) as other,
        QubitdProvider(daemon.address, token) as provider,
    ):
        with held(other, flip):
            job = provider.get_backend().run(flip, shots=10)
            watches = [other.client.watch(job.job_id()) for _ in range(64)]
            assert all(next(watch).sequence > 0 for watch in watches)
            with caplog.at_level("INFO", logger="qubitd.client.course"):
                while not caplog.records:
                    with pytest.raises(TimeoutError):
                        job.result(timeout=0.1)
            assert caplog.records[0].message == "the daemon has too much to send; asking again"
            for watch in watches:
                watch.cancel()
        assert job.result(timeout=60).success


def test_results_that_were_kept_long_enough_are_gone_and_the_error_says_so(
    own_data: Path, tmp_path: Path, flip: QuantumCircuit
) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address) as provider:
        job = provider.get_backend().run(flip, shots=10)
        job.result(timeout=60)
    config = tmp_path / "qubitd.toml"
    config.write_text("[retention]\nresults_days = 1e-9\n")
    with (
        start_daemon(data_dir=own_data, options=["--config", str(config)]) as daemon,
        QubitdProvider(daemon.address) as provider,
        pytest.raises(JobError, match="ended DONE; its results were kept for a while"),
    ):
        read_again_and_again(provider, job.job_id())
