"""Results that are cut out of the received bytes are those that protobuf reads in them."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from qubitd.core.job import Assignment, ProgramResult
from qubitd.v1 import jobs_pb2
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.result_parts import PLAYED
from qubitd.wire.results import decode_results

GOOD = jobs_pb2.ProgramResult(shots=2, bits=b"ab", bytes_per_shot=1).SerializeToString()
FIELDS = st.one_of(
    st.builds(jobs_pb2.ProgramResult, program=st.integers(0, 2**32 - 1), first_shot=st.integers(0, 300)),
    st.builds(jobs_pb2.ProgramResult, shots=st.integers(2, 3), discarded=st.integers(0, 1)),
    st.builds(jobs_pb2.ProgramResult, bits=st.binary(min_size=2, max_size=3)),
    st.builds(jobs_pb2.ProgramResult, iq_qubits=st.just([1]), iq_clbits=st.just([2]), iq=st.just(bytes(8))),
    st.builds(jobs_pb2.ProgramResult, assignment=st.just([jobs_pb2.Assignment(clbit=1, prob_meas1_prep0=0.5)])),
    st.builds(jobs_pb2.ProgramResult, played=st.just([jobs_pb2.PlayedValue(name="q0.x.amplitude", value=0.5)])),
).map(lambda message: message.SerializeToString())
ODD_FIELDS = (
    b"\x08\x00",  # program: 0, which nobody writes
    b"\x22\x00",  # bits: none
    b"\x88\x00\x05",  # program: 5, its tag in two bytes
    b"\x08\x85\x80\x80\x80\x10",  # program: 5 and 2 ** 32
    b"\x18\x82\x80\x80\x80\x80\x00",  # shots: 2 in six bytes
    b"\x0a\x01\x07",  # program as bytes
    b"\x30\x01\x38\x02",  # iq_qubits and iq_clbits, not packed
    b"\x7b\x08\x01\x7c",  # a group that only a later version knows
    b"\xa2\x06\x02\x08\x01",  # a message that only a later version knows
    b"\x62\x02\x0a\x05",  # played, cut off
    b"\x22\x02a",  # bits, cut off
    b"\x00\x01",  # a field without a number
)


def plainly_read(data: bytes) -> list[tuple[Any, ...]]:
    """Read results as protobuf does, and make sure of their shapes."""
    found: list[tuple[Any, ...]] = []
    for one in jobs_pb2.ResultsResponse.FromString(data).results:
        kept, columns = one.shots - one.discarded, len(one.iq_qubits)
        has_bits = bool(not columns or one.bytes_per_shot or one.bits)
        if one.shots == 0 or kept < 0 or columns != len(one.iq_clbits):
            raise DecodeError
        if has_bits and len(one.bits) != kept * one.bytes_per_shot:
            raise DecodeError
        if columns and len(one.iq) not in (8 * kept * columns, 8 * min(kept, 1) * columns):
            raise DecodeError
        assignment = tuple(
            Assignment(clbit=a.clbit, qubit=a.qubit, prob_meas1_prep0=a.prob_meas1_prep0, prob_meas0_prep1=0.0)
            for a in one.assignment
        )
        found.append(
            (
                (one.program, one.first_shot, one.shots, one.discarded),
                one.bits if has_bits else None,
                one.iq if columns else None,
                (tuple(one.iq_qubits), tuple(one.iq_clbits), assignment),
                tuple((played.name, played.value) for played in one.played),
            )
        )
    return found


def told(result: ProgramResult) -> tuple[Any, ...]:
    return (
        (result.program, result.first_shot, result.shots, result.discarded),
        None if result.bits is None else result.bits.tobytes(),
        None if result.iq is None else result.iq.tobytes(),
        (result.iq_qubits, result.iq_clbits, result.assignment),
        result.played,
    )


def framed(content: bytes) -> bytes:
    return bytes([0x0A, len(content)]) + content


def compare(data: bytes) -> None:
    try:
        expected = plainly_read(data)
    except DecodeError:
        with pytest.raises(MalformedMessageError):
            decode_results(data)
    else:
        assert [told(result) for result in decode_results(data)] == expected


PIECES = (
    st.lists(st.one_of(FIELDS, FIELDS, FIELDS, st.sampled_from(ODD_FIELDS)), max_size=3)
    .flatmap(lambda others: st.permutations([GOOD, *others]))
    .map(lambda fields: framed(b"".join(fields)))
)


@given(st.lists(PIECES, max_size=3))
def test_results_are_read_as_protobuf_reads_them(pieces: list[bytes]) -> None:
    """Fields in any order, as often as one likes, with others among them, in neighbours that are alike or not."""
    compare(b"".join(pieces))


def test_the_fields_are_those_that_the_reader_knows() -> None:
    """It tells counts and data by their numbers, and takes what was played for the last field."""
    numbers = {field.name: field.number for field in jobs_pb2.ProgramResult.DESCRIPTOR.fields}
    assert list(numbers.items())[:5] == [("program", 1), ("first_shot", 2), ("shots", 3), ("bits", 4), ("iq", 5)]
    assert max(numbers.values()) == numbers["played"] == PLAYED >> 3


@pytest.mark.parametrize("odd", ODD_FIELDS)
def test_a_field_that_few_would_write_is_read_as_protobuf_reads_it(odd: bytes) -> None:
    compare(framed(odd + GOOD))
    compare(framed(GOOD) + framed(GOOD + odd))


@pytest.mark.parametrize("end", [b"\x12\x01a", b"\x0a\x05\x08", b"\x0a\x09" + GOOD, b"\x0a", b"\x13\x14"])
def test_what_stands_behind_results_is_left_out_or_refused(end: bytes) -> None:
    compare(framed(GOOD) + end)
