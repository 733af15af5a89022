"""Parameterised circuits: each row of values is a program of its own, in order, and wrong rows are refused by name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qubitd.compiler.compile import Compiled, compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.compiler.text import circuit_text, program_text
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.v1 import circuits_pb2
from qubitd.wire.circuits import decode_batch, encode_batch
from qubitd.wire.errors import MalformedMessageError

FILE = load_device("line5")
SNAPSHOT = FILE.snapshot()
ANGLE, WAIT = FromColumn(column=0), FromColumn(column=1)
ROWS = [[0.0, 0.0], [math.pi / 2, 40e-9], [math.pi, 1e-6]]
AMPLITUDES = SweepAxis(names=("q0.sx.amplitude",), values=np.array([[0.2, 0.3]]))


def ramsey(angle: float | FromColumn = ANGLE, wait: float | FromColumn = WAIT) -> CircuitBuilder:
    builder = CircuitBuilder(name="ramsey", num_qubits=1, num_clbits=1)
    return builder.add("sx", 0).delay(0, wait).add("rz", 0, params=(angle,)).add("sx", 0).measure(0, 0)


def compiled(*builders: CircuitBuilder, sweep: Sweep | None = None) -> Compiled:
    return compile_circuits(FILE.device, SNAPSHOT, pack(builders), sweep)


def refusals(*rows: list[float]) -> list[str]:
    with pytest.raises(InvalidCircuitError) as refused:
        compiled(ramsey().bind(rows))
    return [str(problem) for problem in refused.value.problems]


def sent() -> circuits_pb2.CircuitBatch:
    return encode_batch(pack([ramsey().bind(ROWS)]))


def refused_bytes(batch: circuits_pb2.CircuitBatch) -> str:
    with pytest.raises(MalformedMessageError) as refused:
        decode_batch(batch)
    return str(refused.value)


def test_a_bound_circuit_is_the_circuit_with_its_values_written_in() -> None:
    programs = list(compiled(ramsey().bind(ROWS)).programs())
    written = list(compiled(*(ramsey(angle, wait) for angle, wait in ROWS)).programs())
    assert [program_text(p) for p in programs] == [program_text(p) for p in written]


def test_programs_are_in_the_order_circuit_binding_point() -> None:
    first, second = ramsey().bind(ROWS), ramsey(0.1, 2e-8)
    job = compiled(first, second, sweep=Sweep(axes=(AMPLITUDES,)))
    programs = list(job.programs())
    assert job.num_programs == len(programs) == 8
    assert [p.duration for p in programs[0::2]] == [p.duration for p in programs[1::2]]
    assert [float(p.plays.amplitude[0]) for p in programs] == [0.2, 0.3] * 4
    assert [p.duration - programs[0].duration for p in programs[::2]] == [0, 40, 1000, 20]
    later = [program_text(p) for p in job.programs(first=3)]
    assert later == [program_text(p) for p in programs[3:]]


def test_a_job_counts_its_bindings() -> None:
    spec = JobSpec(batch=pack([ramsey().bind(ROWS), ramsey(0.1, 0.0)]), sweep=Sweep(axes=(AMPLITUDES,)), shots=10)
    assert spec.num_programs == 8


def test_each_binding_has_an_expectation() -> None:
    found = expected(FILE.device, SNAPSHOT, pack([ramsey().bind([[0.0, 0.0], [math.pi, 0.0]])]))
    assert found[0]["1"] > 0.9
    assert found[1]["0"] > 0.9


def test_a_text_names_the_column_of_a_parameter() -> None:
    batch = pack([ramsey().bind(ROWS)])
    assert "delay($1) q0\n  rz($0) q0" in circuit_text(batch.circuits[0], batch.operations)


def test_delays_that_a_row_makes_impossible_are_refused() -> None:
    problems = refusals([0.0, -1e-9], [0.0, 2.0])
    where = "circuit 0 ('ramsey'), operation 1 (delay)"
    assert f"{where}: binding 0 makes it -1e-09 s, which is negative; the least is 0" in problems
    assert f"{where}: binding 1 makes it 2 s, which is above 1 s" in problems


def test_rounded_delays_of_bindings_are_told() -> None:
    job = compiled(ramsey().bind([[0.0, 1.4e-9], [0.0, 5e-9]]))
    assert job.log == (
        "circuit 0 ('ramsey'): 1 delays of its bindings rounded to the nearest 1 ns, "
        "such as 1.4e-09 s of binding 0 to 1e-09 s",
    )
    assert [p.duration for p in job.programs()] == [
        p.duration for p in compiled(ramsey(0, 1e-9), ramsey(0, 5e-9)).programs()
    ]


def test_a_circuit_with_another_problem_is_not_asked_for_its_rows() -> None:
    with pytest.raises(InvalidCircuitError, match="no gate 'foo'") as refused:
        compiled(ramsey().add("foo", 0).bind([[0.0, -1.0]]), ramsey(0.1, 0.0))
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("positions", b"\0\0\0\0\0\0\0\0", "positions: does not ascend"),
        ("positions", b"\0\0\0\0\2\0\0\0", "largest position: is 2; the limits are 0 and 1"),
        ("positions", b"\0\0\0\0", "holds 2 entries for 1 positions"),
        ("columns", b"\0\0\0\0\2\0\0\0", "largest column: is 2; the limits are 0 and 1"),
        ("num_columns", 0, "num_columns: is 0; the limits are 1 and 65536"),
        ("num_columns", 4, "holds 6 numbers, which is no multiple of 4"),
        ("values", b"", "number of rows: is 0; the limits are 1 and 1000000"),
        ("values", np.array([0, np.nan]).tobytes(), "row 0, column 1 is nan; give a finite number"),
    ],
)
def test_bindings_that_do_not_fit_are_refused_by_name(field: str, value: object, message: str) -> None:
    batch = sent()
    setattr(batch.circuits[0].bindings, field, value)
    assert message in refused_bytes(batch)
