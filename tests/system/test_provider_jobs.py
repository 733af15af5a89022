"""A provider finds what its user has: backends by what they are, jobs by state, tag and time, facts under old names."""

from __future__ import annotations

import math
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.classical import expr
from qiskit.providers import JobStatus

from qubitd.cli.daemon_process import DaemonProcess
from qubitd.client import NotFoundError, QubitdClient
from qubitd.core.job import ProgramResult
from qubitd.provider import (
    JobFailedError,
    JobRefusedError,
    JobUnfinishedError,
    ProviderError,
    QubitdBackend,
    QubitdJob,
    QubitdProvider,
)
from qubitd.provider.results import counts

pytestmark = pytest.mark.lowest


@pytest.fixture
def provider(daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[QubitdProvider]:
    monkeypatch.setenv("QUBITD_ADDRESS", daemon.address)
    with QubitdProvider() as provider:
        yield provider


@pytest.fixture
def backend(provider: QubitdProvider) -> QubitdBackend:
    return provider.get_backend()


def test_jobs_are_listed_newest_first_by_state_tag_and_time(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    provider, tag = backend.provider, uuid.uuid4().hex
    jobs = [backend.run(flip, shots=10, tags=[tag, str(i)]) for i in range(3)]
    for job in jobs:
        job.result()
    newest_first = [job.job_id() for job in reversed(jobs)]
    assert [job.job_id() for job in provider.jobs(tags=[tag])] == newest_first
    assert [job.job_id() for job in provider.jobs(2, tags=[tag], backend="line5")] == newest_first[:2]
    assert [job.job_id() for job in provider.jobs(tags=[tag, "1"], status=JobStatus.DONE)] == newest_first[1:2]
    assert provider.jobs(tags=[tag], status=[JobStatus.ERROR, JobStatus.CANCELLED]) == []
    began = datetime.fromtimestamp(jobs[1].timeline[0].time_ns * 1e-9, tz=UTC) - timedelta(microseconds=1)
    assert [job.job_id() for job in provider.jobs(tags=[tag], since=began)] == newest_first[:2]
    assert provider.jobs(tags=[tag], since=datetime.now() + timedelta(days=1)) == []  # noqa: DTZ005  # a user's clock
    found = provider.jobs(1, tags=[tag])[0]
    assert found.status() is JobStatus.DONE
    assert sum(found.result().get_counts().values()) == 10


def test_a_job_outlives_its_backend(
    backend: QubitdBackend, flip: QuantumCircuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = backend.provider
    job_id = backend.run(flip, shots=10).job_id()

    def gone(name: str, revision: int = 0) -> None:
        raise NotFoundError(name)

    monkeypatch.setattr(provider.client, "backend", gone)
    job = provider.job(job_id)
    assert sum(job.result().get_counts().values()) == 10
    assert repr(job) == f"<QubitdJob('{job_id}', backend='line5', status=DONE)>"
    with pytest.raises(ProviderError, match="ran on 'line5', which the daemon no longer offers"):
        job.backend()


def test_an_attribute_that_no_backend_has_is_refused_with_near_names(provider: QubitdProvider) -> None:
    assert [backend.name for backend in provider.backends(simulated=True, operational=True)] == ["line5"]
    with pytest.raises(ProviderError, match=r"no backend has an attribute 'simulate'; did you mean simulated"):
        provider.backends(simulate=True)
    with pytest.raises(ProviderError, match=r"no backend has an attribute 'num_qubit'; did you mean num_qubits\?$"):
        provider.backends(num_qubit=5)


def test_old_names_state_what_the_target_states(backend: QubitdBackend) -> None:
    old = backend.configuration()
    assert (old.backend_name, old.num_qubits, old.n_qubits, old.simulator) == ("line5", 5, 5, False)
    assert (old.max_shots, old.max_experiments, old.dt) == (100_000, 10_000, 1e-9)
    assert set(old.basis_gates) >= {"cz", "id", "rz", "sx", "x"}
    assert set(old.basis_gates).isdisjoint({"measure", "reset", "delay", "if_else"})
    assert sorted(map(tuple, old.coupling_map)) == sorted(backend.coupling_map.get_edges())
    assert old.conditional == ("if_else" in backend.target.operation_names)


def takes(backend: QubitdBackend, circuit: QuantumCircuit, level: int) -> bool:
    try:
        job = backend.run(circuit, shots=10, meas_level=level, meas_return="avg" if level < 2 else "single")
    except JobRefusedError:
        return False
    return bool(job.result().success)


def test_old_names_state_the_levels_that_can_be_had(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    assert backend.configuration().meas_levels == tuple(level for level in range(4) if takes(backend, flip, level))


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"status": "DONE"}, "status is 'DONE'; give a JobStatus of Qiskit, or several"),
        ({"status": ["DONE"]}, r"status is \['DONE'\]; give a JobStatus"),
        ({"tags": "demo"}, "tags is 'demo'; give a list of texts"),
        ({"status": 5}, "status is 5; give a JobStatus"),
        ({"tags": 5}, "tags is 5; give a list of texts"),
        ({"backend": 5}, "backend is 5; give a text"),
        ({"tags": ["\ud800"]}, "what was given cannot be sent: "),
        ({"tags": [3]}, r"tags is \[3\]; give a list of texts"),
        ({"limit": -1}, "limit is -1; give a whole number, 0 or more"),
        ({"limit": 1.5}, r"limit is 1\.5; give a whole number"),
        ({"since": "yesterday"}, "since is 'yesterday'; give a datetime"),
    ],
)
def test_what_cannot_be_asked_of_a_list_of_jobs_is_refused(
    provider: QubitdProvider, asked: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ProviderError, match=complaint):
        provider.jobs(**asked)


def test_any_time_and_nothing_can_be_asked_of_a_list_of_jobs(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    provider, tag = backend.provider, uuid.uuid4().hex
    job = backend.run(flip, shots=10, tags=[tag])
    for since in (datetime(1, 1, 1), datetime.min.replace(tzinfo=UTC), None):  # noqa: DTZ001  # as users give them
        assert [found.job_id() for found in provider.jobs(status=None, tags=[tag], since=since)] == [job.job_id()]
    for since in (datetime(9999, 12, 31), datetime.max.replace(tzinfo=UTC)):  # noqa: DTZ001  # without a zone, too
        assert provider.jobs(tags=None, since=since) == []


def test_a_number_of_sessions_that_is_none_is_refused(provider: QubitdProvider) -> None:
    with pytest.raises(ProviderError, match="limit is -1; give a whole number, 0 or more"):
        provider.sessions(limit=-1)
    assert len(provider.jobs(limit=0)) == len(provider.sessions(limit=0)) == 0


def test_a_calibration_holds_what_a_target_has_no_place_for(backend: QubitdBackend) -> None:
    snapshot = backend.calibration()
    assert snapshot.revision == backend.revision
    assert snapshot.parameters["q0.anharmonicity"].unit == "Hz"
    assert snapshot.value("q0.readout.frequency") > 7e9
    assert snapshot.value("q0.readout.chi") == -1.7e6
    assert snapshot.value("q0.t2_star") == snapshot.value("q0.t2")  # nothing slow wanders on this chip
    with pytest.raises(NotFoundError, match="99"):
        backend.calibration(revision=99)


def test_a_job_is_explained_without_running_it(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    plan = backend.explain(flip, shots=1000)
    assert [program.name for program in plan.programs] == ["flip"]
    assert plan.programs[0].duration == pytest.approx(840e-9)
    assert 0.9 < plan.programs[0].success < 1
    assert plan.revision == backend.revision
    with pytest.raises(JobRefusedError, match="option shots"):
        backend.explain(flip, shots=0)


def test_bits_are_read_while_the_job_runs_and_are_those_of_its_result(
    backend: QubitdBackend, flip: QuantumCircuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = backend.provider.client
    read, results = list[tuple[int, JobStatus]](), client.results

    def noted(job_id: str, *, skip: int, patience: float) -> Iterator[ProgramResult]:
        read.append((skip, job.status()))
        found: Iterator[ProgramResult] = results(job_id, skip=skip, patience=patience)
        return found

    monkeypatch.setattr(client, "results", noted)
    job = backend.run([flip] * 25, shots=100_000)
    rows = job.packed_bits(timeout=60)
    assert read[0] == (0, JobStatus.RUNNING)
    skips = [skip for skip, _ in read]
    assert sorted(skips) == skips
    found = job.result()
    assert [counts(one) for one in rows] == [each.data.counts for each in found.results]


def test_parts_of_a_result_come_while_the_job_runs_and_add_up_to_it(
    backend: QubitdBackend, flip: QuantumCircuit
) -> None:
    idle = QuantumCircuit(1, 1, name="idle")
    idle.measure(0, 0)
    flips = [flip.copy(name=f"flip {n}") for n in range(25)]
    job = backend.run([*flips, idle], shots=100_000)
    seen: list[JobStatus] = []
    counts: dict[str, Counter[str]] = {circuit.name: Counter() for circuit in (*flips, idle)}
    for part in job.stream(timeout=60):
        seen.append(job.status())
        counts[part.name].update(part.counts)
        assert part.iq is None
        assert part.progress is not None
    assert seen[0] is JobStatus.RUNNING
    assert counts == {name: job.result().get_counts(name) for name in counts}


def test_a_stream_of_iq_points_gives_points(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    (part,) = backend.run(flip, shots=20, meas_level=1).stream()
    assert (part.circuit, part.first_shot, part.shots, part.counts) == (0, 0, 20, {})
    assert part.iq is not None
    assert part.iq.shape == (20, 1)


def test_a_stream_ends_with_its_time_or_with_the_reason_of_the_jobs_end(
    backend: QubitdBackend, flip: QuantumCircuit
) -> None:
    job = backend.run([flip] * 50, shots=100_000)
    with pytest.raises(JobUnfinishedError, match="has not ended within 0 s"):
        next(job.stream(timeout=0))
    job.cancel(force=True)
    with pytest.raises(JobFailedError, match="was cancelled"):
        list(job.stream())


def test_a_job_tells_its_use_of_the_rack_and_its_calibration(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    job = backend.run(flip, shots=100)
    job.result()
    assert job.usage() == job.metrics()["usage"]["seconds"] > 100 * 200e-6
    snapshot = job.properties()
    assert snapshot is not None
    assert snapshot.revision == job.result().revision


def test_a_callback_that_fails_is_told_the_next_change_all_the_same(
    backend: QubitdBackend, flip: QuantumCircuit, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()

    def tell(_: str, status: JobStatus, __: QubitdJob) -> None:
        if status is JobStatus.DONE:
            ended.set()
        raise ValueError(status.name)

    nobody: Any = None
    job = backend.run(flip, shots=10)
    with pytest.raises(ProviderError, match="callback is None; give a function"):
        job.on_status(nobody)
    job.on_status(tell)
    assert ended.wait(60)
    assert "a callback failed" in caplog.text


def test_a_terminal_shows_a_bar_and_a_pipe_shows_nothing(
    backend: QubitdBackend, flip: QuantumCircuit, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backend.run(flip, shots=10).show_progress().done()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    job = backend.run([flip] * 3, shots=100_000).show_progress()
    shown = capsys.readouterr().err
    assert job.job_id() in shown
    assert "DONE" in shown


def test_a_notebook_shows_a_table(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    job = backend.run(flip, shots=10)
    assert "not asked for yet" in job._repr_html_()
    job.result()
    table = job._repr_html_()
    assert job.job_id() in table
    assert "<progress value='10' max='10'></progress> 10 of 10" in table
    assert table.index("INITIALIZING") < table.index("QUEUED") < table.rindex("DONE")
    failed = backend.run([flip] * 50, shots=100_000)
    failed.cancel()
    failed.wait_for_final_state()
    assert "reason" in failed._repr_html_()


def test_a_notebook_shows_what_came_of_a_job_that_was_asked_for_by_its_id(
    backend: QubitdBackend, flip: QuantumCircuit
) -> None:
    done = backend.run(flip, shots=10)
    done.result()
    assert ">DONE<" in backend.provider.job(done.job_id())._repr_html_()
    given_up = backend.run([flip] * 50, shots=100_000)
    given_up.cancel()
    given_up.wait_for_final_state()
    found = backend.provider.jobs(1)[0]._repr_html_()
    assert ">CANCELLED<" in found
    assert "cancelled by its owner" in found


def test_a_result_says_which_shots_were_played_when(
    backend: QubitdBackend, flip: QuantumCircuit, daemon: DaemonProcess
) -> None:
    before = datetime.now(tz=UTC).timestamp() * 1e9
    job = backend.run([flip] * 3, shots=100_000)
    result = job.result()
    spans = result.execution_spans
    assert sum(span["programs"] * span["shots"] for span in spans) == 300_000
    assert [span["first_shot"] for span in spans] == sorted({span["first_shot"] for span in spans})
    times = [time for span in spans for time in (span["began_ns"], span["ended_ns"])]
    assert [before, *times] == sorted([before, *times])
    assert len(spans) == len(job.execution_spans) > 1
    with QubitdProvider(daemon.address) as other:
        assert other.job(job.job_id()).result().execution_spans == spans


def test_a_small_result_comes_with_the_news_of_its_jobs_end(
    backend: QubitdBackend, flip: QuantumCircuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("get_job", "results"):
        monkeypatch.setattr(QubitdClient, name, lambda *_, name=name, **__: asked.append(name))
    result = backend.run(flip, shots=10).result()
    assert sum(result.get_counts().values()) == 10
    assert result.revision == backend.revision
    assert asked == []


def test_what_the_daemon_alone_finds_is_said_at_once_too(backend: QubitdBackend) -> None:
    ahead, mixed, behind = (QuantumCircuit(2, 2, name=name) for name in ("ahead", "mixed", "behind"))
    ahead.delay(90_000, 0, "s")
    mixed.measure([0, 1], [0, 1])
    only_first = expr.logic_and(mixed.clbits[0], expr.logic_not(mixed.clbits[1]))
    with mixed.if_test(only_first):
        mixed.cz(0, 1)
    behind.h(0)
    behind.delay(90_000, 0, "s")
    with pytest.raises(JobRefusedError) as caught:
        backend.run([ahead, mixed, behind], shots=0)
    assert [problem.where for problem in caught.value.problems] == [
        "option shots",
        "circuit 0 ('ahead'), operation 0 (delay on q0)",
        "circuit 1 ('mixed'), operation 2 (if)",
        "circuit 2 ('behind'), operation 0 (h on q0)",
        "circuit 2 ('behind'), operation 1 (delay on q0)",
    ]


@pytest.mark.parametrize("last", [math.nan, 0.2])
def test_what_is_wrong_with_a_sweep_is_said_with_all_else(backend: QubitdBackend, last: float) -> None:
    angle = Parameter("angle")
    circuit = QuantumCircuit(1, 1, name="scan")
    circuit.rz(angle, 0)
    circuit.h(0)
    sweep = {"q0.x.amplitude": [0.1, last], "q0.x.amplitud": [0.1, 0.2], angle: [0.0, 1.0]}
    with pytest.raises(JobRefusedError) as caught:
        backend.run(circuit, sweep=sweep, shots=0)
    where = [problem.where for problem in caught.value.problems]
    assert where == [
        *(["sweep", "sweep", "option shots"] if math.isnan(last) else ["option shots", "sweep"]),
        "circuit 0 ('scan'), operation 1 (h on q0)",
    ]
    assert "q0.x.amplitud," in str(caught.value)


@pytest.mark.parametrize(("meas_return", "more"), [("avg", []), ("single", ["option meas_return"])])
def test_nothing_is_said_of_what_the_daemon_did_not_get(
    backend: QubitdBackend, meas_return: str, more: list[str]
) -> None:
    strange, behind = (QuantumCircuit(1, 1, name=name) for name in ("strange", "behind"))
    strange.h(0)
    strange.measure(0, 0)
    behind.x(0)
    with pytest.raises(JobRefusedError) as caught:
        backend.run([strange, behind], meas_level=0, meas_return=meas_return)
    found = [problem.where for problem in caught.value.problems]
    last = [] if more else ["circuit 1 ('behind'), meas_level 0"]
    assert found == [*more, "circuit 0 ('strange'), operation 0 (h on q0)", *last]
