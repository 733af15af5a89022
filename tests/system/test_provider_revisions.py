"""What a user is told of calibrations that moved on or are gone, and of backends that are: nothing hangs."""

from __future__ import annotations

import threading
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.providers import JobError, JobTimeoutError

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.rack_process import start_emulator
from qubitd.client import BackendInfo, NotFoundError, UnreachableError
from qubitd.core.snapshot import Parameter
from qubitd.provider import JobFailedError, ProviderError, QubitdBackend, QubitdProvider, QubitdSession


def commit(provider: QubitdProvider, *, base: int) -> int:
    """Make a new revision, and give its number."""
    changed = Parameter(name="q0.t1", value=(40 + base) * 1e-6, unit="s", stderr=0.0, source="test")
    return provider.client.commit("line5", base_revision=base, parameters=[changed], message="m").revision


def port_of(daemon: DaemonProcess) -> int:
    return int(daemon.address.rpartition(":")[2])


def test_a_job_for_an_older_calibration_runs_or_fails_as_its_policy_says(own_data: Path, flip: QuantumCircuit) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address) as provider:
        backend = provider.get_backend()
        then = backend.revision
        assert commit(provider, base=then) == then + 1
        assert backend.run(flip, shots=1).result().revision == then + 1
        assert backend.run(flip, shots=1, revision_policy="pinned", revision=then).result().revision == then
        late = backend.run(flip, shots=1, revision_policy="exact", revision=then)
        with pytest.raises(JobError, match=r"exactly calibration revision 1, and 2 is in force now; transpile"):
            late.result(timeout=60)
        backend.refresh()
        assert backend.run(flip, shots=1, revision_policy="exact").result().revision == then + 1


def test_a_calibration_that_moves_on_while_a_job_waits_is_held_against_its_policy(
    own_data: Path, flip: QuantumCircuit
) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address) as provider:
        backend = provider.get_backend()
        with QubitdSession(backend) as session:
            session.run(flip, shots=1).result(timeout=60)
            waiting = {
                policy: backend.run(flip, shots=1, revision_policy=policy) for policy in ("latest", "pinned", "exact")
            }
            commit(provider, base=1)
        assert waiting["latest"].result(timeout=60).revision == 2
        assert waiting["pinned"].result(timeout=60).revision == 1
        with pytest.raises(JobFailedError, match="exactly calibration revision 1"):
            waiting["exact"].result(timeout=60)


@pytest.mark.parametrize("policy", ["pinned", "exact"])
def test_a_calibration_that_does_not_exist_is_refused_at_once(
    policy: str, daemon: DaemonProcess, flip: QuantumCircuit
) -> None:
    with QubitdProvider(daemon.address) as provider:
        backend = provider.get_backend()
        with pytest.raises(NotFoundError, match="there is no calibration revision 7000") as caught:
            backend.run(flip, revision_policy=policy, revision=7000)
        assert isinstance(caught.value, QiskitError)
        with pytest.raises(ProviderError, match="there is no calibration revision 7000"):
            backend.calibration(7000)


def test_a_lab_that_began_anew_knows_the_old_calibrations_no_more(
    own_data: Path, tmp_path: Path, flip: QuantumCircuit
) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address) as provider:
        commit(provider, base=1)
        backend = provider.get_backend()
        assert backend.revision == 2
        daemon.kill()
        with start_daemon(data_dir=tmp_path / "new", port=port_of(daemon)):
            with pytest.raises(ProviderError, match="there is no calibration revision 2"):
                backend.run(flip, shots=1, revision_policy="exact")
            assert backend.run(flip, shots=1).result(timeout=60).revision == 1
            backend.refresh()
            assert backend.revision == 1
            assert backend.run(flip, shots=1, revision_policy="exact").result(timeout=60).revision == 1


def test_a_backend_that_is_offered_no_longer_is_refused_by_name(own_data: Path, flip: QuantumCircuit) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address) as provider:
        backend = provider.get_backend()
        job = backend.run(flip, shots=5)
        job.result()
        daemon.kill()
        with start_daemon(device="classroom5", data_dir=own_data.with_name("other"), port=port_of(daemon)):
            for ask in (lambda: backend.run(flip), backend.refresh, backend.calibration):
                with pytest.raises(ProviderError, match="there is no backend 'line5' here; there is classroom5"):
                    ask()
            with pytest.raises(JobError, match="there is no job"):
                provider.job(job.job_id())


def test_a_session_outlives_its_backend_to_be_read(own_data: Path, flip: QuantumCircuit) -> None:
    with (
        start_daemon(data_dir=own_data) as daemon,
        QubitdProvider(daemon.address) as provider,
        QubitdSession(provider.get_backend()) as session,
    ):
        session.run(flip, shots=5).result()
    with (
        start_daemon(device="classroom5", data_dir=own_data) as daemon,
        QubitdProvider(daemon.address) as provider,
    ):
        for found in (*provider.sessions(), QubitdSession.from_id(session.session_id, service=provider)):
            assert (found.session_id, found.backend(), found.status()) == (session.session_id, "line5", "Closed")
            assert found.details()["backend_name"] == "line5"
            assert repr(found) == f"<QubitdSession({session.session_id!r}, backend='line5')>"
            with pytest.raises(ProviderError, match="is of 'line5', which the daemon no longer offers"):
                found.run(flip)
        assert len(provider.sessions()) == 1


def test_a_rack_that_does_not_answer_is_told_of_at_once_and_the_job_waits(own_data: Path, flip: QuantumCircuit) -> None:
    with start_emulator(linger=60) as rack:
        options = ["--emulator", f"{rack.address}:{rack.control_port}"]
        with start_daemon(data_dir=own_data, options=options) as daemon, QubitdProvider(daemon.address) as provider:
            backend = provider.get_backend()
            backend.run(flip, shots=1).result(timeout=60)
            rack.stop()
            with pytest.raises(JobError, match="closed the connection"):
                backend.run(flip, shots=1).result(timeout=60)
            backend.refresh()
            assert not backend.operational
            assert provider.backends(operational=True) == []
            with pytest.warns(UserWarning, match=r"line5 runs no jobs now \(.*emulated rack does not answer") as caught:
                job = backend.run(flip, shots=1)
            assert [warning.filename for warning in caught] == [__file__]
            with (
                pytest.warns(UserWarning, match="this one waits until it does, or north takes it"),
                pytest.raises(QiskitError, match="there is no backend 'north' here"),
            ):
                backend.run(flip, shots=1, equivalent_backends=["north"])
            with pytest.raises(JobTimeoutError, match=r"within 0.1 s \(line5 runs no jobs now: .*; start it again"):
                job.result(timeout=0.1)
            assert job.cancel()
            with pytest.raises(JobError, match="was cancelled"):
                job.result(timeout=60)


def test_a_backend_that_was_found_while_the_rack_was_down_runs_in_silence_once_it_is_up(
    own_data: Path, flip: QuantumCircuit
) -> None:
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address) as provider:
        info = provider.client.backend("line5")
        backend = QubitdBackend(provider, provider.client, replace(info, operational=False, trouble="no power"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            job = backend.run(flip, shots=1)
        assert (backend.operational, backend.trouble) == (True, "")
        assert job.result(timeout=60).success


@pytest.mark.parametrize("use", ["run", "wait"])
def test_a_backend_is_followed_from_its_first_job_on(
    own_data: Path, flip: QuantumCircuit, use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing asked for its Target; whoever only waits is told of a rack that came back since the job was found."""
    with start_daemon(data_dir=own_data) as daemon, QubitdProvider(daemon.address) as provider:
        backend = provider.get_backend()
        if use == "run":
            backend.run(flip, shots=1)
        else:
            with QubitdSession(provider.get_backend()) as session:
                session.run(flip, shots=1).result(timeout=60)
                job = provider.job(provider.get_backend().run(flip, shots=1).job_id())
                with pytest.raises(JobTimeoutError):
                    job.result(timeout=0)
                backend = job.backend()
        told = threading.Event()
        take_in = backend.update

        def update(info: BackendInfo) -> None:
            take_in(info)
            if info.revision == 2:
                told.set()

        monkeypatch.setattr(backend, "update", update)
        commit(provider, base=1)
        assert told.wait(60)
        assert backend.revision == 2


def test_a_daemon_that_is_not_there_is_qiskits_error_too(flip: QuantumCircuit) -> None:
    with QubitdProvider("127.0.0.1:1") as provider, pytest.raises(QiskitError, match="no daemon answers") as caught:
        provider.backends()
    assert isinstance(caught.value, UnreachableError)
