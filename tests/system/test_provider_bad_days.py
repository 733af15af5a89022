"""What a user is told when the network is cut, the token is revoked or the results are gone: nothing hangs."""

from __future__ import annotations

from pathlib import Path

import pytest
from qiskit import QuantumCircuit
from qiskit.providers import JobError, JobStatus
from tests.system.relay import Relay

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.client import DeniedError, LostError
from qubitd.provider import QubitdProvider
from qubitd.server.access import DIRECTORY
from qubitd.server.auth.accounts import Account, Accounts, new_token, token_digest, write_accounts
from qubitd.server.auth.identity import Role


@pytest.fixture
def flip() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


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
        job = far.get_backend().run([flip] * 20, shots=50_000)
        assert JobStatus.RUNNING in iter(job.statuses())
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
    with Relay(daemon.address) as relay, QubitdProvider(relay.address, patience=0.2) as far:
        job = far.get_backend().run([flip] * 20, shots=50_000)
        assert JobStatus.RUNNING in iter(job.statuses())
        relay.cut()
        with pytest.raises(JobError, match=f"{relay.address} went away .* has not come back for 0.2 s") as caught:
            job.result()
        assert isinstance(caught.value.__cause__, LostError)
        with QubitdProvider(daemon.address) as near:
            near.job(job.job_id()).cancel()


def test_a_token_that_is_revoked_while_a_job_runs_ends_the_wait(own_data: Path, flip: QuantumCircuit) -> None:
    token = new_token()
    account = Account(name="ann", project="ann", role=Role.USER.name.lower(), token_sha256=token_digest(token))
    write_accounts(own_data / DIRECTORY, Accounts().with_account(account))
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address, token) as provider:
        backend = provider.get_backend()
        job = backend.run([flip] * 20, shots=50_000)
        assert JobStatus.RUNNING in iter(job.statuses())
        write_accounts(own_data / DIRECTORY, Accounts())
        with pytest.raises(JobError, match="the token is unknown, expired or revoked") as caught:
            job.result(timeout=60)
        assert isinstance(caught.value.__cause__, DeniedError)
        with pytest.raises(DeniedError, match="the token is unknown, expired or revoked"):
            provider.jobs()


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
