"""Sweeps of calibration parameters: each point is played with its value, and what makes no sense is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from qubitd.compiler.compile import Compiled, compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.program import Program
from qubitd.core.register_grid import RegisterGrid
from qubitd.core.sweep import Sweep, SweepAxis

FILE = load_device("line5")
SNAPSHOT = FILE.snapshot()


def circuit(name: str, *qubits: int) -> CircuitBuilder:
    builder = CircuitBuilder(name=name, num_qubits=5, num_clbits=5)
    for qubit in qubits:
        builder.add("x", qubit).measure(qubit, qubit)
    return builder


RABI = circuit("rabi", 0)
BOTH = circuit("both", 0, 1)


def axis(*names: str, values: list[list[float]]) -> SweepAxis:
    return SweepAxis(names=names, values=np.array(values))


def compiled(*axes: SweepAxis, circuits: tuple[CircuitBuilder, ...] = (RABI,)) -> Compiled:
    return compile_circuits(FILE.device, SNAPSHOT, pack(circuits), Sweep(axes=axes))


def problems(*axes: SweepAxis, circuits: tuple[CircuitBuilder, ...] = (RABI,)) -> list[str]:
    with pytest.raises(InvalidCircuitError) as refused:
        compiled(*axes, circuits=circuits)
    return [str(problem) for problem in refused.value.problems]


def drive(program: Program) -> tuple[float, float, float, int]:
    plays = program.plays
    i = int(np.flatnonzero(plays.line == program.lines.index("q0.drive"))[0])
    return float(plays.amplitude[i]), float(plays.frequency[i]), float(plays.phase[i]), int(plays.length[i])


def test_each_point_is_played_with_its_value() -> None:
    amplitudes = [-0.3, 0.0, 0.125, 1.0]
    programs = list(compiled(axis("q0.x.amplitude", values=[amplitudes])).programs())
    assert [drive(p)[0] for p in programs] == amplitudes
    assert len({id(p.tables) for p in programs}) == 1


def test_a_point_is_the_same_as_a_snapshot_with_its_values() -> None:
    point = {"q0.frequency": 6.0501e9, "q0.x.beta": 0.3e-9, "q0.x.duration": 48e-9}
    (swept,) = compiled(axis(*point, values=[[v] for v in point.values()])).programs()
    (changed,) = compile_circuits(FILE.device, SNAPSHOT.with_values(point), pack([RABI])).programs()
    for name in ("line", "start", "length", "amplitude", "phase", "frequency"):
        np.testing.assert_array_equal(getattr(swept.plays, name), getattr(changed.plays, name))
    first, second = (p.tables.envelopes[p.plays.envelope[0]].digest for p in (swept, changed))
    assert first == second
    assert swept.duration == changed.duration == 48 + 800


def test_programs_come_circuit_by_circuit_and_the_last_axis_runs_fastest() -> None:
    job = compiled(
        axis("q0.x.amplitude", values=[[0.1, 0.2]]),
        axis("q0.frequency", values=[[6e9, 6.1e9]]),
        circuits=(RABI, BOTH),
    )
    assert job.num_programs == 8
    programs = list(job.programs())
    assert [p.name for p in programs] == ["rabi"] * 4 + ["both"] * 4
    assert [drive(p)[:2] for p in programs] == [(0.1, 6e9), (0.1, 6.1e9), (0.2, 6e9), (0.2, 6.1e9)] * 2


@pytest.mark.parametrize("first", [0, 1, 3, 4, 7])
def test_programs_can_be_made_again_from_any_one_on(first: int) -> None:
    job = compiled(axis("q0.x.amplitude", values=[[0.1, 0.2, 0.3, 0.4]]), circuits=(RABI, BOTH))
    whole = [(p.name, drive(p)) for p in job.programs()]
    assert [(p.name, drive(p)) for p in job.programs(first=first)] == whole[first:]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_circuits_without_a_sweep_can_be_made_again_from_any_one_on(first: int) -> None:
    job = compile_circuits(FILE.device, SNAPSHOT, pack([circuit(f"c{i}", i) for i in range(3)]))
    assert [p.name for p in job.programs(first=first)] == ["c0", "c1", "c2"][first:]


def test_names_on_one_axis_step_together() -> None:
    job = compiled(axis("q0.x.amplitude", "q0.readout.amplitude", values=[[0.1, 0.2], [0.11, 0.12]]))
    seen = [[float(a) for a in p.plays.amplitude] for p in job.programs()]
    assert seen == [[0.1, 0.11], [0.2, 0.12]]


def test_the_values_returned_are_those_played() -> None:
    job = compiled(axis("q0.x.duration", values=[[40.0004e-9, 50e-9]]), axis("q0.x.amplitude", values=[[1 / 3]]))
    np.testing.assert_array_equal(job.sweep.axes[0].values, [[40e-9, 50e-9]])
    np.testing.assert_array_equal(job.sweep.axes[1].values, [[1 / 3]])
    assert [drive(p)[3] for p in job.programs()] == [40, 50]


def test_what_goes_into_registers_is_rounded_to_their_steps() -> None:
    grid = RegisterGrid(amplitude=1 / 8, most_amplitude=7 / 8, frequency=0.25, phase=1e-3)
    sweep = Sweep(
        axes=(
            axis("q0.x.amplitude", values=[[-0.3, 0.0625, 0.95]]),
            axis("q0.frequency", "q0.readout.frequency", values=[[6e9 + 0.1], [7.48e9 - 0.4]]),
        )
    )
    job = compile_circuits(FILE.device, SNAPSHOT, pack([RABI]), sweep, grid=grid)
    assert job.sweep.axes[0].values.tolist() == [[-0.25, 0.125, 0.875]]
    assert job.sweep.axes[1].values.tolist() == [[6e9], [7.48e9 - 0.5]]
    assert [drive(p)[0] for p in job.programs()] == [-0.25, 0.125, 0.875]


def test_parameters_may_step_together_with_the_bindings_of_one_circuit() -> None:
    turned = CircuitBuilder(name="turned", num_qubits=5, num_clbits=5)
    turned.add("rz", 0, params=(FromColumn(column=0),)).add("x", 0).measure(0, 0).bind(np.array([[0.1], [0.2]]))
    sweep = Sweep(
        axes=(axis("q0.frequency", values=[[6.0e9, 6.1e9]]),), along=axis("q0.x.amplitude", values=[[0.1, 0.2]])
    )
    job = compile_circuits(FILE.device, SNAPSHOT, pack([turned]), sweep)
    assert [drive(p)[:2] for p in job.programs()] == [(0.1, 6.0e9), (0.1, 6.1e9), (0.2, 6.0e9), (0.2, 6.1e9)]
    assert [point["q0.x.amplitude"] for point in job.sweep.points()] == [0.1, 0.1, 0.2, 0.2]
    with pytest.raises(InvalidCircuitError, match="steps through 2 values with the bindings of one circuit; the job's"):
        compile_circuits(FILE.device, SNAPSHOT, pack([turned, turned]), sweep)


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("q0.x.amplitud", [0.1], r"revision 1 has no such parameter; did you mean q0\.x\.amplitude"),
        ("q77.flux", [0.1], r"no such parameter$"),
        ("q1.x.amplitude", [0.1], r"no circuit of the job is played with it; swept can be q0\.frequency, q0\.measure"),
        ("q0.t1", [1e-6], "no circuit of the job is played with it"),
        ("q0.reset.duration", [1e-6], "no circuit of the job is played with it"),
        ("q0.x.amplitude", [0.1, 1.1], "1.1 is outside -1 to 1"),
        ("q0.x.amplitude", [-1.1, 0.1], "-1.1 is outside -1 to 1"),
        ("q0.frequency", [6.05], "meant in GHz"),
        ("q0.x.duration", [40e-9, 40.5e-9], r"point 1 is 40\.5 ns; a duration must be a whole number of 1 ns ticks"),
        ("q0.measure.duration", [700e-9, 600e-9], r"sweep at q0\.measure\.duration = 6e-07: .* does not fit"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(name: str, values: list[float], what: str) -> None:
    found = problems(axis(name, values=[values]))
    assert any(re.search(what, problem) for problem in found), found


def test_all_axes_are_checked_at_once() -> None:
    found = problems(axis("q0.x.amplitude", values=[[2.0]]), axis("q9.t1", values=[[1e-6]]))
    assert len(found) == 2


def test_circuits_that_a_sweep_does_not_reach_are_told() -> None:
    job = compiled(axis("q0.x.amplitude", values=[[0.1, 0.2]]), circuits=(RABI, circuit("other", 1)))
    assert job.log == (
        "sweep of q0.x.amplitude: 1 of 2 circuits are not played with it, such as circuit 1 ('other'); "
        "their points are alike",
    )
    other = list(job.programs(first=2))
    np.testing.assert_array_equal(other[0].plays.amplitude, other[1].plays.amplitude)


def test_the_discriminator_of_a_measured_qubit_can_be_swept() -> None:
    job = compiled(axis("q0.readout.threshold", values=[[0.0, 0.01]]))
    first, second = job.programs()
    np.testing.assert_array_equal(first.plays.amplitude, second.plays.amplitude)
    assert "no circuit" in problems(axis("q1.readout.threshold", values=[[0.0]]))[0]


def test_a_swept_envelope_grows_the_table_and_keeps_old_indices() -> None:
    programs = list(compiled(axis("q0.x.sigma", values=[[8e-9, 9e-9, 8e-9]])).programs())
    digests = [p.tables.envelopes[p.plays.envelope[0]].digest for p in programs]
    assert digests[0] == digests[2] != digests[1]
    assert [len(p.tables.envelopes) for p in programs] == [2, 3, 3]
    assert programs[2].tables.envelopes[:2] == programs[0].tables.envelopes
