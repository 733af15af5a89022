"""Jobs, results, backends and calibrations survive the wire, and nothing that arrives crashes the reader."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from qubitd.core.capacity import Usage
from qubitd.core.device import Meaning
from qubitd.core.errors import Problem
from qubitd.core.job import Assignment, JobStatus, ProgramResult, Trace
from qubitd.core.plan import JobPlan, LoopPlan, ProgramPlan, StagePlan
from qubitd.core.properties import OperationProperties, QubitProperties
from qubitd.core.snapshot import Parameter, Snapshot
from qubitd.v1 import backends_pb2, calibrations_pb2, circuits_pb2, jobs_pb2
from qubitd.wire import backends, calibrations, circuits, errors, jobs, plans, results, specs, sweeps
from qubitd.wire.errors import MalformedMessageError, Refusal
from qubitd.wire.parsing import parse
from qubitd.wire.result_parts import as_usual

FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(0, 1e12)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAME = st.text(st.characters(codec="ascii"), min_size=1, max_size=20)
COUNT = st.integers(0, 2**31 - 1)
SPAN = ("first_program", "programs", "first_shot", "shots", "began_ns", "ended_ns")
TIME = st.integers(-(2**63), 2**63 - 1)
STATUSES = st.sampled_from(JobStatus)

PROBLEMS = st.builds(Problem, where=TEXT, what=TEXT, circuit=st.none() | COUNT, operation=st.none() | COUNT)
STAGES = st.builds(jobs.StageTime, stage=TEXT, time_ns=TIME)
SPENT = st.builds(jobs.TimeSpent, activity=TEXT, seconds=POSITIVE)
JOBS = st.builds(
    jobs.Job,
    job_id=TEXT,
    backend=TEXT,
    status=STATUSES,
    message=TEXT,
    problems=st.lists(PROBLEMS, max_size=3).map(tuple),
    revision=COUNT,
    shots=COUNT,
    num_circuits=COUNT,
    num_programs=COUNT,
    tags=st.lists(TEXT, max_size=3).map(tuple),
    timeline=st.lists(STAGES, max_size=3).map(tuple),
    last_sequence=COUNT,
    created_ns=TIME,
    instrument_seconds=POSITIVE,
    client_data=st.binary(max_size=20),
    spent=st.lists(SPENT, max_size=3).map(tuple),
)
EVENTS = st.builds(
    jobs.JobEvent,
    sequence=COUNT,
    time_ns=TIME,
    what=st.one_of(
        st.builds(jobs.StatusChange, status=STATUSES, message=TEXT),
        STAGES,
        st.builds(
            jobs.Progress,
            done=COUNT,
            total=COUNT,
            span=st.none() | st.builds(jobs.ExecutionSpan, **dict.fromkeys(SPAN, COUNT)),
        ),
        st.builds(jobs.LogLine, text=TEXT),
    ),
)
PLANS = st.builds(
    JobPlan,
    programs=st.lists(
        st.builds(ProgramPlan, name=TEXT, duration=POSITIVE, num_plays=COUNT, success=st.floats(0, 1)), max_size=3
    ).map(tuple),
    memories=st.lists(st.builds(Usage, sequencer=TEXT, memory=TEXT, used=COUNT, limit=COUNT), max_size=3).map(tuple),
    upload_bytes=COUNT,
    instrument_seconds=POSITIVE,
    queue_length=COUNT,
    expected_start_ns=COUNT,
    revision=COUNT,
    stages=st.lists(st.builds(StagePlan, name=TEXT, seconds=POSITIVE), max_size=3).map(tuple),
    loops=st.lists(
        st.builds(
            LoopPlan,
            sequencer=TEXT,
            nests=st.lists(st.lists(st.integers(1, 2**31), max_size=3).map(tuple), max_size=3).map(tuple),
            written_out=st.integers(0, 2**31),
            reason=TEXT,
        ),
        max_size=3,
    ).map(tuple),
    expected=st.lists(st.dictionaries(st.text("01", max_size=3), st.floats(0, 1), max_size=3), max_size=3).map(tuple),
    log=st.lists(TEXT, max_size=3).map(tuple),
)
PARAMETERS = st.builds(
    Parameter,
    name=NAME,
    value=FINITE,
    unit=TEXT,
    stderr=st.none() | POSITIVE,
    measured_at=st.none() | TIME,
    run=TEXT,
    source=TEXT,
)
SNAPSHOTS = st.builds(
    Snapshot,
    revision=COUNT,
    parent=COUNT,
    author=TEXT,
    message=TEXT,
    created_at=TIME,
    parameters=st.lists(PARAMETERS, max_size=4).map(lambda found: {p.name: p for p in found}),
)
QUBITS = 4
BACKENDS = st.builds(
    backends.BackendInfo,
    name=NAME,
    description=TEXT,
    revision=COUNT,
    revision_time_ns=TIME,
    qubits=st.lists(
        st.builds(
            QubitProperties,
            name=TEXT,
            t1=st.none() | POSITIVE,
            t2=st.none() | POSITIVE,
            frequency=st.none() | POSITIVE,
        ),
        min_size=QUBITS,
        max_size=QUBITS,
    ).map(tuple),
    couplers=st.lists(st.sampled_from([(0, 1), (1, 2), (0, 3)]), max_size=3).map(tuple),
    operations=st.lists(
        st.builds(
            OperationProperties,
            name=NAME,
            operands=st.permutations(range(QUBITS)).map(lambda order: tuple(order[:2])),
            duration=st.none() | POSITIVE,
            error=st.none() | st.floats(0, 1),
        ),
        max_size=4,
    ).map(tuple),
    signatures=st.lists(
        st.builds(
            backends.GateSignature,
            name=NAME,
            num_qubits=st.integers(0, 5),
            angles=st.lists(TEXT, max_size=2).map(tuple),
            meaning=st.builds(Meaning, definition=TEXT, equivalences=st.lists(TEXT, max_size=2).map(tuple)),
        ),
        max_size=3,
    ).map(tuple),
    limits=st.builds(backends.Limits, max_shots=COUNT, max_circuits=COUNT, max_total_shots=COUNT, max_job_bytes=COUNT),
    dt=st.floats(1e-12, 1e-3),
    operational=st.booleans(),
    server_version=TEXT,
    simulated=st.booleans(),
    wire_versions=st.lists(COUNT, max_size=3).map(tuple),
)


ASSIGNMENTS = st.builds(
    Assignment, clbit=COUNT, qubit=COUNT, prob_meas1_prep0=st.floats(0, 1), prob_meas0_prep1=st.floats(0, 1)
)


@st.composite
def program_results(draw: st.DrawFn) -> ProgramResult:
    """Bits, points, both, of as many shots as heralds have left."""
    kept, discarded = draw(st.integers(0, 9)), draw(st.integers(0, 3))
    kind = draw(st.sampled_from(["bits", "iq", "both", "average"]))
    result = ProgramResult(
        program=draw(COUNT),
        first_shot=draw(st.integers(0, 1000)),
        shots=max(1, kept + discarded),
        discarded=max(discarded, 1 - kept),
        assignment=tuple(draw(st.lists(ASSIGNMENTS, max_size=2))),
    )
    if kind in ("bits", "both"):
        width = draw(st.integers(int(kind == "both"), 3))
        data = draw(st.binary(min_size=kept * width, max_size=kept * width))
        result = replace(result, bits=np.frombuffer(data, dtype=np.uint8).reshape(kept, width))
    if kind != "bits":
        columns = draw(st.integers(1, 3))
        rows = min(kept, 1) if kind == "average" else kept
        points = draw(st.lists(st.complex_numbers(max_magnitude=1), min_size=rows * columns, max_size=rows * columns))
        result = replace(
            result,
            iq=np.array(points, dtype=np.complex64).reshape(rows, columns),
            iq_qubits=tuple(range(columns)),
            iq_clbits=tuple(range(columns)),
        )
    return result


def answer_of(pieces: Iterable[ProgramResult]) -> bytes:
    writer = results.ResultsWriter()
    return b"".join(map(writer.write, pieces))


@given(JOBS)
def test_a_job_survives_the_wire(job: jobs.Job) -> None:
    assert jobs.decode_job_answer(jobs.encode_job_answer(job)) == job
    assert jobs.decode_job(jobs.encode_job(job)) == replace(job, client_data=b"")


@given(st.lists(EVENTS, max_size=3))
def test_events_survive_the_wire(events: list[jobs.JobEvent]) -> None:
    assert jobs.decode_events(jobs.encode_events(events)) == tuple(events)


@given(PLANS)
def test_a_plan_survives_the_wire(plan: JobPlan) -> None:
    assert plans.decode_plan(plans.encode_plan(plan)) == plan


@given(BACKENDS)
def test_a_backend_survives_the_wire(info: backends.BackendInfo) -> None:
    assert backends.decode_backend(backends.encode_backend(info)) == info


@given(SNAPSHOTS)
def test_a_snapshot_survives_the_wire_with_its_digest(snapshot: Snapshot) -> None:
    assert calibrations.decode_snapshot(calibrations.encode_snapshot(snapshot)) == snapshot


@given(SNAPSHOTS, PARAMETERS)
def test_a_history_survives_the_wire(snapshot: Snapshot, parameter: Parameter) -> None:
    entry = calibrations.HistoryEntry(revision=calibrations.revision_of(snapshot), parameter=parameter)
    assert calibrations.decode_history(calibrations.encode_history([entry])) == (entry,)


@given(st.lists(st.builds(calibrations.ParameterChange, name=NAME, before=st.none() | PARAMETERS, after=PARAMETERS)))
def test_a_difference_survives_the_wire(changes: list[calibrations.ParameterChange]) -> None:
    assert calibrations.decode_changes(calibrations.encode_changes(changes)) == tuple(changes)


@given(
    st.integers(0, 16),
    TEXT,
    st.lists(PROBLEMS, max_size=5),
    st.none() | st.floats(0, 1e6),
    st.lists(st.binary(min_size=32, max_size=32), max_size=2),
)
def test_a_refusal_survives_the_wire(
    code: int, message: str, problems: list[Problem], wait: float | None, tables: list[bytes]
) -> None:
    sent = Refusal(code=code, message=message, problems=tuple(problems), retry_after=wait, missing_tables=tuple(tables))
    received = errors.decode_refusal(errors.encode_refusal(sent))
    assert received.missing_tables == sent.missing_tables
    assert (received.code, received.message, received.problems) == (code, message, sent.problems)
    assert received.retry_after == (None if wait is None else pytest.approx(wait, abs=1e-9))


@given(program_results(), st.integers(1, 20))
def test_a_result_survives_the_wire_in_pieces(result: ProgramResult, most: int) -> None:
    answer = answer_of(results.pieces(result, most=most))
    received = results.decode_results(answer)
    assert as_usual(answer) == answer
    assert [piece.first_shot for piece in received] == sorted({piece.first_shot for piece in received})
    assert sum(piece.shots for piece in received) == result.shots
    assert sum(piece.discarded for piece in received) == result.discarded
    assert all(piece.assignment == result.assignment for piece in received)
    for name in ("bits", "iq"):
        if (whole := getattr(result, name)) is not None:
            assert_array_equal(np.concatenate([getattr(piece, name) for piece in received]), whole)


@given(st.lists(st.tuples(st.lists(COUNT), st.lists(st.complex_numbers(max_magnitude=1), max_size=9)), min_size=1))
def test_traces_survive_the_wire(traces: list[tuple[list[int], list[complex]]]) -> None:
    sent = tuple(Trace(qubits=tuple(qubits), samples=np.array(row, np.complex64)) for qubits, row in traces)
    result = ProgramResult(program=1, first_shot=2, shots=3, traces=sent)
    answer = answer_of(results.pieces(result))
    assert as_usual(answer) == answer
    (received,) = results.decode_results(answer)
    assert (received.program, received.first_shot, received.shots, received.bits) == (1, 2, 3, None)
    for one, other in zip(received.traces, sent, strict=True):
        assert one.qubits == other.qubits
        assert_array_equal(one.samples, other.samples)


READERS: list[tuple[type[Message], Callable[[Any], Any]]] = [
    (jobs_pb2.JobsGetResponse, jobs.decode_job_answer),
    (jobs_pb2.JobsWatchResponse, jobs.decode_events),
    (jobs_pb2.ExplainResponse, plans.decode_plan),
    (jobs_pb2.JobSpec, specs.decode_spec),
    (backends_pb2.Backend, backends.decode_backend),
    (calibrations_pb2.SnapshotResponse, calibrations.decode_snapshot),
    (calibrations_pb2.HistoryResponse, calibrations.decode_history),
    (calibrations_pb2.DiffResponse, calibrations.decode_changes),
    (circuits_pb2.CircuitBatch, circuits.decode_batch),
    (circuits_pb2.Sweep, sweeps.decode_sweep),
]


def read(kind: type[Message], reader: Callable[[Any], Any], data: bytes) -> None:
    with contextlib.suppress(MalformedMessageError):
        reader(parse(kind, data))


@pytest.mark.parametrize(("kind", "reader"), READERS, ids=lambda value: getattr(value, "__name__", ""))
@given(data=st.binary(max_size=120))
def test_arbitrary_bytes_are_read_or_refused(kind: type[Message], reader: Callable[[Any], Any], data: bytes) -> None:
    read(kind, reader, data)


@given(st.lists(program_results(), min_size=1, max_size=3), st.data())
def test_damaged_results_are_read_or_refused(sent: list[ProgramResult], data: st.DataObject) -> None:
    damaged = bytearray(answer_of(sent))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedMessageError):
        results.decode_results(bytes(damaged))


@given(data=st.binary(max_size=120))
def test_arbitrary_bytes_as_results_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedMessageError):
        results.decode_results(data)


@given(st.binary(max_size=120))
def test_arbitrary_bytes_as_a_refusal_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedMessageError):
        errors.decode_refusal(data)


@given(BACKENDS | SNAPSHOTS | JOBS | EVENTS, st.data())
def test_damaged_bytes_are_read_or_refused(value: object, data: st.DataObject) -> None:
    coders: dict[type, tuple[Any, ...]] = {
        backends.BackendInfo: (backends.encode_backend, *READERS[4]),
        Snapshot: (calibrations.encode_snapshot, *READERS[5]),
        jobs.Job: (jobs.encode_job_answer, *READERS[0]),
        jobs.JobEvent: (lambda event: jobs.encode_events([event]), *READERS[1]),
    }
    encode, kind, reader = coders[type(value)]
    damaged = bytearray(encode(value).SerializeToString())
    if damaged:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    read(kind, reader, bytes(damaged))
