"""When operations start: as late as possible, in order on every qubit, with barriers that only order."""

from __future__ import annotations

import pytest

from qubitd.compiler.compile import compile_circuits, compile_job
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, Scheduling
from qubitd.core.program import Program
from qubitd.core.sweep import Sweep

FILE = load_device("line5")
SX, CZ01, CZ12, MEASURE = 40, 70, 68, 800


def circuit() -> CircuitBuilder:
    return CircuitBuilder(name="a", num_qubits=5, num_clbits=5)


def program(builder: CircuitBuilder) -> Program:
    (made,) = compile_circuits(FILE.device, FILE.snapshot(), pack([builder])).programs()
    return made


def early(builder: CircuitBuilder) -> Program:
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, scheduling=Scheduling.ASAP)
    (made,) = compile_job(FILE.device, FILE.snapshot(), spec).programs()
    return made


def starts(made: Program, line: str) -> list[int]:
    return [int(s) for s in made.plays.start[made.plays.line == made.lines.index(line)]]


def test_gates_on_one_qubit_follow_each_other_without_a_gap() -> None:
    made = program(circuit().add("sx", 0).add("x", 0).add("id", 0).add("sx", 0).measure(0, 0))
    assert starts(made, "q0.drive") == [0, 40, 120]
    assert starts(made, "q0.readout") == [160]
    assert made.duration == 160 + MEASURE


def test_a_short_qubit_waits_at_the_start_where_it_cannot_decay() -> None:
    made = program(circuit().add("sx", 0).add("sx", 0).add("sx", 0).add("sx", 1).add("cz", 0, 1))
    assert starts(made, "q0.drive") == [0, 40, 80]
    assert starts(made, "q1.drive") == [80]
    assert starts(made, "q0.flux") == [120]
    assert made.duration == 120 + CZ01


def test_measurements_with_nothing_behind_them_start_together() -> None:
    builder = circuit().add("sx", 0).add("sx", 0).add("sx", 1)
    made = program(builder.measure(0, 0).measure(1, 1).measure(4, 4))
    assert [starts(made, f"q{q}.readout") for q in (0, 1, 4)] == [[80]] * 3


def test_a_measurement_in_the_middle_keeps_its_place() -> None:
    made = program(circuit().add("sx", 0).measure(0, 0).add("sx", 0).measure(0, 1))
    assert starts(made, "q0.readout") == [40, 40 + MEASURE + 40]
    assert starts(made, "q0.drive") == [0, 40 + MEASURE]
    assert made.acquisitions.order.tolist() == [0, 1]
    assert made.acquisitions.clbit.tolist() == [0, 1]


def test_a_barrier_orders_and_takes_no_time() -> None:
    made = program(circuit().add("sx", 0).add("barrier", 0, 1).add("sx", 1).measure(0, 0).measure(1, 1))
    assert starts(made, "q0.drive") == [0]
    assert starts(made, "q1.drive") == [40]
    assert starts(made, "q0.readout") == starts(made, "q1.readout") == [80]


def test_a_barrier_does_nothing_for_other_qubits() -> None:
    made = program(circuit().add("sx", 0).add("barrier", 0, 1).add("sx", 1).add("sx", 2))
    assert starts(made, "q2.drive") == starts(made, "q1.drive") == [40]


def test_a_barrier_of_one_qubit_and_of_all_are_fine() -> None:
    made = program(circuit().add("sx", 0).add("barrier", 0).add("barrier", 0, 1, 2, 3, 4).add("sx", 4))
    assert starts(made, "q0.drive") == [0]
    assert starts(made, "q4.drive") == [40]


def test_a_barrier_before_measuring_does_not_hold_the_others_back() -> None:
    made = program(circuit().add("x", 0).add("barrier", *range(5)).measure(0, 0).measure(1, 1))
    assert starts(made, "q0.readout") == starts(made, "q1.readout") == [40]


@pytest.mark.parametrize(("seconds", "ticks"), [(0.0, 0), (1e-9, 1), (3e-9, 3), (65_536e-9, 65_536), (300e-6, 300_000)])
def test_a_delay_takes_its_time(seconds: float, ticks: int) -> None:
    made = program(circuit().add("x", 0).delay(0, seconds).measure(0, 0))
    assert starts(made, "q0.readout") == [40 + ticks]


def test_a_delay_is_rounded_to_the_nearest_tick() -> None:
    assert program(circuit().delay(0, 10.4e-9)).duration == 10
    assert program(circuit().delay(0, 10.6e-9)).duration == 11


def test_delays_at_both_ends_count() -> None:
    made = program(circuit().delay(0, 100e-9).add("x", 0).delay(0, 50e-9))
    assert starts(made, "q0.drive") == [100]
    assert made.duration == 190


def test_chains_across_the_chip_meet_where_they_must() -> None:
    builder = circuit().add("sx", 2).add("cz", 1, 2).add("cz", 0, 1).add("sx", 2).add("sx", 0)
    made = program(builder)
    assert starts(made, "q1.flux") == [40]
    assert starts(made, "q0.flux") == [40 + CZ12]
    assert starts(made, "q0.drive") == [40 + CZ12 + CZ01]
    assert starts(made, "q2.drive") == [0, 40 + CZ12 + CZ01]
    assert made.duration == 40 + CZ12 + CZ01 + SX


def test_rz_takes_no_time_and_plays_nothing() -> None:
    made = program(circuit().add("rz", 0, params=(1.0,)).add("rz", 1, params=(1.0,)).add("barrier", 0, 1))
    assert made.duration == 0
    assert len(made.plays.start) == 0


def test_circuits_of_a_batch_do_not_wait_for_each_other() -> None:
    batch = pack([circuit().add("x", 0).measure(0, 0), circuit(), circuit().add("x", 0).add("x", 0).measure(0, 0)])
    first, empty, last = compile_circuits(FILE.device, FILE.snapshot(), batch).programs()
    assert [first.duration, empty.duration, last.duration] == [40 + MEASURE, 0, 80 + MEASURE]
    assert starts(last, "q0.readout") == [80]
    assert last.acquisitions.order.tolist() == [0]


def test_a_longer_duration_moves_the_schedule_the_pulse_and_nothing_else() -> None:
    snapshot = FILE.snapshot().with_values({"q0.sx.duration": 60e-9})
    batch = pack([circuit().add("sx", 0).add("sx", 1).measure(0, 0).measure(1, 1)])
    (made,) = compile_circuits(FILE.device, snapshot, batch).programs()
    assert starts(made, "q0.drive") == [0]
    assert starts(made, "q1.drive") == [20]
    assert made.plays.length[0] == len(made.tables.envelopes[made.plays.envelope[0]].samples) == 60


# As soon as possible


def test_as_soon_as_possible_a_short_qubit_waits_in_the_middle() -> None:
    made = early(circuit().add("sx", 0).add("sx", 0).add("sx", 0).add("sx", 1).add("cz", 0, 1))
    assert starts(made, "q0.drive") == [0, 40, 80]
    assert starts(made, "q1.drive") == [0]
    assert starts(made, "q0.flux") == [120]
    assert made.duration == 120 + CZ01


def test_as_soon_as_possible_each_qubit_is_measured_when_it_is_ready() -> None:
    builder = circuit().add("sx", 0).add("sx", 0).add("sx", 1)
    made = early(builder.measure(0, 0).measure(1, 1).measure(4, 4))
    assert [starts(made, f"q{q}.readout") for q in (0, 1, 4)] == [[80], [40], [0]]
    assert made.duration == 80 + MEASURE


def test_as_soon_as_possible_a_barrier_still_orders() -> None:
    made = early(circuit().add("sx", 0).add("barrier", 0, 1, 2).add("sx", 1).add("sx", 2).add("sx", 0))
    assert [starts(made, f"q{q}.drive") for q in (0, 1, 2)] == [[0, 40], [40], [40]]
