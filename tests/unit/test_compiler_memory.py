"""What was worked out about a circuit is kept for the next job, as long as it was asked for lately."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from qubitd.compiler import gate_table
from qubitd.compiler.batch_columns import BatchColumns
from qubitd.compiler.calibrated import CalibratedGates
from qubitd.compiler.check import Findings, check_batch
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.memory import MOST_ENTRIES, Memory, Structure, entries_of
from qubitd.compiler.pipeline import Pipeline
from qubitd.compiler.swept import CheckedSweep, check_sweep
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack
from qubitd.core.register_grid import RegisterGrid
from qubitd.core.sweep import Sweep, SweepAxis

FILE = load_device("line5")


def batch(angle: float | FromColumn = 0.1, *, values: float | None = None) -> CircuitBatch:
    builder = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).add("rz", 0, params=(angle,)).measure(0, 0)
    return pack([builder if values is None else builder.bind([values])])


def columns(of: CircuitBatch) -> BatchColumns:
    return BatchColumns(of, FILE.device.num_qubits)


def structure(of: CircuitBatch) -> object:
    return Structure(of.circuits[0], of.operations, 1)


def test_an_answer_is_worked_out_once() -> None:
    memory = Memory()
    assert memory.recall("question", 1, lambda: "answer") == "answer"
    assert memory.recall("question", 1, lambda: "another") == "answer"


def test_what_was_not_asked_for_lately_is_forgotten() -> None:
    memory = Memory(most=30)
    for name in ("a", "b", "a", "c", "d"):
        memory.recall(name, 10, lambda: 1)
    assert memory.recall("a", 10, lambda: 2) == 1
    assert memory.recall("b", 10, lambda: 2) == 2
    assert memory.recall("d", 10, lambda: 3) == 1


def test_what_is_too_large_is_not_kept_and_drives_nothing_out() -> None:
    memory = Memory(most=30)
    memory.recall("small", 10, lambda: 1)
    memory.recall("large", 31, lambda: 1)
    assert memory.recall("large", 31, lambda: 2) == 2
    assert memory.recall("small", 10, lambda: 2) == 1


def test_circuits_that_differ_in_more_than_names_and_numbers_have_different_structures() -> None:
    column = FromColumn(column=0)
    assert structure(batch(column, values=1.0)) == structure(batch(column, values=2.0))
    assert structure(batch(0.1)) == structure(batch(0.2))
    other = batch(0.1)
    assert structure(replace(other, circuits=(replace(other.circuits[0], name="d"),))) == structure(other)
    assert structure(replace(other, circuits=(replace(other.circuits[0], num_clbits=2),))) != structure(other)
    assert structure(replace(other, operations=other.operations[::-1])) != structure(other)


def test_the_same_circuit_is_prepared_and_checked_once_at_a_calibration() -> None:
    gates = CalibratedGates(FILE.device, FILE.snapshot())
    first, second = batch(FromColumn(column=0), values=1.0), batch(FromColumn(column=0), values=2.0)
    prepared = Pipeline(gates, columns(first)).prepare_cases(0)
    assert Pipeline(gates, columns(second)).prepare_cases(0).wires is prepared.wires
    other = columns(batch(FromColumn(column=0), values=-1.0))
    assert check_batch(gates, columns(second)) is not check_batch(gates, other)


def test_a_circuit_that_comes_again_with_other_angles_is_prepared_and_checked_once() -> None:
    gates = CalibratedGates(FILE.device, FILE.snapshot())
    first, second = (Pipeline(gates, columns(batch(angle))).prepare_cases(0) for angle in (0.1, 0.2))
    assert second.wires is first.wires
    assert [prepared.columns.params.tolist() for prepared in (first, second)] == [[0.1], [0.2]]
    assert check_batch(gates, columns(batch(0.1))) is check_batch(gates, columns(batch(0.2)))
    (problem,) = check_batch(gates, columns(batch(math.inf))).problems
    assert problem.what == "a parameter is inf; it must be a finite number"


def test_the_delays_of_a_circuit_are_checked_and_scheduled_whenever_they_differ() -> None:
    gates = CalibratedGates(FILE.device, FILE.snapshot())

    def found(seconds: float) -> tuple[Findings, list[int]]:
        builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=1).add("x", 0).delay(0, seconds).measure(0, 0)
        gathered = columns(pack([builder]))
        findings, pipeline = check_batch(gates, gathered), Pipeline(gates, gathered)
        prepared = pipeline.prepare_cases(0)
        return findings, pipeline.schedule(prepared, pipeline.numbers(prepared, {})).start.tolist()

    assert [found(seconds)[1] for seconds in (100e-9, 60e-9, 100e-9)] == [[0, 40, 140], [0, 40, 100], [0, 40, 140]]
    assert [len(found(seconds)[0].problems) for seconds in (1e-6, -1e-6, 1e-6)] == [0, 1, 0]
    assert [len(found(seconds)[0].log) for seconds in (1e-6, 1.4e-9, 1e-6)] == [0, 1, 0]


def test_a_circuit_that_comes_again_under_another_name_is_checked_once_unless_there_is_something_to_say() -> None:
    gates = CalibratedGates(FILE.device, FILE.snapshot())

    def found(name: str, seconds: float) -> Findings:
        builder = CircuitBuilder(name=name, num_qubits=1, num_clbits=1).delay(0, seconds).measure(0, 0)
        return check_batch(gates, columns(pack([builder])))

    assert found("a", 1e-6) is found("b", 1e-6)
    assert [found(name, 1.4e-9).log[0][:15] for name in "aba"] == [
        "circuit 0 ('a')",
        "circuit 0 ('b')",
        "circuit 0 ('a')",
    ]
    assert [found(name, 2.0).problems[0].where[:15] for name in "ab"] == ["circuit 0 ('a')", "circuit 0 ('b')"]


def test_a_scan_of_the_same_gates_is_checked_once_on_each_grid_of_registers() -> None:
    gates = CalibratedGates(FILE.device, FILE.snapshot())

    def found(*amplitudes: float, gate: str = "x", step: float = 0.0) -> CheckedSweep:
        pipeline = Pipeline(gates, columns(pack([CircuitBuilder(name="a", num_qubits=1, num_clbits=1).add(gate, 0)])))
        axis = SweepAxis(names=("q0.x.amplitude",), values=np.array([amplitudes]))
        return check_sweep(pipeline, Sweep(axes=(axis,)), RegisterGrid(amplitude=step))

    assert found(0.1, 0.2) is found(0.1, 0.2)
    assert found(0.1, 0.2).sweep.axes[0].values.tolist() == [[0.1, 0.2]]
    assert found(0.1, 0.2, step=0.25).sweep.axes[0].values.tolist() == [[0.0, 0.25]]
    assert found(0.1, 0.3).sweep.axes[0].values.tolist() == [[0.1, 0.3]]
    assert found(0.1, 3.0).problems == found(0.1, 3.0).problems != ()
    assert "no circuit of the job is played with it" in found(0.1, 0.2, gate="sx").problems[0].what


def test_scans_whose_values_are_other_numbers_in_the_same_bytes_are_told_apart() -> None:
    gates = CalibratedGates(FILE.device, FILE.snapshot())
    pipeline = Pipeline(gates, columns(pack([CircuitBuilder(name="a", num_qubits=1, num_clbits=1).add("x", 0)])))
    least, most = (np.array([[0.0, value]]) for value in (5e-324, 1.0))
    swapped = least.view(np.dtype(">f8")), most.view(np.dtype(">f8"))
    for values in (least, most, *swapped):
        axis = SweepAxis(names=("q0.x.amplitude",), values=values)
        found = check_sweep(pipeline, Sweep(axes=(axis,)), RegisterGrid())
        assert found.sweep.axes[0].values.tolist() == values.tolist()


def test_a_large_table_counts_although_the_circuit_is_small() -> None:
    small = batch()
    rows = tuple(replace(small.operations[0], name=f"g{i}") for i in range(MOST_ENTRIES // 16))
    assert entries_of(small.circuits[0], small.operations) < 100
    assert entries_of(small.circuits[0], rows) > MOST_ENTRIES


def test_the_gates_of_a_large_table_are_not_kept_although_few_occur() -> None:
    small = batch()
    gates = columns(small).of(range(1)).kinds.gates
    kept = gate_table._gates_of.cache_info()
    rows = tuple(replace(small.operations[0], name=f"g{i}") for i in range(4096))
    kinds = columns(replace(small, operations=(*small.operations, *rows))).of(range(1)).kinds
    assert kinds.gates == gates
    assert gate_table._gates_of.cache_info() == kept


def test_a_long_circuit_pushes_out_nothing_that_is_known_of_gates() -> None:
    gates = CalibratedGates(FILE.device, FILE.snapshot())

    def compiled(name: str, length: int) -> object:
        builder = CircuitBuilder(name="long", num_qubits=1, num_clbits=1)
        for _ in range(length):
            builder.add(name, 0)
        pipeline = Pipeline(gates, columns(pack([builder.measure(0, 0)])))
        return gates.numbers(pipeline.prepare_cases(0).keys, {})

    short = compiled("x", 1)
    for length in range(30_000, 30_004):
        compiled("sx", length)
    assert compiled("x", 1) is short


def test_a_circuit_that_is_known_under_another_name_keeps_its_own() -> None:
    def names(of: CircuitBatch) -> set[str]:
        return {program.name for program in compile_circuits(FILE.device, FILE.snapshot(), of).programs()}

    known = batch(FromColumn(column=0), values=1.0)
    other = replace(known, circuits=(replace(known.circuits[0], name="d"),))
    assert (names(known), names(other), names(known)) == ({"c"}, {"d"}, {"c"})
