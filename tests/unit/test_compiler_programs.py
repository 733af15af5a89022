"""What is played: phases of frames, frequencies, amplitudes, acquisitions, composite gates."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest

from qubitd.compiler.columns import blocks
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import DeviceFile, load_device, read_device
from qubitd.compiler.expected import expected
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.program import Program

LINE5 = load_device("line5")

LAB = """
name = "lab"
description = "Gates of a lab's own"
[limits]
shots = 1000
circuits = 10
[qubits.q0]
frequency = 5e9
reset.duration = 1e-6
readout.frequency = 7e9
[qubits.q1]
frequency = 6e9
readout.frequency = 7.1e9
[pairs.q0_q1]
pulsed = "q1"
cz.phase_first = 0.25
cz.phase_second = 0.5
[gates.rz]
on = "qubits"
angles = ["theta"]
duration = 0.0
error = 0.0
steps = [{ shift_phase = "theta" }]
[gates.sx]
on = "qubits"
duration = 20e-9
error = 0.0
steps = [{ play = "square", line = "drive", length = 20e-9, amplitude = 0.5 }]
[gates.rx]
on = "qubits"
angles = ["theta"]
duration = 20e-9
error = 0.0
steps = [{ play = "square", line = "drive", length = 20e-9, amplitude = "theta/(2*pi)", phase = "pi/4" }]
[gates.wiggle]
on = "qubits"
angles = ["a", "b"]
duration = 40e-9
error = 0.0
steps = [
  { shift_phase = "a" },
  { play = "square", line = "drive", length = 20e-9, amplitude = "(a + b)/10", phase = "2*b" },
  { shift_phase = "b - a" },
]
[gates.cz]
on = "pairs"
symmetric = true
duration = 60e-9
error = 0.0
steps = [
  { play = "flat_top", line = "flux", qubit = "pulsed", length = 50e-9, amplitude = 0.4, rise = 5e-9 },
  { shift_phase = "cz.phase_first", qubit = 0 },
  { shift_phase = "cz.phase_second", qubit = 1 },
]
[gates.cross]
on = "pairs"
duration = 30e-9
error = 0.0
steps = [
  { play = "square", line = "drive", qubit = 1, length = 30e-9, amplitude = 0.3 },
  { shift_phase = 0.125, qubit = 0 },
]
[gates.parity]
on = [["q1", "q0"]]
duration = 200e-9
error = 0.1
steps = [
  { acquire = 100e-9, delay = 20e-9, qubit = 0 },
  { acquire = 120e-9, delay = 10e-9, qubit = 1 },
]
[gates.back]
on = "pairs"
error = 0.0
body = [{ gate = "cross", qubits = [1, 0] }]
[gates.u]
on = "qubits"
angles = ["theta", "phi", "lambda_"]
error = 0.0
body = [
  { gate = "rz", angles = ["lambda_"] },
  { gate = "sx" },
  { gate = "rz", angles = ["theta + pi"] },
  { gate = "sx" },
  { gate = "rz", angles = ["phi - pi"] },
]
[gates.cx]
on = "pairs"
error = 0.0
body = [
  { gate = "u", qubits = [1], angles = ["pi/2", 0, "pi"] },
  { gate = "cz" },
  { gate = "u", qubits = [1], angles = ["pi/2", 0, "pi"] },
]
"""
OWN = read_device(LAB.encode(), where="lab.toml")


def circuit(name: str = "a") -> CircuitBuilder:
    return CircuitBuilder(name=name, num_qubits=2, num_clbits=2)


def program(builder: CircuitBuilder, file: DeviceFile = OWN) -> Program:
    (made,) = compile_circuits(file.device, file.snapshot(), pack([builder])).programs()
    return made


def column(made: Program, line: str, name: str) -> list[float]:
    values = getattr(made.plays, name)[made.plays.line == made.lines.index(line)]
    return [float(value) for value in values]


def test_rz_advances_the_phase_of_all_later_plays_of_its_qubit_alone() -> None:
    builder = circuit().add("sx", 0).add("rz", 0, params=(0.5,)).add("sx", 0).add("rz", 0, params=(-2.0,)).add("sx", 0)
    made = program(builder.add("sx", 1))
    assert column(made, "q0.drive", "phase") == pytest.approx([0, 0.5, 0.5 - 2.0 + 2 * pi])
    assert column(made, "q1.drive", "phase") == [0]
    assert column(made, "q0.drive", "frame") == [0, 0, 0]
    assert column(made, "q1.drive", "frequency") == [6e9]


@pytest.mark.parametrize("pair", [(0, 1), (1, 0)])
def test_the_phases_of_a_cz_belong_to_the_sorted_pair_whichever_way_it_is_written(pair: tuple[int, int]) -> None:
    made = program(circuit().add("cz", *pair).add("sx", 0).add("sx", 1))
    assert column(made, "q0.drive", "phase") == pytest.approx([0.25])
    assert column(made, "q1.drive", "phase") == pytest.approx([0.5])
    assert column(made, "q1.flux", "amplitude") == [0.4]
    assert column(made, "q1.flux", "frame") == [-1]
    assert column(made, "q1.flux", "frequency") == [0]


@pytest.mark.parametrize(("pair", "line", "shifted"), [((0, 1), "q1.drive", 0), ((1, 0), "q0.drive", 1)])
def test_a_directed_gate_counts_its_operands_as_written(pair: tuple[int, int], line: str, shifted: int) -> None:
    made = program(circuit().add("cross", *pair).add("sx", 0).add("sx", 1))
    assert column(made, line, "amplitude") == [0.3, 0.5]
    assert column(made, f"q{shifted}.drive", "phase")[-1] == pytest.approx(0.125)
    assert column(made, f"q{1 - shifted}.drive", "phase")[-1] == 0


def test_amplitude_and_phase_may_depend_on_angles() -> None:
    made = program(circuit().add("rx", 0, params=(pi / 2,)).add("rz", 0, params=(1.0,)).add("rx", 0, params=(-pi,)))
    assert column(made, "q0.drive", "amplitude") == pytest.approx([0.25, -0.5])
    assert column(made, "q0.drive", "phase") == pytest.approx([pi / 4, pi / 4 + 1])


def test_phase_shifts_inside_a_gate_act_on_what_follows_them_in_it() -> None:
    made = program(circuit().add("wiggle", 0, params=(1.0, 0.5)).add("sx", 0))
    assert column(made, "q0.drive", "amplitude") == pytest.approx([0.15, 0.5])
    assert column(made, "q0.drive", "phase") == pytest.approx([1.0 + 2 * 0.5, 0.5])


def test_a_composite_gate_is_its_body() -> None:
    theta, phi, lam = 0.3, -1.1, 2.2
    by_name = program(circuit().add("u", 1, params=(theta, phi, lam)).add("sx", 1))
    written = circuit().add("rz", 1, params=(lam,)).add("sx", 1).add("rz", 1, params=(theta + pi,)).add("sx", 1)
    by_hand = program(written.add("rz", 1, params=(phi - pi,)).add("sx", 1))
    assert column(by_name, "q1.drive", "phase") == pytest.approx(column(by_hand, "q1.drive", "phase"))
    assert column(by_name, "q1.drive", "start") == [0, 20, 40]


def test_a_body_may_turn_its_qubits_round() -> None:
    made = program(circuit().add("back", 1, 0))
    assert column(made, "q1.drive", "amplitude") == [0.3]
    assert column(made, "q0.drive", "amplitude") == []


def test_a_composite_gate_inside_another_acts_on_the_right_qubits_among_other_operations() -> None:
    builder = circuit().add("sx", 0).add("cx", 1, 0).add("rz", 1, params=(1.0,)).add("barrier", 0, 1).delay(0, 30e-9)
    made = program(builder.add("sx", 1).add("u", 0, params=(0.0, 0.0, 0.0)))
    assert column(made, "q0.drive", "start") == [0, 20, 40, 120, 140, 190, 210]
    assert column(made, "q1.flux", "start") == [60]
    assert column(made, "q1.drive", "start") == [210]
    assert column(made, "q1.drive", "phase") == pytest.approx([1.0 + 0.5])


def test_the_phase_of_a_million_small_turns_is_exact() -> None:
    builder = circuit()
    for _ in range(100_000):
        builder.add("rz", 0, params=(0.1,))
    made = program(builder.add("sx", 0))
    assert column(made, "q0.drive", "phase")[0] == pytest.approx(10_000 % (2 * pi), abs=1e-9)


@pytest.mark.parametrize("angle", [0.0, 2 * pi, -2 * pi, 1e6, -1e6, 7.0, -1e-300, 1e9, -1e15, 1e300])
def test_phases_of_any_size_end_up_within_a_turn(angle: float) -> None:
    (phase,) = column(program(circuit().add("rz", 0, params=(angle,)).add("sx", 0)), "q0.drive", "phase")
    assert 0 <= phase < 2 * pi
    assert np.exp(1j * phase) == pytest.approx(np.exp(1j * angle), abs=2e-12)


def test_a_measurement_plays_a_tone_and_acquires_after_the_time_of_flight() -> None:
    made = program(circuit().add("rz", 1, params=(1.0,)).measure(1, 0).add("barrier", 0, 1), LINE5)
    assert column(made, "q1.readout", "start") == [0]
    assert column(made, "q1.readout", "phase") == [0]
    assert column(made, "q1.readout", "frame") == [-1]
    rows = made.acquisitions
    assert (rows.start.tolist(), rows.length.tolist(), rows.qubit.tolist(), rows.clbit.tolist()) == (
        [200],
        [480],
        [1],
        [0],
    )
    assert rows.frequency.tolist() == column(made, "q1.readout", "frequency")
    assert made.lines[rows.line[0]] == "q1.readout"


def test_a_measurement_of_two_qubits_writes_two_bits_in_its_order() -> None:
    made = program(circuit().add("parity", 1, 0, clbits=(0, 1)))
    rows = made.acquisitions
    assert [made.lines[line] for line in rows.line] == ["q0.readout", "q1.readout"]
    assert (rows.clbit.tolist(), rows.order.tolist()) == ([1, 0], [1, 0])
    assert (rows.start.tolist(), rows.length.tolist()) == ([10, 20], [120, 100])
    with pytest.raises(InvalidCircuitError, match="gate parity: measures several qubits at once"):
        expected(OWN.device, OWN.snapshot(), pack([circuit().add("parity", 1, 0, clbits=(0, 1))]))


def test_rows_are_sorted_by_line_and_measurements_know_their_order() -> None:
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=5)
    for qubit in (3, 0, 4, 1):
        builder.add("x", qubit).measure(qubit, 4 - qubit)
    made = program(builder, LINE5)
    assert made.plays.line.tolist() == sorted(made.plays.line.tolist())
    assert made.acquisitions.qubit.tolist() == [0, 1, 3, 4]
    assert made.acquisitions.order.tolist() == [1, 3, 0, 2]
    assert made.acquisitions.clbit.tolist() == [4, 3, 1, 0]


def test_lines_are_those_that_some_gate_uses() -> None:
    assert program(circuit(), OWN).lines == ("q0.drive", "q0.readout", "q1.drive", "q1.flux", "q1.readout")
    assert "q2.flux" not in program(circuit(), LINE5).lines


def test_equal_envelopes_are_held_once() -> None:
    made = program(circuit().add("sx", 0).add("x", 0).add("sx", 1).add("cz", 0, 1).measure(0, 0), LINE5)
    assert len(made.tables.envelopes) == 3


def test_the_dtypes_are_those_of_the_contract() -> None:
    made = program(circuit().add("sx", 0).measure(0, 0), LINE5)
    plays, rows = made.plays, made.acquisitions
    assert plays.line.dtype == rows.line.dtype == rows.qubit.dtype == np.uint16
    assert plays.start.dtype == plays.length.dtype == rows.start.dtype == rows.length.dtype == np.int64
    assert plays.envelope.dtype == rows.clbit.dtype == rows.order.dtype == np.int32
    assert plays.frame.dtype == np.int16


def test_blocks_bound_the_memory_and_cover_every_circuit_once() -> None:
    small = [circuit().add("sx", 0) for _ in range(10_000)]
    big = circuit("big")
    for _ in range(100_001):
        big.add("sx", 0)
    circuits = pack([*small, big, *small[:3]]).columns
    found = list(blocks(circuits, lines=14))
    assert [i for block in found for i in block] == list(range(10_004))
    assert max(len(block) for block in found) * 14 <= 60_000
    assert range(10_000, 10_001) in found


def test_a_batch_of_many_blocks_is_compiled_like_its_circuits_alone() -> None:
    builders = [circuit(f"c{i}").add("rz", 0, params=(i * 0.001,)).add("sx", 0) for i in range(9_000)]
    programs = list(compile_circuits(OWN.device, OWN.snapshot(), pack(builders[:10])).programs())
    assert [column(p, "q0.drive", "phase")[0] for p in programs] == pytest.approx([i * 0.001 for i in range(10)])
    circuits = pack(builders).columns
    assert len(list(blocks(circuits, lines=14))) == 3


def test_a_program_is_the_same_to_the_last_bit_whatever_is_compiled_with_it() -> None:
    plain, far = (CircuitBuilder(name=name, num_qubits=5, num_clbits=0) for name in ("plain", "far"))
    for angle in np.random.default_rng(1).uniform(-20, 20, 30).tolist():
        plain.add("rz", 0, params=(angle,)).add("sx", 0)
    far.add("rz", 0, params=(1e9,)).add("sx", 0)
    snapshot = LINE5.snapshot()
    (alone,) = compile_circuits(LINE5.device, snapshot, pack([plain])).programs()
    together = compile_circuits(LINE5.device, snapshot, pack([far, plain]))
    (_, beside), (behind,) = together.programs(), together.programs(first=1)
    assert beside.plays.phase.tolist() == behind.plays.phase.tolist() == alone.plays.phase.tolist()
