"""Pieces of a result become Qiskit's `Result`: names, registers, counts, memory and IQ points."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, QuantumRegister
from qiskit.exceptions import QiskitError
from qiskit.result import Result

from qubitd.client import Job
from qubitd.core.job import Assignment, JobStatus, ProgramResult, Trace
from qubitd.provider import JobFailedError
from qubitd.provider.headers import JobHeader, circuit_header, read_header, write_header
from qubitd.provider.results import Points, build_result, counts, memory_of

JOB = Job(
    job_id="j1",
    backend="line5",
    status=JobStatus.DONE,
    revision=7,
    shots=4,
    num_circuits=1,
    num_programs=1,
    last_sequence=9,
    created_ns=0,
    instrument_seconds=0.25,
)


def bits(*rows: int, program: int = 0, first_shot: int = 0, width: int = 1) -> ProgramResult:
    data = b"".join(row.to_bytes(width, "big") for row in rows)
    table = np.frombuffer(data, dtype=np.uint8).reshape(len(rows), width)
    return ProgramResult(program=program, first_shot=first_shot, shots=len(rows), bits=table)


def iq(rows: Any, *, shots: int, first_shot: int = 0, clbits: tuple[int, ...]) -> ProgramResult:
    points = np.array(rows, dtype=np.complex64)
    return ProgramResult(program=0, first_shot=first_shot, shots=shots, iq=points, iq_qubits=clbits, iq_clbits=clbits)


def header_of(*circuits: QuantumCircuit, memory: bool = False, measures: bool = True) -> JobHeader:
    return JobHeader(circuits=tuple(circuit_header(c, measures=measures) for c in circuits), memory=memory)


def result_of(header: JobHeader, *pieces: ProgramResult, job: Job = JOB) -> Result:
    return build_result(job, header, pieces, backend_version="1.2", finished_ns=1_500_000_000, time_taken=0.5)


def test_a_result_names_job_backend_revision_and_time() -> None:
    result = result_of(header_of(QuantumCircuit(1, 1)), bits(0, 1, 1, 1))
    assert (result.job_id, result.backend_name, result.backend_version) == ("j1", "line5", "1.2")
    assert (result.success, result.revision, result.time_taken, result.instrument_time) == (True, 7, 0.5, 0.25)
    assert result.date == "1970-01-01T00:00:01.500000+00:00"


def test_counts_are_padded_to_the_register() -> None:
    assert result_of(header_of(QuantumCircuit(3, 3)), bits(0, 5, 5, 1)).get_counts() == {"000": 1, "101": 2, "001": 1}


def test_pieces_are_put_together_in_the_order_of_their_shots() -> None:
    header = header_of(QuantumCircuit(2, 2), memory=True)
    result = result_of(header, bits(2, 3, first_shot=2), bits(0, 1, first_shot=0))
    assert result.get_memory() == ["00", "01", "10", "11"]
    assert result.data()["memory"] == ["0x0", "0x1", "0x2", "0x3"]


def test_a_missing_piece_is_an_error_with_both_numbers() -> None:
    with pytest.raises(JobFailedError, match=r"result of circuit 'c' of job j1 has 3 of 4 shots"):
        result_of(header_of(QuantumCircuit(1, 1, name="c")), bits(0, 1, 1))


def test_several_registers_stand_in_qiskits_order() -> None:
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(2, "a"), ClassicalRegister(1, "b"))
    assert result_of(header_of(circuit), bits(0b101, 0b101, 0b010, 0b010)).get_counts() == {"1 01": 2, "0 10": 2}


def test_a_loose_bit_has_a_place_and_loses_no_shots() -> None:
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(2, "a"), [Clbit()])
    result = result_of(header_of(circuit), bits(0b100, 0b000, 0b011, 0b111))
    assert result.get_counts() == {"1 00": 1, "0 00": 1, "0 11": 1, "1 11": 1}
    assert result.results[0].header["creg_sizes"] == [["a", 2], ["bit2", 1]]


def test_registers_that_share_bits_are_shown_as_one() -> None:
    shared = [Clbit(), Clbit(), Clbit()]
    circuit = QuantumCircuit(3)
    circuit.add_bits(shared)
    circuit.add_register(ClassicalRegister(name="a", bits=shared[:2]), ClassicalRegister(name="b", bits=shared[1:]))
    result = result_of(header_of(circuit), bits(0b100, 0b100, 0b011, 0b011))
    assert result.get_counts() == {"100": 2, "011": 2}


def test_registers_that_start_with_the_same_bit_are_shown_as_one() -> None:
    shared = [Clbit(), Clbit()]
    circuit = QuantumCircuit(2)
    circuit.add_bits(shared)
    circuit.add_register(ClassicalRegister(name="a", bits=shared), ClassicalRegister(name="b", bits=shared[:1]))
    assert result_of(header_of(circuit), bits(1, 1, 2, 2)).get_counts() == {"01": 2, "10": 2}


def test_a_circuit_that_measures_nothing_has_shots_and_no_counts() -> None:
    header = header_of(QuantumCircuit(1, 1), memory=True, measures=False)
    result = result_of(header, bits(0, 0, 0, 0))
    assert result.results[0].shots == 4
    with pytest.raises(QiskitError, match="No counts"):
        result.get_counts()


def test_more_than_64_bits_are_counted_exactly() -> None:
    circuit = QuantumCircuit(1, 72)
    high = 1 << 71
    result = result_of(header_of(circuit, memory=True), bits(high, 0, high, 1, width=9))
    assert result.data()["counts"] == {"0x0": 1, "0x1": 1, hex(high): 2}
    assert result.data()["memory"] == [hex(high), "0x0", hex(high), "0x1"]


@pytest.mark.parametrize("width", [1, 2, 7, 8, 9])
def test_counts_and_memory_tell_the_same_story(width: int) -> None:
    rows = np.random.default_rng(width).integers(0, 3, (50, width), dtype=np.uint8)
    memory = memory_of(rows)
    assert counts(rows) == {value: memory.count(value) for value in set(memory)}


def test_several_circuits_are_told_apart_by_name() -> None:
    job = replace(JOB, num_circuits=2, shots=2)
    header = header_of(QuantumCircuit(1, 1, name="a"), QuantumCircuit(1, 1, name="b"))
    result = result_of(header, bits(1, 1, program=1), bits(0, 0), job=job)
    assert (result.get_counts("a"), result.get_counts("b")) == ({"0": 2}, {"1": 2})


def test_single_iq_points_have_a_column_for_each_classical_bit() -> None:
    header = header_of(QuantumCircuit(2, 3))
    first = iq([[1 + 2j, 3], [5, 7j]], shots=2, clbits=(2, 0))
    second = iq([[0, 0], [1, 1]], shots=2, first_shot=2, clbits=(2, 0))
    points = result_of(header, second, first).get_memory()
    assert points.shape == (4, 3)
    assert_array_equal(points[:, 2], [1 + 2j, 5, 0, 1])
    assert_array_equal(points[:, 0], [3, 7j, 0, 1])
    assert np.isnan(points[:, 1]).all()


def test_of_two_measurements_into_one_bit_the_later_point_is_given() -> None:
    points = result_of(header_of(QuantumCircuit(1, 1)), iq([[1, 2]] * 4, shots=4, clbits=(0, 0))).get_memory()
    assert_array_equal(points, [[2]] * 4)


def test_averaged_iq_points_are_weighted_with_their_shots() -> None:
    header = header_of(QuantumCircuit(1, 1))
    pieces = iq([[1.0]], shots=3, clbits=(0,)), iq([[5.0]], shots=1, first_shot=3, clbits=(0,))
    result = result_of(header, *pieces)
    assert_allclose(result.get_memory(), [2.0])
    assert result.results[0].meas_return == "avg"


def test_one_single_shot_is_no_average() -> None:
    result = result_of(header_of(QuantumCircuit(1, 1)), iq([[1.0]], shots=1, clbits=(0,)), job=replace(JOB, shots=1))
    assert result.get_memory().shape == (1, 1)


def test_the_mean_of_one_shot_is_a_mean_where_that_was_asked_for() -> None:
    header = replace(header_of(QuantumCircuit(1, 1)), is_mean=True)
    result = result_of(header, iq([[1.0]], shots=1, clbits=(0,)), job=replace(JOB, shots=1))
    assert result.get_memory().shape == (1,)
    assert result.results[0].meas_return == "avg"
    assert read_header(write_header(header), num_programs=1).is_mean


# Heralds, both levels, assignment


def test_counts_are_those_of_the_shots_that_were_kept() -> None:
    first = replace(bits(1, 1), shots=3, discarded=1)
    result = result_of(header_of(QuantumCircuit(1, 1)), first, bits(0, first_shot=3))
    assert result.get_counts() == {"0": 1, "1": 2}
    assert (result.results[0].shots, result.results[0].header["discarded_shots"]) == (3, 1)


def test_averages_are_weighted_with_the_shots_that_were_kept() -> None:
    pieces = (
        replace(iq([[1.0]], shots=3, clbits=(0,)), discarded=1),
        replace(iq(np.zeros((0, 1)), shots=1, clbits=(0,), first_shot=3), discarded=1),
        iq([[4.0]], shots=4, clbits=(0,), first_shot=4),
    )
    result = result_of(header_of(QuantumCircuit(1, 1)), *pieces, job=replace(JOB, shots=8))
    assert_allclose(result.get_memory(), [3.0])


def test_bits_and_points_of_the_same_shots_stand_side_by_side() -> None:
    piece = replace(bits(1, 0, 1, 1), iq=np.array([[1], [2], [3], [4j]], np.complex64), iq_qubits=(2,), iq_clbits=(1,))
    data = result_of(header_of(QuantumCircuit(3, 2), memory=True), piece).data()
    assert data["memory"] == ["0x1", "0x0", "0x1", "0x1"]
    points = np.asarray(data["iq"])
    assert points.shape == (4, 2, 2)
    assert_array_equal(points[:, 1], [[1, 0], [2, 0], [3, 0], [0, 4]])
    assert np.isnan(points[:, 0]).all()


def test_traces_have_a_row_for_each_feedline_and_are_weighted_with_their_shots() -> None:
    def piece(value: complex, *, shots: int, first_shot: int) -> ProgramResult:
        traces = (
            Trace(qubits=(0, 2), samples=np.array([value, 2 * value, 0], np.complex64)),
            Trace(qubits=(1,), samples=np.array([1j], np.complex64)),
        )
        return ProgramResult(program=0, first_shot=first_shot, shots=shots, traces=traces)

    result = result_of(
        header_of(QuantumCircuit(3, 3)), piece(1, shots=3, first_shot=0), piece(5j, shots=1, first_shot=3)
    )
    experiment = result.results[0]
    assert (experiment.meas_level, experiment.meas_return, experiment.shots) == (0, "avg", 4)
    assert experiment.header["feedlines"] == [[0, 2], [1]]
    mean = 0.75 + 1.25j
    assert_allclose(result.get_memory(), [[mean, 2 * mean, 0], [1j, 0, 0]])


def test_assignment_matrices_stand_in_the_order_of_the_classical_bits() -> None:
    assignment = (Assignment(clbit=1, qubit=0, prob_meas1_prep0=0.25, prob_meas0_prep1=0.125),)
    result = result_of(header_of(QuantumCircuit(1, 3)), replace(bits(0, 0, 0, 2), assignment=assignment))
    assert result.results[0].header["assignment_matrices"] == [None, [[0.75, 0.125], [0.25, 0.875]], None]


def test_metadata_stay_on_this_client_as_they_are() -> None:
    live = object()
    circuit = QuantumCircuit(1, 1, metadata={"live": live, (1, 2): "tuple"})
    result = result_of(header_of(circuit), bits(0, 0, 0, 0))
    assert result.results[0].header["metadata"] == {"live": live, (1, 2): "tuple"}


def test_what_is_plain_in_a_header_travels() -> None:
    circuit = QuantumCircuit(2, 1, name="c", global_phase=0.5)
    circuit.metadata = {"plain": [1, "two"], "live": object(), (1,): 2, "array": np.ones(2), "nan": float("nan")}
    sent = header_of(circuit, memory=True)
    received = read_header(write_header(sent), num_programs=1)
    fields = sent.circuits[0].fields | {"metadata": {"plain": [1, "two"]}}
    assert received == JobHeader(circuits=(replace(sent.circuits[0], fields=fields),), memory=True)
    assert fields["global_phase"] == 0.5
    assert fields["qreg_sizes"] == [["q", 2]]


def noise(length: int) -> str:
    """Text that no compression makes shorter than half."""
    return np.random.default_rng(1).bytes(length // 2).hex()


def test_headers_of_as_many_circuits_as_a_job_may_hold_travel() -> None:
    registers = QuantumRegister(2, "q"), ClassicalRegister(1, "a"), ClassicalRegister(1, "b")
    circuits = [QuantumCircuit(*registers, name=f"c{i}", metadata={"index": i}) for i in range(10_000)]
    sent = header_of(*circuits, memory=True)
    assert read_header(write_header(sent), num_programs=10_000) == sent


def test_metadata_that_are_too_long_are_left_out_of_what_travels() -> None:
    circuit = QuantumCircuit(1, 1, metadata={"long": noise(3 << 20)})
    data = write_header(header_of(circuit))
    assert len(data) < 1_000
    assert read_header(data, num_programs=1).circuits[0].fields["metadata"] == {}


def test_names_that_are_too_long_do_not_travel_at_all() -> None:
    assert write_header(header_of(QuantumCircuit(1, name=noise(3 << 20)))) == b""


def test_what_swells_beyond_what_anybody_writes_is_not_read() -> None:
    swelling = zlib.compress(b'{"form":1,"circuits":[],"pad":"' + b" " * (65 << 20) + b'"}')
    assert len(swelling) < 1 << 20
    assert [circuit.fields["name"] for circuit in read_header(swelling, num_programs=1).circuits] == ["circuit-0"]


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b"{}", b'{"form":2}', json.dumps({"form": 1, "memory": 0, "circuits": []}).encode()]
)
def test_a_job_of_another_client_names_its_circuits_by_number(data: bytes) -> None:
    header = read_header(data, num_programs=2)
    assert [circuit.fields["name"] for circuit in header.circuits] == ["circuit-0", "circuit-1"]
    job = replace(JOB, num_circuits=2)
    result = result_of(header, bits(0, 1, 1, 1), bits(3, 3, 3, 3, program=1), job=job)
    assert result.get_counts(1) == {"00000011": 4}
    points = result_of(read_header(data, num_programs=1), iq([[1, 2]] * 4, shots=4, clbits=(0, 1))).get_memory()
    assert points.shape == (4, 2)


def test_points_say_whether_there_are_any_and_what_is_worked_out_of_them_does_not() -> None:
    points = np.zeros((3, 2)).view(Points)
    assert points
    assert not points[:0]
    assert type(points + 1) is np.ndarray
    with pytest.raises(ValueError, match="ambiguous"):
        bool(points == points + 1)
