"""Every limit of the wire holds at its edge, and a refusal names field, circuit and operation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import Problem
from qubitd.core.job import JobSpec, JobStatus, ProgramResult
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.v1 import backends_pb2, calibrations_pb2, circuits_pb2, jobs_pb2
from qubitd.wire import errors, results
from qubitd.wire.backends import decode_backend
from qubitd.wire.calibrations import decode_parameters, decode_snapshot
from qubitd.wire.circuits import decode_batch, encode_batch
from qubitd.wire.errors import MalformedMessageError, Refusal, clip, decode_refusal, encode_refusal
from qubitd.wire.jobs import decode_event, decode_status
from qubitd.wire.parsing import parse
from qubitd.wire.results import decode_results
from qubitd.wire.specs import decode_spec, encode_spec
from qubitd.wire.sweeps import decode_sweep, encode_sweep


def bell() -> circuits_pb2.CircuitBatch:
    builder = CircuitBuilder(name="bell", num_qubits=2, num_clbits=2)
    builder.add("sx", 0).add("cz", 0, 1).add("rz", 1, params=[0.5]).measure(0, 0).measure(1, 1)
    return encode_batch(pack([builder]))


def bell_spec() -> jobs_pb2.JobSpec:
    return encode_spec(JobSpec(batch=decode_batch(bell()), sweep=Sweep(), shots=100))


def refusal_of(spec: jobs_pb2.JobSpec) -> str:
    with pytest.raises(MalformedMessageError) as caught:
        decode_spec(spec)
    return str(caught.value)


def answer_of(result: jobs_pb2.ProgramResult) -> bytes:
    return jobs_pb2.ResultsResponse(results=[result]).SerializeToString()


def test_a_text_that_cannot_be_encoded_gets_a_question_mark() -> None:
    assert clip("a\ud800b") == "a?b"


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("shots", 0, "shots: is 0; the limits are 1 and 2147483647"),
        ("shots", 2**31, "shots: is 2147483648; the limits are 1 and 2147483647"),
        ("wire_version", 1, "wire_version: is 1; this end reads 2, so one of the two is to be updated"),
        ("meas_level", 0, "meas_level: is 0; give 1 (IQ points), 2 (bits), 3 (both) or 4 (traces)"),
        ("meas_return", 9, "meas_return: is 9; give 1 (every shot) or 2 (the mean)"),
        ("dd", 4, "dd: is 4; give 0 (none), 1 (X2), 2 (XY4) or 3 (XY8)"),
        ("reset_rounds", 9, "reset_rounds: is 9; the limits are 0 and 8"),
        ("rep_delay", 1.000000001, "rep_delay: is 1.000000001 s; the limits are 0 and 1 s"),
        ("rep_delay", 1.5, "rep_delay: is 1.5 s; the limits are 0 and 1 s"),
        ("rep_delay", float("nan"), "rep_delay: is nan s; the limits are 0 and 1 s"),
        ("max_execution_time", -1.0, "max_execution_time: is -1 s; the limits are 0 and 86400 s"),
        ("max_execution_time", float("nan"), "max_execution_time: is nan s; the limits are 0 and 86400 s"),
        ("scheduling", 3, "scheduling: is 3; give 1 (as late) or 2 (as soon as possible)"),
        ("client_data", bytes((1 << 20) + 1), "client_data, bytes: is 1048577; the limits are 0 and 1048576"),
    ],
)
def test_a_field_outside_its_limits_is_named(field: str, value: object, text: str) -> None:
    spec = bell_spec()
    setattr(spec, field, value)
    assert refusal_of(spec) == text


def test_bits_cannot_be_averaged() -> None:
    spec = bell_spec()
    spec.meas_return = jobs_pb2.MEAS_RETURN_AVERAGE
    assert "which bits do not have" in refusal_of(spec)


def test_traces_are_means_over_all_shots() -> None:
    spec = bell_spec()
    spec.meas_level = jobs_pb2.MEAS_LEVEL_RAW
    assert "not of one shot or qubit" in refusal_of(spec)
    spec.meas_return = jobs_pb2.MEAS_RETURN_AVERAGE
    spec.herald = True
    assert refusal_of(spec) == "herald: is set, but a trace is the mean over all shots; ask for IQ points"


def test_a_trace_longer_than_a_scope_is_refused() -> None:
    message = jobs_pb2.ProgramResult(shots=1, traces=[jobs_pb2.Trace(samples=bytes(8 * 16385))])
    with pytest.raises(MalformedMessageError, match="samples of a trace: is 16385"):
        decode_results(answer_of(message))


def test_a_thirty_third_tag_is_refused() -> None:
    spec = bell_spec()
    spec.tags.extend(f"tag{i}" for i in range(33))
    assert "number of tags: is 33" in refusal_of(spec)


def test_a_sweep_of_a_parameter_on_two_axes_is_refused() -> None:
    axis = SweepAxis(names=("q0.x.amplitude",), values=np.array([[0.1]]))
    message = encode_sweep(Sweep(axes=(axis,)))
    message.axes.append(message.axes[0])
    with pytest.raises(MalformedMessageError, match="stands on more than one axis"):
        decode_sweep(message)


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        (circuits_pb2.SweepAxis(values=bytes(8)), "number of names"),
        (circuits_pb2.SweepAxis(names=["a", "b"], values=bytes(24)), "do not share evenly"),
        (circuits_pb2.SweepAxis(names=["a"]), "has no points"),
        (circuits_pb2.SweepAxis(names=["a"], values=np.array([np.nan]).tobytes()), "not finite"),
        (circuits_pb2.SweepAxis(names=["a"], values=bytes(8 * 1_000_001)), "number of grid points"),
    ],
)
def test_a_faulty_axis_is_refused(axis: circuits_pb2.SweepAxis, text: str) -> None:
    with pytest.raises(MalformedMessageError, match=text):
        decode_sweep(circuits_pb2.Sweep(axes=[axis]))


def test_bytes_that_are_no_results_are_named() -> None:
    with pytest.raises(
        MalformedMessageError, match=r"ResultsResponse: 3 bytes cannot be parsed as qubitd\.v1\.ResultsR"
    ):
        decode_results(b"\x0a\x05\x08")


def test_bits_stay_where_they_came_and_points_are_aligned() -> None:
    bits, iq = np.ones((3, 2), np.uint8), np.ones((3, 1), np.complex64)
    sent = ProgramResult(program=0, first_shot=0, shots=3, bits=bits, iq=iq, iq_qubits=(0,), iq_clbits=(0,))
    data = results.ResultsWriter().write(sent)
    (received,) = decode_results(data)
    assert received.bits is not None
    assert received.iq is not None
    assert np.shares_memory(received.bits, np.frombuffer(data, np.uint8))
    assert not received.bits.flags.writeable
    assert received.iq.flags.aligned
    assert (received.bits.dtype, received.iq.dtype) == (bits.dtype, iq.dtype)


def test_many_problems_of_a_refusal_stay_below_the_limit_of_metadata() -> None:
    problems = tuple(Problem(where=f"circuit {i}", what="x" * 500, circuit=i) for i in range(1000))
    data = encode_refusal(Refusal(code=3, message="y" * 50_000, problems=problems))
    received = decode_refusal(data).problems
    assert len(data) < 7_000
    assert received[0] == problems[0]
    assert received[-1].what == f"{1000 - len(received) + 1} more problems"


def test_a_damaged_refusal_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match=r"google\.rpc\.Status"):
        decode_refusal(b"\xff\xff\xff")


def test_bytes_that_are_no_message_are_named() -> None:
    with pytest.raises(MalformedMessageError, match=r"cannot be parsed as qubitd\.v1\.SubmitRequest"):
        parse(jobs_pb2.SubmitRequest, b"\xff\xff")


def test_every_state_has_a_number_and_no_other_number_is_a_state() -> None:
    assert {decode_status(number) for number in range(1, 8)} == set(JobStatus)
    with pytest.raises(MalformedMessageError, match="names no state"):
        decode_status(8)


def test_an_event_that_says_nothing_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match="event 4"):
        decode_event(jobs_pb2.JobEvent(sequence=4))


def test_a_piece_of_a_result_holds_at_most_its_limit() -> None:
    result = ProgramResult(program=0, first_shot=5, shots=10, bits=np.zeros((10, 2), dtype=np.uint8))
    assert [piece.shots for piece in results.pieces(result, most=20)] == [10]
    assert [(p.first_shot, p.shots) for p in results.pieces(result, most=19)] == [(5, 9), (14, 1)]


def test_an_averaged_result_is_never_cut() -> None:
    iq = np.zeros((1, 3), dtype=np.complex64)
    result = ProgramResult(program=0, first_shot=0, shots=10, iq=iq, iq_qubits=(0, 1, 2), iq_clbits=(0, 1, 2))
    assert len(list(results.pieces(result, most=8))) == 1


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (jobs_pb2.ProgramResult(), "shots: is 0"),
        (jobs_pb2.ProgramResult(shots=2, bytes_per_shot=1, bits=b"\x00"), "has 1 bytes for 2 shots of 1 bytes"),
        (jobs_pb2.ProgramResult(shots=2, iq_qubits=[0], iq_clbits=[0]), "holds 0 points for 2 shots"),
        (jobs_pb2.ProgramResult(shots=2, iq_qubits=[0]), "names 0 bits, 1 qubits"),
    ],
)
def test_a_result_of_the_wrong_shape_is_refused(message: jobs_pb2.ProgramResult, text: str) -> None:
    with pytest.raises(MalformedMessageError, match=text):
        decode_results(answer_of(message))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"couplers": [backends_pb2.Pair(first=1, second=0)]}, "joins 1 and 0"),
        ({"gates": [backends_pb2.GateProperties(name="x", qubits=[2])]}, r"acts on qubits \[2\] of a device with 2"),
        ({"gates": [backends_pb2.GateProperties(name="x", qubits=[1], error=-1)]}, "error: is -1"),
        ({"dt": 0.0}, "a tick takes longer than 0 s"),
        ({"dt": float("nan")}, "dt: is nan"),
        ({"name": ""}, "name: takes 0 bytes"),
    ],
)
def test_a_backend_that_contradicts_itself_is_refused(change: dict[str, object], text: str) -> None:
    fields = {"name": "line5", "dt": 1e-9, "qubits": [backends_pb2.Qubit(), backends_pb2.Qubit()]} | change
    with pytest.raises(MalformedMessageError, match=text):
        decode_backend(backends_pb2.Backend(**fields))  # type: ignore[arg-type]  # fields by name


def test_a_snapshot_whose_parameters_were_altered_is_refused() -> None:
    message = calibrations_pb2.SnapshotResponse(revision=calibrations_pb2.Revision(revision=3, digest="00"))
    with pytest.raises(MalformedMessageError, match="revision 3: parameters hash to"):
        decode_snapshot(message)


def test_a_parameter_that_stands_twice_is_refused() -> None:
    parameter = calibrations_pb2.Parameter(name="q0.t1", value=1e-4, unit="s")
    with pytest.raises(MalformedMessageError, match=r"q0\.t1: stands twice"):
        decode_parameters([parameter, parameter])


def test_a_parameter_that_is_not_finite_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match=r"q0\.t1: value inf is not a finite number"):
        decode_parameters([calibrations_pb2.Parameter(name="q0.t1", value=float("inf"))])


def test_the_details_of_a_refusal_have_grpcs_own_key() -> None:
    assert errors.DETAILS_KEY.endswith("-bin")


def test_a_job_that_is_given_no_time_is_not_sent_as_one_that_may_take_any() -> None:
    with pytest.raises(MalformedMessageError, match="max_execution_time: is 0 s; give more than that, up to 86400 s"):
        encode_spec(JobSpec(batch=decode_batch(bell()), sweep=Sweep(), shots=1, max_execution_time=0.0))


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"shots": -1}, "shots: is -1; give a whole number from 0 to 4294967295"),
        ({"seed_simulator": -1}, "seed_simulator: is -1; give a whole number from 0 to 18446744073709551615"),
    ],
)
def test_a_number_that_no_message_holds_is_refused_before_it_is_sent(fields: dict[str, Any], what: str) -> None:
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).measure(0, 0)
    spec = replace(JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=1), **fields)
    with pytest.raises(MalformedMessageError, match=what):
        encode_spec(spec)
