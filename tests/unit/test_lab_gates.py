"""A lab's own gate is a whole gate to Qiskit: definition, matrix, equivalences, copies and pickles."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from math import pi

import dill
import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import CRYGate, HGate, U2Gate
from qiskit.quantum_info import Operator
from qiskit.transpiler import Target

from qubitd.client import GateSignature, Limits
from qubitd.compiler.device_file import load_device
from qubitd.core.device import Meaning
from qubitd.core.errors import InvalidDeviceError
from qubitd.provider.lab_gate import LabGate
from qubitd.provider.lab_names import misnamed_gates
from qubitd.provider.target import build_target
from qubitd.wire.backends import backend_info

LIMITS = Limits(max_shots=1, max_circuits=1, max_total_shots=1, max_job_bytes=1)
WAVE = GateSignature(
    name="wave",
    num_qubits=2,
    angles=("theta",),
    meaning=Meaning(
        definition="gate wave(theta) a, b { ry(theta/2) b; cx a, b; gphase(theta); }",
        equivalences=("gate cry(t) a, b { wave(t) a, b; wave(-t) a, b; }",),
    ),
)


@pytest.fixture(scope="module")
def target() -> Target:
    file = load_device("line5")
    info = backend_info(
        file.device, file.snapshot(), limits=LIMITS, operational=True, simulated=True, server_version="1"
    )
    return build_target(info)


def test_sy_in_the_target_is_a_turn_about_y_with_durations_and_errors(target: Target) -> None:
    sy = target.operation_from_name("sy")
    assert isinstance(sy, LabGate)
    reference = QuantumCircuit(1)
    reference.ry(pi / 2, 0)
    np.testing.assert_allclose(sy.to_matrix(), Operator(reference).data, atol=1e-15)
    assert Operator(sy.definition) == Operator(reference)
    assert target["sy"][3,].error == load_device("line5").snapshot().value("q3.sx.error")


def test_its_equivalences_are_exact(target: Target) -> None:
    (h, as_h), (u2, as_u2) = target.operation_from_name("sy").equivalences
    assert isinstance(h, HGate)
    assert Operator(as_h) == Operator(h)
    assert isinstance(u2, U2Gate)
    values = dict(zip(u2.params, (0.3, -1.2), strict=True))
    assert Operator(as_u2.assign_parameters(values)) == Operator(U2Gate(0.3, -1.2))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_target_with_it_can_be_copied_and_pickled(target: Target, copied: type[Target]) -> None:
    gate = copied(target).operation_from_name("sy")
    assert gate == target.operation_from_name("sy")
    assert len(gate.equivalences) == 2


def test_qiskits_worker_processes_get_it(target: Target) -> None:
    gate = dill.loads(dill.dumps(target)).operation_from_name("sy")
    np.testing.assert_allclose(gate.to_matrix(), target.operation_from_name("sy").to_matrix())


def test_circuits_with_it_are_transpiled_and_keep_it(target: Target) -> None:
    circuit = QuantumCircuit(1)
    circuit.append(target.operation_from_name("sy"), [0])
    native = transpile(circuit, target=target, optimization_level=0, initial_layout=[2])
    assert dict(native.count_ops()) == {"sy": 1}


def test_angles_and_operands_are_the_definitions() -> None:
    gate = LabGate(WAVE)
    assert [parameter.name for parameter in gate.params] == ["theta"]
    bound = LabGate(WAVE, [0.8])
    reference = QuantumCircuit(2, global_phase=0.8)
    reference.ry(0.4, 1)
    reference.cx(0, 1)
    assert Operator(bound) == Operator(reference)
    with pytest.raises(TypeError):
        gate.to_matrix()
    circuit = QuantumCircuit(2)
    circuit.append(gate, [0, 1])
    assert Operator(circuit.assign_parameters([0.8])) == Operator(reference)


def test_an_equivalence_may_hold_the_gate_with_other_angles() -> None:
    ((cry, circuit),) = LabGate(WAVE).equivalences
    assert cry.name == "cry"
    assert Operator(circuit.assign_parameters([0.7])) == Operator(CRYGate(0.7))


def test_a_definition_with_a_gate_that_this_qiskit_lacks_is_refused_by_name() -> None:
    meaning = Meaning(definition="gate odd q { brandnew q; }")
    gate = LabGate(GateSignature(name="odd", num_qubits=1, meaning=meaning))
    with pytest.raises(InvalidDeviceError, match="brandnew: is no gate of this Qiskit"):
        _ = gate.definition


def misnamed(gate: Gate, *signatures: GateSignature) -> list[str]:
    circuit = QuantumCircuit(gate.num_qubits, name="mine")
    circuit.append(gate, range(gate.num_qubits))
    return [str(problem) for problem in misnamed_gates([QuantumCircuit(1), circuit], signatures or (WAVE,))]


def defined(name: str, body: QuantumCircuit, params: list[float | Parameter]) -> Gate:
    gate = Gate(name, body.num_qubits, params)
    gate.definition = body
    return gate


def test_a_gate_of_the_users_under_the_labs_name_is_refused() -> None:
    body = QuantumCircuit(2)
    body.swap(0, 1)
    wrong = ["circuit 1 ('mine'): defines a gate wave that is not the lab's; give it another name"]
    assert misnamed(defined("wave", body, [0.3])) == wrong
    other = replace(WAVE, meaning=Meaning(definition="gate wave(theta) a, b { swap a, b; }"))
    assert misnamed(LabGate(other, [0.3])) == wrong


def test_a_gate_of_the_users_under_the_labs_name_is_refused_in_a_block_too() -> None:
    body = QuantumCircuit(2)
    body.swap(0, 1)
    circuit = QuantumCircuit(2, 1, name="mine")
    with circuit.for_loop(range(2)), circuit.if_test((circuit.clbits[0], 1)):
        circuit.append(defined("wave", body, [0.3]), [0, 1])
    wrong = ["circuit 0 ('mine'): defines a gate wave that is not the lab's; give it another name"]
    assert [str(problem) for problem in misnamed_gates([circuit], [WAVE])] == wrong


def test_the_labs_gate_is_known_by_what_it_does() -> None:
    assert misnamed(LabGate(WAVE, [0.3])) == []
    assert misnamed(defined("wave", LabGate(WAVE, [0.3]).definition, [0.3])) == []
    spelt = replace(WAVE, meaning=Meaning(definition="gate wave(t) x, y { ry(t/2) y; cx x, y; }"))
    assert misnamed(LabGate(spelt, [0.3])) == []


def test_what_cannot_be_compared_is_taken_at_its_word() -> None:
    body = QuantumCircuit(2)
    body.swap(0, 1)
    assert misnamed(Gate("wave", 2, [0.3])) == []
    assert misnamed(defined("wave", body, [Parameter("free")])) == []
    assert misnamed(defined("wave", body, [])) == []
    assert misnamed(defined("wave", body, [0.3]), GateSignature(name="wave", num_qubits=2, angles=("t",))) == []
