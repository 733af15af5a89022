"""The bytes of a small job are read once; others are read as they come, and nothing malformed is remembered."""

from __future__ import annotations

import pytest

from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep
from qubitd.server.compiling.spec_memory import MOST_REMEMBERED_BYTES, SpecMemory
from qubitd.v1 import jobs_pb2
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.specs import encode_spec


def message(shots: int = 1, *, client_data: bytes = b"") -> jobs_pb2.JobSpec:
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).measure(0, 0)
    return encode_spec(JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=shots, client_data=client_data))


def read(memory: SpecMemory, spec: jobs_pb2.JobSpec) -> JobSpec:
    return memory.of_message(spec, spec.SerializeToString(deterministic=True))


def test_the_same_bytes_are_read_once_from_either_form() -> None:
    memory = SpecMemory()
    first = read(memory, message())
    assert first.shots == 1
    assert read(memory, message()) is first
    assert memory.of_bytes(message().SerializeToString(deterministic=True)) is first
    assert read(memory, message(2)).shots == 2
    assert len(memory) == 2


def test_what_was_asked_for_longest_ago_is_forgotten() -> None:
    memory = SpecMemory()
    kept, gone = read(memory, message(1)), read(memory, message(2))
    for shots in range(3, 65):
        read(memory, message(shots))
    assert read(memory, message(1)) is kept
    read(memory, message(65))
    assert read(memory, message(2)) is not gone
    assert len(memory) == 64


def test_a_big_job_is_not_kept() -> None:
    memory = SpecMemory()
    big = message(client_data=bytes(MOST_REMEMBERED_BYTES))
    assert read(memory, big).client_data == memory.of_bytes(big.SerializeToString()).client_data == big.client_data
    assert len(memory) == 0


def test_a_job_of_few_bytes_that_stand_for_much_is_not_kept() -> None:
    memory = SpecMemory()
    wide = CircuitBuilder(name="wide", num_qubits=250, num_clbits=1)
    for _ in range(100):
        wide.add("barrier", *range(250))
    spec = encode_spec(JobSpec(batch=pack([wide.measure(0, 0)]), sweep=Sweep(), shots=1))
    assert spec.ByteSize() < MOST_REMEMBERED_BYTES
    assert len(read(memory, spec).batch.circuits[0]) == 101
    assert len(memory) == 0


def test_what_is_malformed_is_refused_each_time() -> None:
    memory = SpecMemory()
    wrong = message()
    wrong.wire_version += 1
    for _ in range(2):
        with pytest.raises(MalformedMessageError, match="wire_version"):
            read(memory, wrong)
    assert len(memory) == 0
