"""What a Qiskit user does with a backend and its jobs, against a daemon on an emulated rack."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.testing import assert_allclose
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ClassicalRegister, Clbit, QuantumRegister
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.providers import JobError, JobStatus, JobTimeoutError, QiskitBackendNotFoundError
from qiskit.quantum_info import SparsePauliOp

from qubitd.cli.daemon_process import DaemonProcess
from qubitd.compiler.agreement import agrees
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.provider import (
    BackendNotFoundError,
    JobFailedError,
    JobRefusedError,
    JobUnfinishedError,
    ProviderError,
    QubitdBackend,
    QubitdJob,
    QubitdProvider,
    QubitdSession,
)
from qubitd.provider.encode import Encoder
from qubitd.provider.revisions import follow_revisions

pytestmark = pytest.mark.lowest

STORY = [JobStatus.INITIALIZING, JobStatus.VALIDATING, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE]


@pytest.fixture
def bell(backend: QubitdBackend) -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="bell", metadata={"pair": (0, 1)})
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return transpile(circuit, backend, optimization_level=2, seed_transpiler=1)


@pytest.fixture
def pair() -> QuantumCircuit:
    """The first qubit is 1, the second 0."""
    circuit = QuantumCircuit(2, 2, name="flip")
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    return circuit


def long_job(backend: QubitdBackend) -> QubitdJob:
    """A job of many chunks, so that there is a while in which it has not ended."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    return backend.run([circuit] * 50, shots=100_000)


# Provider


def test_backends_are_found_by_name_and_by_what_they_are(provider: QubitdProvider) -> None:
    assert [backend.name for backend in provider.backends()] == ["line5"]
    assert len(provider.backends("line5", min_num_qubits=5, operational=True, dtm=1e-9)) == 1
    assert provider.backends("line6") == []
    assert provider.backends(min_num_qubits=6) == []
    assert provider.backends(max_circuits=7) == []
    assert provider.backends(filters=lambda backend: backend.num_qubits > 5) == []


def test_the_only_backend_needs_no_name(provider: QubitdProvider, daemon: DaemonProcess) -> None:
    assert provider.get_backend().name == "line5"
    assert repr(provider) == f"<QubitdProvider('{daemon.address}')>"


def test_an_unknown_backend_is_refused_with_near_names(provider: QubitdProvider) -> None:
    with pytest.raises(BackendNotFoundError, match=r"has no backend 'line6'; did you mean line5\?") as caught:
        provider.get_backend("line6")
    assert isinstance(caught.value, QiskitBackendNotFoundError)
    with pytest.raises(QiskitBackendNotFoundError, match="it has line5"):
        provider.get_backend("everest")


def test_an_unknown_job_is_refused(provider: QubitdProvider) -> None:
    with pytest.raises(JobError, match="there is no job 'nothing' of yours"):
        provider.job("nothing")


NAME: Any = "line5"
NOTHING: Any = None


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda provider: provider.job(5), "job_id is 5; give a text"),
        (lambda provider: provider.session(None), "session_id is None; give a text"),
        (lambda provider: provider.backends(name=5), "name is 5; give a text"),
        (lambda provider: provider.backends(filters=5), "filters is 5; give a function of a backend"),
        (
            lambda provider: provider.backends(min_num_qubits="5"),
            "min_num_qubits is '5'; give a whole number",
        ),
        (lambda provider: provider.backends(min_num_qubits=True), "min_num_qubits is True; give a whole number"),
        (lambda provider: provider.get_backend().calibration("5"), "revision is '5'; give a whole number"),
        (
            lambda provider: QubitdSession(NAME),
            r"backend is 'line5'; give one that provider\.get_backend\(\) gives",
        ),
        (
            lambda provider: QubitdSession.from_id("nothing", service=NOTHING),
            "service is None; give a QubitdProvider",
        ),
    ],
)
def test_what_is_none_of_its_kind_is_said(
    provider: QubitdProvider, ask: Callable[[QubitdProvider], object], answer: str
) -> None:
    with pytest.raises(ProviderError, match=answer):
        ask(provider)


def test_of_several_backends_one_must_be_named(provider: QubitdProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider.client, "backends", lambda: ("line5", "line9"))
    with pytest.raises(QiskitBackendNotFoundError, match="has line5, line9; give a name"):
        provider.get_backend()


def test_a_backend_whose_provider_is_closed_is_followed_no_longer(provider: QubitdProvider) -> None:
    before = set(threading.enumerate())
    backend = provider.get_backend("line5")
    target = backend.target
    (follower,) = [t for t in set(threading.enumerate()) - before if t.name == "qubitd-backend-line5"]
    provider.close()
    follower.join(60)
    assert not follower.is_alive()
    assert backend.target is target


def test_a_backend_that_the_daemon_does_not_offer_is_followed_no_longer(
    provider: QubitdProvider, caplog: pytest.LogCaptureFixture
) -> None:
    backend = provider.get_backend("line5")
    with caplog.at_level("INFO", logger="qubitd.provider"):
        follow_revisions(provider.client, backend, "gone")
        for thread in threading.enumerate():
            if thread.name == "qubitd-backend-gone":
                thread.join(60)
    (record,) = caplog.records
    assert record.message == "no longer told of new revisions"
    assert "gone" in record.__dict__["reason"]


# Backend


def test_a_backend_describes_itself(backend: QubitdBackend, daemon: DaemonProcess) -> None:
    assert (backend.num_qubits, backend.dt, backend.dtm, backend.max_circuits) == (5, 1e-9, 1e-9, 10_000)
    assert backend.meas_map == [[0, 1, 2, 3, 4]]
    assert (backend.revision, backend.revision_time.tzname()) == (1, "UTC")
    assert backend.online_date == backend.revision_time  # it is the first one
    assert repr(backend) == f"<QubitdBackend('line5', revision=1, daemon='{daemon.address}')>"
    assert backend.qubit_properties(0).t1 == load_device("line5").snapshot().value("q0.t1")


def test_a_copy_of_a_backend_is_that_backend(backend: QubitdBackend) -> None:
    assert copy.deepcopy(backend) is backend
    assert copy.copy(backend) is backend


def test_what_holds_a_connection_is_copied_as_it_is_and_does_not_cross_processes(
    provider: QubitdProvider, backend: QubitdBackend, pair: QuantumCircuit
) -> None:
    with QubitdSession(backend) as session:
        for one in (provider, backend, session, session.run(pair, shots=1)):
            assert copy.deepcopy({"one": one})["one"] is one
            with pytest.raises(TypeError, match=f"{type(one).__name__} holds a connection .* cannot be pickled"):
                pickle.dumps(one)


def test_options_are_validated_when_they_are_set(backend: QubitdBackend) -> None:
    with pytest.raises(ValueError, match="shots"):
        backend.set_options(shots=100_001)


def test_what_no_run_takes_is_refused_when_it_is_set_and_what_was_kept_stays(backend: QubitdBackend) -> None:
    backend.set_options(shots=7, meas_return="avg")
    with pytest.raises(JobRefusedError, match="option shots: is True; give a whole number from 1 to 100000"):
        backend.set_options(shots=True, meas_level=1)
    assert (backend.options.shots, backend.options.meas_level, backend.options.meas_return) == (7, 2, "avg")


def test_a_name_that_is_no_text_is_refused(provider: QubitdProvider) -> None:
    with pytest.raises(ProviderError, match="name is 5; give a text"):
        provider.get_backend(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_options_hold_until_they_are_changed(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    backend.set_options(shots=7)
    assert backend.run(pair).result().results[0].shots == 7
    assert backend.run(pair, shots=8).result().results[0].shots == 8


def test_an_unknown_option_warns_where_it_was_given(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    with pytest.warns(UserWarning, match="line5 has no option items, validators, which is ignored") as caught:
        backend.run(pair, shots=1, items=3, validators=4)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_misspelt_option_is_told_what_was_meant(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    with pytest.warns(UserWarning, match=r"no option memry, shot, which is ignored; did you mean memory and shots\?$"):
        backend.run(pair, shot=1, memry=True)
    with pytest.warns(UserWarning, match="no option colour, which is ignored; it has shots, memory, "):
        backend.run(pair, shots=1, colour="blue")
    with pytest.warns(
        UserWarning, match=r"no option colour, shot, which .*; did you mean shots\? it has shots, memory, "
    ):
        backend.run(pair, shot=1, colour="blue")


def test_options_that_clients_of_qiskit_pass_warn_of_nothing(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    options: dict[str, Any] = {
        "seed_simulator": 1,
        "memory": True,
        "shots": 5,
        "meas_level": 2,
        "meas_return": "single",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        job = backend.run(pair, **options, rep_delay=1e-4, init_qubits=True, job_tags=["m3"], tags=["mine"])
    assert job.result().success


def test_everything_wrong_with_a_job_is_said_at_once(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(3, 1, name="wrong")
    circuit.h(0)
    circuit.cz(0, 2)
    with pytest.raises(JobRefusedError) as caught:
        backend.run([circuit, "text"], shots=True)
    places = [problem.where for problem in caught.value.problems]
    assert places == [
        "run_input, item 1",
        "option shots",
        "circuit 0 ('wrong'), operation 0 (h on q0)",
        "circuit 0 ('wrong'), operation 1 (cz on q0, q2)",
    ]
    assert str(caught.value).count("\n") == 3


@pytest.mark.parametrize(
    ("run_input", "text"),
    [
        ([], "run_input: holds no circuit; give at least one"),
        (None, "run_input: is a NoneType; give a QuantumCircuit or a list of them"),
        ("hello", "run_input: is a str; give a QuantumCircuit or a list of them"),
        ([QuantumCircuit(1)] * 10_001, "run_input: holds 10001 circuits, and a job may have 10000; send several jobs"),
    ],
)
def test_what_is_no_list_of_circuits_is_refused(backend: QubitdBackend, run_input: object, text: str) -> None:
    with pytest.raises(JobRefusedError) as caught:
        backend.run(run_input)
    assert str(caught.value) == text


def test_a_job_that_takes_too_many_bytes_is_refused_with_both_numbers(
    backend: QubitdBackend, pair: QuantumCircuit
) -> None:
    limits = replace(backend.info.limits, max_job_bytes=10)
    backend.update(replace(backend.info, limits=limits))
    with pytest.raises(JobRefusedError, match="run_input: takes 20 bytes, and a job may have 10; send several jobs"):
        backend.run(pair)


def test_what_only_the_daemon_refuses_is_refused_in_its_words(backend: QubitdBackend) -> None:
    with pytest.raises(JobRefusedError, match="num_clbits: is 70000; the limits are 0 and 65536") as caught:
        backend.run(QuantumCircuit(1, 70_000))
    assert "circuit 0" in caught.value.problems[0].where


def test_a_description_that_says_nothing_new_leaves_the_target_alone(backend: QubitdBackend) -> None:
    target = backend.target
    backend.refresh()
    backend.update(replace(backend.info, revision=0))
    assert backend.target is target


# Results


def test_a_bell_pair_gives_counts_as_expected(backend: QubitdBackend, bell: QuantumCircuit) -> None:
    result = backend.run(bell, shots=4000, seed_simulator=3).result()
    device = load_device("line5")
    batch = Encoder(backend.info).encode([bell]).batch
    assert agrees(result.get_counts(), expected(device.device, device.snapshot(), batch)[0]) >= 1e-3
    assert (result.backend_name, result.revision, result.success) == ("line5", 1, True)
    assert result.results[0].header["metadata"] == {"pair": (0, 1)}
    assert result.time_taken > 0


def test_a_seed_makes_an_emulated_chip_repeatable(backend: QubitdBackend, bell: QuantumCircuit) -> None:
    first, again, other = (backend.run(bell, memory=True, seed_simulator=seed).result() for seed in (5, 5, 6))
    assert first.get_memory() == again.get_memory() != other.get_memory()


def test_counts_are_those_of_the_memory(backend: QubitdBackend, bell: QuantumCircuit) -> None:
    result = backend.run(bell, shots=500, memory=True).result()
    memory = result.get_memory()
    assert len(memory) == 500
    assert result.get_counts() == {outcome: memory.count(outcome) for outcome in set(memory)}


def test_registers_and_loose_bits_keep_their_places(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(2, "a"), [Clbit()], ClassicalRegister(1, "b"))
    circuit.x(1)
    circuit.measure([0, 1, 2, 1], [0, 1, 2, 3])
    counts = backend.run(circuit, shots=300).result().get_counts()
    assert max(counts, key=counts.__getitem__) == "1 0 10"
    assert sum(counts.values()) == 300


def test_a_circuit_without_measurement_gives_its_shots_and_no_counts(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(1)
    circuit.x(0)
    result = backend.run(circuit, shots=12, memory=True).result()
    assert (result.results[0].shots, result.data()) == (12, {})


def test_of_two_measurements_into_one_bit_the_later_wins(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.barrier()
    circuit.measure(1, 0)
    assert backend.run(circuit, shots=200).result().get_counts()["0"] > 180


def test_iq_points_of_every_shot_have_two_clouds(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    result = backend.run(pair, shots=400, meas_level=1).result()
    points = result.get_memory()
    assert points.shape == (400, 2)
    assert np.isfinite(points).all()
    averaged = backend.run(pair, shots=400, meas_level=1, meas_return="avg").result().get_memory()
    assert averaged.shape == (2,)
    spread = points.std(axis=0) / np.sqrt(200)
    assert_allclose(np.abs(averaged - points.mean(axis=0)) < 5 * spread, [True, True])


def test_circuits_of_one_job_are_told_apart(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    idle = QuantumCircuit(1, 1, name="idle")
    idle.measure(0, 0)
    result = backend.run([idle, pair], shots=100).result()
    assert result.get_counts("idle")["0"] > 90
    assert result.get_counts("flip")["01"] > 85


# Jobs


def test_every_change_of_status_is_seen_once_and_in_order(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    job = backend.run(pair, shots=10)
    seen: list[tuple[str, JobStatus]] = []
    job.wait_for_final_state(callback=lambda job_id, status, _: seen.append((job_id, status)))
    assert seen == [(job.job_id(), status) for status in STORY]
    assert list(job.statuses()) == STORY
    assert job.status() is JobStatus.DONE


def test_a_callback_is_told_every_change_of_status(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    told: list[JobStatus] = []
    ended = threading.Event()

    def tell(job_id: str, status: JobStatus, job: QubitdJob) -> None:
        told.append(status)
        if status is JobStatus.DONE:
            ended.set()

    backend.run(pair, shots=10).on_status(tell)
    assert ended.wait(60)
    assert told == STORY


def test_no_time_is_a_timeout_and_the_error_is_both_qiskits_and_pythons(backend: QubitdBackend) -> None:
    job = long_job(backend)
    with pytest.raises(JobTimeoutError) as caught:
        job.result(timeout=0)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, JobUnfinishedError)
    assert str(caught.value) == f"job {job.job_id()} has not ended within 0 s; it goes on, ask again"
    with pytest.raises(TimeoutError):
        job.wait_for_final_state(timeout=0.01)
    with pytest.raises(TimeoutError):
        job.logs(timeout=0)
    job.cancel()


@pytest.mark.parametrize("timeout", [-1, float("nan"), "a"])
def test_a_timeout_that_is_no_time_is_refused(backend: QubitdBackend, pair: QuantumCircuit, timeout: float) -> None:
    job = backend.run(pair, shots=1)
    with pytest.raises(ProviderError, match=f"timeout is {timeout!r}; give seconds of 0 or more"):
        job.result(timeout=timeout)


def test_cancelling_is_idempotent_and_the_error_says_so(backend: QubitdBackend) -> None:
    job = long_job(backend)
    assert job.cancel()
    assert job.cancel()
    with pytest.raises(JobError, match=f"job {job.job_id()} was cancelled"):
        job.result(timeout=60)
    assert job.status() is JobStatus.CANCELLED
    assert job.cancelled()
    assert job.cancel()
    assert job.error_message() is not None


def test_cancelling_a_job_that_is_done_changes_nothing(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    job = backend.run(pair, shots=10)
    counts = job.result().get_counts()
    assert not job.cancel()
    assert job.result().get_counts() == counts
    assert job.error_message() is None


def test_an_overlong_delay_is_refused_before_anything_is_sent(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(1, 1, name="late")
    circuit.delay(1.5, 0, unit="s")
    circuit.measure(0, 0)
    with pytest.raises(
        JobRefusedError, match=r"circuit 0 \('late'\), operation 0 \(delay on q0\): .* 1.5 s .* above 1 s"
    ):
        backend.run(circuit, shots=10)


def test_a_failed_job_gives_the_daemons_own_text(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(1, 1, name="late")
    circuit.measure(0, 0)
    with circuit.if_test((0, 1)):
        circuit.x(0)
    job = backend.run(circuit, shots=10, dd="x2")
    with pytest.raises(JobFailedError, match=r"circuit 0 \('late'\).* looks at outcomes .*leave dd out") as caught:
        job.result()
    assert isinstance(caught.value, JobError)
    assert caught.value.problems[0].circuit == 0
    assert job.status() is JobStatus.ERROR
    assert "leave dd out" in (job.error_message() or "")


def test_a_job_cannot_be_submitted_again(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    job = backend.run(pair, shots=1)
    with pytest.raises(JobError, match="already submitted"):
        job.submit()


def test_another_client_reads_the_whole_result_by_id(
    backend: QubitdBackend, bell: QuantumCircuit, daemon: DaemonProcess
) -> None:
    circuit = bell.copy(name="named")
    circuit.metadata = {"plain": 1, "live": object()}
    first = backend.run(circuit, shots=200, memory=True, seed_simulator=1)
    there = first.result()
    with QubitdProvider(daemon.address) as other:
        job = other.job(first.job_id())
        assert job.status() is JobStatus.DONE
        here = job.result(timeout=0)
        assert repr(job) == f"<QubitdJob('{first.job_id()}', backend='line5', status=DONE)>"
    assert here.get_memory("named") == there.get_memory("named")
    assert here.results[0].header == there.results[0].header | {"metadata": {"plain": 1}}
    assert (here.date, here.revision, here.time_taken) == (there.date, there.revision, there.time_taken)


def test_a_job_tells_its_times(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    job = backend.run(pair, shots=10)
    job.result()
    times = job.metrics()["timestamps"]
    assert times["created"] <= times["running"] <= times["finished"]
    stages = [entry.stage for entry in job.timeline]
    assert [stages[0], stages[-1]] == ["accepted", "done"]
    assert [entry.time_ns for entry in job.timeline] == sorted(entry.time_ns for entry in job.timeline)
    assert job.progress is not None
    assert (job.progress.done, job.progress.total) == (10, 10)


def test_a_rounded_delay_is_told_to_the_jobs_owner(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.delay(10.4, 0, unit="ns")
    circuit.measure(0, 0)
    with circuit.for_loop(range(2)):
        circuit.delay(10.4, 0, unit="ns")
    (line,) = backend.run(circuit, shots=10).logs()
    assert line.startswith("circuit 0 ")
    assert "such as operation 0 from 1.04e-08 s to 1e-08 s" in line
    circuit.data.pop(0)
    (line,) = backend.run(circuit, shots=10).logs()
    assert "such as operation 1 from 1.04e-08 s to 1e-08 s" in line


def test_fifty_jobs_leave_no_thread_and_no_descriptor_behind(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    backend.run(pair, shots=1).result()
    process = psutil.Process()
    before = threading.active_count(), process.num_fds()
    for _ in range(50):
        backend.run(pair, shots=1).result()
    ours = [thread.name for thread in threading.enumerate() if thread.name == "qubitd-jobs"]
    for thread in threading.enumerate():
        if thread.name in ours:
            thread.join(10)
    assert threading.active_count() <= before[0]
    assert process.num_fds() <= before[1]


# Clients that we did not write


def test_qiskits_sampler_and_estimator_work(backend: QubitdBackend, bell: QuantumCircuit) -> None:
    counts = BackendSamplerV2(backend=backend).run([bell], shots=2000).result()[0].data.meas.get_counts()
    assert counts["00"] + counts["11"] > 1700
    state = QuantumCircuit(2)
    state.h(0)
    state.cx(0, 1)
    native = transpile(state, backend, optimization_level=1, seed_transpiler=1)
    observable = SparsePauliOp(["ZZ", "XX"]).apply_layout(native.layout)
    value = BackendEstimatorV2(backend=backend).run([(native, observable)], precision=0.05).result()[0].data.evs
    assert 1.6 < value < 2.05


def run_program(daemon: DaemonProcess, program: str) -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(program).replace("ADDRESS", repr(daemon.address))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)


def test_transpile_in_two_processes_leaves_an_open_stream_alone(daemon: DaemonProcess) -> None:
    ended = run_program(
        daemon,
        """
        import os
        os.environ["QISKIT_PARALLEL"] = "TRUE"
        from qiskit import QuantumCircuit, transpile
        from qiskit.utils import should_run_in_parallel
        from qubitd.provider import QubitdProvider
        assert should_run_in_parallel(2)
        backend = QubitdProvider(ADDRESS).get_backend("line5")
        circuit = QuantumCircuit(2)
        circuit.h(0)
        circuit.cx(0, 1)
        circuit.measure_all()
        job = backend.run(transpile(circuit, backend), shots=10)
        job.status()
        natives = transpile([circuit] * 4, backend, num_processes=2)
        assert sum(backend.run(natives, shots=10).result().get_counts(3).values()) == 10
        assert sum(job.result().get_counts().values()) == 10
        """,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_example_is_ten_lines_and_prints_its_counts_alone(daemon: DaemonProcess) -> None:
    text = (Path(__file__).parents[2] / "examples" / "bell.py").read_text()
    code = text.replace('"localhost:50051"', "ADDRESS")
    assert code != text
    ended = run_program(daemon, code)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert sum(eval(ended.stdout).values()) == 1000


def test_an_interpreter_that_exits_while_a_job_runs_ends_cleanly(daemon: DaemonProcess) -> None:
    ended = run_program(
        daemon,
        """
        from qiskit import QuantumCircuit
        from qubitd.provider import QubitdProvider
        backend = QubitdProvider(ADDRESS).get_backend("line5")
        circuit = QuantumCircuit(1, 1)
        circuit.measure(0, 0)
        backend.target
        job = backend.run([circuit] * 50, shots=100_000)
        job.on_status(lambda *_: None)
        job.status()
        job.cancel()
        """,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
