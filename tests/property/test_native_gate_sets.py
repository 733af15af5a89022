"""Random circuits in every native gate set: what is played is what was meant, up to a global phase.

As in `test_compiler_unitaries`, each play is taken for the ideal pulse that it is calibrated to be; its angle follows
from its area, so parameterised pulses are what their amplitudes and phases say.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import pi

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Gate
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator, Statevector

from qubitd.client import GateSignature
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import DeviceFile, load_device, read_device
from qubitd.compiler.expected import ideal
from qubitd.compiler.pipeline import Pipeline
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack
from qubitd.core.program import Program
from qubitd.provider.lab_gate import LabGate

Matrix = NDArray[np.complex128]
Step = tuple[str, tuple[int, ...], tuple[float, ...]]

X = np.array([[0, 1], [1, 0]], dtype=np.complex128)

PARAMETERISED = """
name = "angles"
description = "Pulses whose amplitude or phase is an angle of the circuit"
[limits]
shots = 10
circuits = 10
[qubits.q0]
frequency = 5e9
x.duration = 20e-9
x.amplitude = 0.04
reset.duration = 1e-6
readout.frequency = 7e9
[qubits.q1]
frequency = 5.1e9
readout.frequency = 7.1e9
x.duration = 24e-9
x.amplitude = -0.03
[gates.rz]
on = "qubits"
angles = ["a"]
duration = 0.0
error = 0.0
steps = [{ shift_phase = "a" }]
[gates.x]
on = "qubits"
duration = "x.duration"
error = 0.0
steps = [{ play = "square", line = "drive", length = "x.duration", amplitude = "x.amplitude" }]
[gates.rx]
on = "qubits"
angles = ["theta"]
duration = "x.duration"
error = 0.0
steps = [{ play = "square", line = "drive", length = "x.duration", amplitude = "x.amplitude * theta/pi" }]
[gates.r]
on = "qubits"
angles = ["theta", "phi"]
duration = "x.duration"
error = 0.0
steps = [
  { play = "square", line = "drive", length = "x.duration", amplitude = "x.amplitude * (theta)/pi", phase = "-phi" },
]
[gates.gpi]
on = ["q1"]
angles = ["phi"]
duration = "x.duration"
error = 0.0
steps = [{ play = "square", line = "drive", length = "x.duration", amplitude = "x.amplitude", phase = "-phi" }]
definition = "gate gpi(phi) q { gphase(-pi/2); r(pi, phi) q; }"
equivalences = ["gate y q { gphase(pi/2); gphase(pi/2); gpi(pi/2) q; }"]
[gates.measure]
on = "qubits"
duration = 100e-9
steps = [{ acquire = 100e-9, delay = 0.0 }]
[gates.ry]
on = ["q0"]
angles = ["theta"]
error = 0.0
body = [{ gate = "r", angles = ["theta", "pi/2"] }]
"""


@dataclass(frozen=True, eq=False)
class GateSet:
    """A device with its first values, and Qiskit's gates for those that a circuit may hold."""

    file: DeviceFile
    gates: dict[str, Gate]

    @property
    def num_qubits(self) -> int:
        return self.file.device.num_qubits

    def circuits(self) -> st.SearchStrategy[list[Step]]:
        angle = st.one_of(st.floats(-6, 6), st.sampled_from([0.0, pi, -pi / 2, 2 * pi]))
        return st.lists(
            st.one_of(
                [
                    st.tuples(
                        st.just(name),
                        st.sampled_from(self.file.device.gates[name].operands),
                        st.tuples(*[angle] * len(gate.params)),
                    )
                    for name, gate in self.gates.items()
                ]
            ),
            max_size=12,
        )

    def on_chip(self, matrix: Matrix, *qubits: int) -> Matrix:
        """Qiskit's order: qubit 0 is the last factor."""
        circuit = QuantumCircuit(self.num_qubits)
        circuit.unitary(matrix, list(qubits))
        found: Matrix = Operator(circuit).data
        return found


def gate_set(file: DeviceFile) -> GateSet:
    known = get_standard_gate_name_mapping()
    gates = {}
    for name, gate in file.device.gates.items():
        if gate.internal or name in ("measure", "reset"):
            continue
        signature = GateSignature(name=name, num_qubits=len(gate.operands[0]), angles=gate.angles, meaning=gate.meaning)
        gates[name] = LabGate(signature) if gate.meaning.definition else known[name]
    return GateSet(file=file, gates=gates)


FILES = (load_device("line5"), load_device("classroom5"), read_device(PARAMETERISED.encode(), where="angles"))
SETS = [gate_set(file) for file in FILES]


def written(gates: GateSet, steps: list[Step]) -> tuple[CircuitBatch, QuantumCircuit]:
    ours = CircuitBuilder(name="a", num_qubits=gates.num_qubits, num_clbits=0)
    theirs = QuantumCircuit(gates.num_qubits)
    for name, on, angles in steps:
        ours.add(name, *on, params=angles)
        gate = gates.gates[name]
        made = LabGate(gate.signature, angles) if isinstance(gate, LabGate) else gate.base_class(*angles)
        theirs.append(made, on)
    return pack([ours]), theirs


def turn_about_z(phase: float) -> Matrix:
    return np.diag(np.exp(1j * phase * np.array([0.0, 1.0])))


def played(gates: GateSet, program: Program, row: int) -> Matrix:
    """The ideal pulse of a play: a turn by its area about an axis set by its phase, or a CZ before its correction."""
    plays, snapshot = program.plays, gates.file.snapshot()
    qubit, kind = program.lines[plays.line[row]].split(".")
    index = gates.file.device.qubits.index(qubit)
    if kind == "flux":
        (coupler,) = [c for c in gates.file.device.couplers if c.pulsed == index]
        first, second = coupler.qubits
        corrections = (snapshot.value(f"q{first}_q{second}.cz.phase_{which}") for which in ("first", "second"))
        before = [gates.on_chip(turn_about_z(-phase), q) for phase, q in zip(corrections, (first, second), strict=True)]
        return before[0] @ before[1] @ gates.on_chip(np.diag([1, 1, 1, -1]).astype(np.complex128), first, second)
    turned = pi * area(program, row, plays.amplitude[row]) / pi_area(gates, qubit)
    rotation = np.cos(turned / 2) * np.eye(2) - 1j * np.sin(turned / 2) * X
    frame = turn_about_z(plays.phase[row])
    return gates.on_chip(frame.conj() @ rotation @ frame, index)


def area(program: Program, row: int, amplitude: float) -> float:
    return float(amplitude * program.tables.envelopes[int(program.plays.envelope[row])].samples.real.sum())


@lru_cache
def pi_area(gates: GateSet, qubit: str) -> float:
    """Area of the pulse that turns by pi."""
    builder = CircuitBuilder(name="x", num_qubits=gates.num_qubits, num_clbits=0)
    builder.add("x", gates.file.device.qubits.index(qubit))
    (program,) = compile_circuits(gates.file.device, gates.file.snapshot(), pack([builder])).programs()
    return area(program, 0, float(program.plays.amplitude[0]))


def unitary_of(gates: GateSet, batch: CircuitBatch) -> Matrix:
    """Multiply all plays in the order of time, and carry the last frames to the end."""
    compiled = compile_circuits(gates.file.device, gates.file.snapshot(), batch)
    (program,) = compiled.programs()
    pipeline = Pipeline(compiled.gates, compiled.gathered)
    prepared = pipeline.prepare(range(1))
    final = pipeline.frames(prepared, pipeline.numbers(prepared, {})).final[0]
    total: Matrix = np.eye(2**gates.num_qubits, dtype=np.complex128)
    for row in np.argsort(program.plays.start, kind="stable"):
        total = played(gates, program, int(row)) @ total
    for i in range(gates.num_qubits):
        total = gates.on_chip(turn_about_z(float(final[i])), i) @ total
    return total


@pytest.mark.parametrize("gates", SETS, ids=lambda gates: gates.file.device.name)
@settings(max_examples=25)
@given(data=st.data())
def test_what_is_played_is_qiskits_operator(gates: GateSet, data: st.DataObject) -> None:
    batch, reference = written(gates, data.draw(gates.circuits()))
    fidelity = abs(np.trace(unitary_of(gates, batch).conj().T @ Operator(reference).data)) / 2**gates.num_qubits
    assert fidelity == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("gates", SETS, ids=lambda gates: gates.file.device.name)
def test_every_gate_alone_is_qiskits(gates: GateSet) -> None:
    for name, gate in gates.gates.items():
        angles = (0.4, -1.3, 2.2)[: len(gate.params)]
        for on in gates.file.device.gates[name].operands:
            batch, reference = written(gates, [(name, on, angles)])
            overlap = np.trace(unitary_of(gates, batch).conj().T @ Operator(reference).data)
            assert abs(overlap) / 2**gates.num_qubits == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("gates", SETS, ids=lambda gates: gates.file.device.name)
@settings(max_examples=15)
@given(data=st.data())
def test_predicted_counts_without_noise_are_qiskits(gates: GateSet, data: st.DataObject) -> None:
    steps = data.draw(gates.circuits())
    _, reference = written(gates, steps)
    builder = CircuitBuilder(name="a", num_qubits=gates.num_qubits, num_clbits=gates.num_qubits)
    for name, on, angles in steps:
        builder.add(name, *on, params=angles)
    for qubit in range(gates.num_qubits):
        builder.measure(qubit, qubit)
    (distribution,) = ideal(gates.file.device, gates.file.snapshot(), pack([builder]))
    for bits, probability in Statevector(reference).probabilities_dict().items():
        assert distribution.get(bits, 0.0) == pytest.approx(probability, abs=1e-9)
