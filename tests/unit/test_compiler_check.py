"""What cannot run is refused before it runs: every problem at once, with place, limit, value and what to do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qubitd.compiler.check import MAX_PROBLEMS
from qubitd.compiler.compile import Compiled, compile_circuits, compile_job, passive_reset
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import Circuit, CircuitBatch, CircuitBuilder, Operation, pack
from qubitd.core.errors import InvalidCalibrationError, InvalidCircuitError, Problem
from qubitd.core.job import JobSpec
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep

FILE = load_device("line5")
DEVICE, SNAPSHOT = FILE.device, FILE.snapshot()


def circuit(name: str = "a", qubits: int = 5, clbits: int = 5) -> CircuitBuilder:
    return CircuitBuilder(name=name, num_qubits=qubits, num_clbits=clbits)


def compiled(*builders: CircuitBuilder, snapshot: Snapshot = SNAPSHOT) -> Compiled:
    return compile_circuits(DEVICE, snapshot, pack(builders))


def problems(batch: CircuitBatch, snapshot: Snapshot = SNAPSHOT) -> list[Problem]:
    with pytest.raises(InvalidCircuitError) as refused:
        compile_circuits(DEVICE, snapshot, batch)
    return list(refused.value.problems)


def without(*names: str) -> Snapshot:
    return replace(SNAPSHOT, parameters={n: p for n, p in SNAPSHOT.parameters.items() if n not in names})


@pytest.mark.parametrize(
    ("builder", "where", "what"),
    [
        (circuit().add("h", 1), "operation 0 (h on q1)", "line5 has no gate 'h'; it has barrier, cz, .*Transpile"),
        (circuit().add("rz", 1), "(rz on q1)", "given 1 qubits, 0 parameters.*takes 1, 1 and 0"),
        (circuit().add("measure", 1), "(measure on q1)", "0 classical bits; it takes 1, 0 and 1"),
        (circuit().add("delay", 0, 1, params=(1e-9,)), "(delay on q0, q1)", "takes 1, 1 and 0"),
        (circuit().add("barrier", 0, params=(1.0,)), "(barrier on q0)", "takes 1, 0 and 0"),
        (circuit().add("sx", 5), "(sx on qubit 5)", "qubit 5 is out of range; the circuit has 5, counted from 0"),
        (circuit(qubits=2).add("sx", 2), "(sx on q2)", "qubit 2 is out of range; the circuit has 2"),
        (circuit().add("barrier", 0, 7), "(barrier on q0, qubit 7)", "qubit 7 is out of range"),
        (
            circuit().add("cz", 0, 2),
            "(cz on q0, q2)",
            "q0 and q2 are not coupled; cz exists on q0-q1, q1-q2, q2-q3, q3-q4",
        ),
        (circuit().add("cz", 4, 0), "(cz on q4, q0)", "not coupled"),
        (circuit().add("cz", 1, 1), "(cz on q1, q1)", "one qubit twice"),
        (circuit().add("barrier", 1, 0, 1), "(barrier on q1, q0, q1)", "names a qubit twice"),
        (
            circuit().add("rz", 0, params=(float("nan"),)),
            "(rz on q0)",
            "a parameter is nan; it must be a finite number",
        ),
        (circuit().add("rz", 0, params=(float("-inf"),)), "(rz on q0)", "-inf"),
        (circuit(clbits=2).measure(0, 2), "(measure on q0)", "classical bit 2 is out of range; the circuit has 2"),
        (circuit().delay(0, -1e-9), "(delay on q0)", "delay of -1e-09 s is negative; the least is 0"),
        (circuit().delay(0, 1.1), "(delay on q0)", "delay of 1.1 s is above 1 s, the most"),
        (circuit().delay(0, 16.0), "(delay on q0)", "meant in another unit"),
        (circuit().delay(0, float("nan")), "(delay on q0)", "a parameter is nan"),
        (circuit().add("sx", 0).add("reset", 0), "operation 1 (reset on q0)", "has no feed-forward"),
        (circuit().measure(0, 0).add("reset", 0), "operation 1 (reset on q0)", "every shot starts from reset qubits"),
        (circuit().add("cz", 0, 1).add("reset", 1), "operation 1 (reset on q1)", "has no feed-forward"),
    ],
)
def test_a_culprit_is_named_with_its_place_and_what_to_do(builder: CircuitBuilder, where: str, what: str) -> None:
    (problem,) = problems(pack([circuit("good").add("sx", 0), builder]))
    assert problem.where.startswith("circuit 1 ('a'), operation ")
    assert problem.where.endswith(where)
    assert re.search(what, problem.what)
    assert problem.circuit == 1
    assert problem.operation == len(list(builder)) - 1


def test_all_problems_of_all_circuits_come_at_once_in_order() -> None:
    first = circuit("first").add("sx", 0).add("cz", 0, 2).add("rz", 0, params=(np.nan,)).add("h", 9).add("cz", 0, 2)
    second = circuit("second").delay(3, 2.0).add("sx", 1).add("reset", 1)
    found = problems(pack([first, second]))
    assert [(p.circuit, p.operation) for p in found] == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 0)]


def test_an_operation_is_blamed_once() -> None:
    (problem,) = problems(pack([circuit().add("rz", 9, params=(np.nan,))]))
    assert "out of range" in problem.what


def test_a_million_problems_are_counted_and_a_hundred_written() -> None:
    row = Operation(name="rz", num_qubits=1, num_params=1, num_clbits=0)
    many = 10**6
    bad = Circuit(
        name="bad",
        num_qubits=1,
        num_clbits=0,
        opcodes=np.zeros(many, dtype=np.uint16),
        qubits=np.zeros(many, dtype=np.uint16),
        params=np.full(many, np.nan),
        clbits=np.zeros(0, dtype=np.uint32),
    )
    found = problems(CircuitBatch(operations=(row,), circuits=(bad,)))
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1].what == f"has {many - MAX_PROBLEMS} more problems"


def test_resets_delays_and_barriers_before_the_first_gate_are_allowed() -> None:
    started = circuit().add("reset", 0).delay(0, 1e-6).add("barrier", 0, 1).add("reset", 0).add("sx", 0).add("reset", 1)
    (program,) = compiled(started.measure(0, 0)).programs()
    assert program.duration == 1000 + 40 + 800


def test_a_gate_on_another_qubit_does_not_forbid_a_reset() -> None:
    assert compiled(circuit("one").add("x", 0), circuit("two").add("reset", 0)).num_programs == 2


def test_a_gate_without_calibrated_values_names_them_and_what_there_is_instead() -> None:
    snapshot = without("q1.sx.amplitude", "q1.sx.beta")
    (problem,) = problems(pack([circuit().add("sx", 1)]), snapshot)
    assert problem.what == (
        "cannot be played at revision 1: q1.sx.amplitude: has no value; calibrate it; "
        "q1.sx.beta: has no value; calibrate it. sx is calibrated on q0, q2, q3, q4"
    )


def test_a_gate_that_is_calibrated_nowhere_says_so() -> None:
    snapshot = without(*(f"q{i}.x.amplitude" for i in range(5)))
    (problem,) = problems(pack([circuit().add("x", 1)]), snapshot)
    assert "x is calibrated nowhere" in problem.what


def test_a_gate_without_an_error_can_still_be_played_as_a_calibration_does() -> None:
    assert compiled(circuit().add("sx", 0), snapshot=without("q0.sx.error")).num_programs == 1


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"q0.sx.amplitude": 1.5}, r"q0\.sx\.amplitude: 1\.5 is outside -1 to 1"),
        ({"q0.sx.duration": 40.5e-9}, r"q0\.sx\.duration: .*40\.5 ns, which is not a whole number"),
        ({"q0.sx.sigma": 0.0}, r"q0\.sx\.sigma"),
    ],
)
def test_values_that_contradict_the_law_keep_a_gate_from_being_played(values: dict[str, float], what: str) -> None:
    (problem,) = problems(pack([circuit().add("sx", 0)]), SNAPSHOT.with_values(values))
    assert re.search(what, problem.what)


def test_an_acquisition_longer_than_its_measurement_is_refused() -> None:
    (problem,) = problems(pack([circuit().measure(0, 0)]), SNAPSHOT.with_values({"q0.measure.duration": 679e-9}))
    assert "an acquisition that ends after 680 ns does not fit measure on q0, which takes 679 ns" in problem.what
    fitting = SNAPSHOT.with_values({"q0.measure.duration": 680e-9})
    assert compiled(circuit().measure(0, 0), snapshot=fitting).num_programs == 1


def test_a_circuit_with_too_many_qubits_is_refused() -> None:
    (problem,) = problems(pack([circuit("wide", qubits=6)]))
    assert str(problem) == "circuit 0 ('wide'): has 6 qubits; line5 has 5"


@pytest.mark.parametrize("shots", [-1, 0, 100_001, 10**9])
def test_shots_out_of_range_are_refused_together_with_the_rest(shots: int) -> None:
    spec = JobSpec(batch=pack([circuit().add("h", 0)]), sweep=Sweep(), shots=shots)
    with pytest.raises(InvalidCircuitError) as refused:
        compile_job(DEVICE, SNAPSHOT, spec)
    assert str(refused.value.problems[0]) == f"shots: is {shots}; line5 takes 1 to 100000 of each circuit"
    assert len(refused.value.problems) == 2


@pytest.mark.parametrize("shots", [1, 100_000])
def test_shots_at_the_limits_are_taken(shots: int) -> None:
    assert compile_job(DEVICE, SNAPSHOT, JobSpec(batch=pack([circuit()]), sweep=Sweep(), shots=shots)).num_programs == 1


@pytest.mark.parametrize("count", [0, 10_001])
def test_too_few_or_too_many_circuits_are_refused(count: int) -> None:
    (problem,) = problems(pack([circuit()] * count))
    assert problem.what == f"holds {count} circuits; line5 takes 1 to 10000 in a job"


def columns(**changes: Any) -> CircuitBatch:
    batch = pack([circuit().add("rz", 0, params=(1.0,)).measure(0, 0)])
    return replace(batch, circuits=(replace(batch.circuits[0], **changes),))


@pytest.mark.parametrize(
    ("batch", "what"),
    [
        (columns(opcodes=np.array([0, 2], dtype=np.uint16)), "has opcode 2; the table of operations has 2 rows"),
        (columns(qubits=np.zeros(3, dtype=np.uint16)), "column qubits has 3 entries; its operations take 2"),
        (columns(params=np.zeros(0)), "column params has 0 entries; its operations take 1"),
        (columns(clbits=np.zeros(2, dtype=np.uint32)), "column clbits has 2 entries; its operations take 1"),
    ],
)
def test_columns_that_do_not_fit_each_other_are_refused(batch: CircuitBatch, what: str) -> None:
    assert [problem.what for problem in problems(batch)] == [what]


def test_a_table_without_rows_is_fine_for_circuits_without_operations() -> None:
    assert [p.duration for p in compiled(circuit()).programs()] == [0]


def test_rounded_delays_are_told_once_per_circuit() -> None:
    rounded = circuit("t1").delay(0, 100e-9).delay(0, 10.4e-9).delay(0, 20.6e-9).measure(0, 0)
    log = compiled(circuit("exact").delay(0, 1e-6).measure(0, 0), rounded).log
    assert log == (
        "circuit 1 ('t1'): 2 of its delays rounded to the nearest 1 ns, such as operation 1 from 1.04e-08 s to 1e-08 s",
    )


def test_a_circuit_that_measures_nothing_is_told() -> None:
    assert compiled(circuit("empty").add("x", 0)).log == ("circuit 0 ('empty') measures nothing; its result is empty",)


def test_the_passive_reset_is_the_longest_of_any_qubit() -> None:
    assert compiled(circuit()).reset == 210_000
    assert passive_reset(DEVICE, SNAPSHOT.with_values({"q3.reset.duration": 300e-6})) == 300_000
    with pytest.raises(InvalidCalibrationError, match="no qubit has one at revision 1"):
        passive_reset(DEVICE, without(*(f"q{i}.reset.duration" for i in range(5))))


def test_sound_circuits_are_checked_beside_those_whose_columns_do_not_fit() -> None:
    batch = pack([circuit().add("h", 1), circuit().measure(0, 0), circuit().add("h", 2)])
    cut = replace(batch.circuits[1], clbits=np.zeros(0, dtype=np.uint32))
    found = problems(replace(batch, circuits=(batch.circuits[0], cut, batch.circuits[2])))
    assert [(problem.circuit, problem.operation) for problem in found] == [(0, 0), (1, None), (2, 0)]


def test_an_operation_of_an_empty_table_is_refused() -> None:
    whole = pack([circuit("a").add("x", 0)])
    (found,) = problems(replace(whole, operations=()))
    assert found.what == "has opcode 0; the table of operations has 0 rows"
