"""The fields of a message are counted before it is parsed, whatever the bytes are."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubitd.v1 import circuits_pb2, jobs_pb2
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.shape import check_fields


def test_nested_fields_count_and_scalars_are_skipped() -> None:
    circuits = [circuits_pb2.Circuit(controls=bytes(500)), circuits_pb2.Circuit(name="a", num_qubits=1, num_steps=1)]
    spec = jobs_pb2.JobSpec(
        batch=circuits_pb2.CircuitBatch(circuits=circuits, steps=bytes(500)),
        shots=2**31 - 1,
        seed_simulator=2**64 - 1,
        tags=["a", "b"],
    )
    data = jobs_pb2.SubmitRequest(key="k", spec=spec).SerializeToString()
    fields = 2 + 5 + 3 + 1 + 3  # request, spec, batch, circuits
    check_fields(jobs_pb2.SubmitRequest, data, most=fields)
    with pytest.raises(MalformedMessageError, match=f"holds more than {fields - 1} fields"):
        check_fields(jobs_pb2.SubmitRequest, data, most=fields - 1)


def test_fields_of_a_fixed_size_are_skipped() -> None:
    job = jobs_pb2.Job(instrument_seconds=1.0, shots=3)
    check_fields(jobs_pb2.Job, job.SerializeToString(), most=2)
    check_fields(jobs_pb2.Job, b"\x6d\x00\x00\x00\x00" * 2, most=2)


def test_a_group_hides_nothing() -> None:
    with pytest.raises(MalformedMessageError, match="holds a field of wire type 3, which"):
        check_fields(jobs_pb2.SubmitRequest, b"\x1b" + b"\x0a\x00" * 10 + b"\x1c")


@given(st.binary(max_size=200))
def test_any_bytes_are_counted_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedMessageError):
        check_fields(jobs_pb2.SubmitRequest, data, most=20)
