"""Dynamic circuits from Qiskit, through daemon, rack and chip: the counts are as expected."""

from __future__ import annotations

import math
from typing import Any

import pytest
from qiskit import transpile
from qiskit.circuit import ClassicalRegister, Parameter, QuantumCircuit, QuantumRegister
from qiskit.circuit.classical import expr

from qubitd.compiler.agreement import agrees
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.drivers.cluster.feedforward import FEEDFORWARD
from qubitd.provider import QubitdBackend
from qubitd.provider.encode import Encoder
from qubitd.provider.errors import JobFailedError

pytestmark = pytest.mark.lowest

FILE = load_device("line5")
SHOTS = 2000
MAX_ITERATIONS = 4


def blank(name: str, qubits: int, clbits: int) -> QuantumCircuit:
    return QuantumCircuit(QuantumRegister(qubits, "q"), ClassicalRegister(clbits, "c"), name=name)


def teleportation() -> QuantumCircuit:
    circuit = blank("teleportation", 3, 3)
    circuit.u(0.7, 0.3, 0.1, 0)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.clbits[1], 1)):
        circuit.x(2)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.z(2)
    circuit.u(-0.7, -0.1, -0.3, 2)
    circuit.measure(2, 2)
    return circuit


def everything() -> QuantumCircuit:
    """if, else, switch, for with its index in an angle, an expression, and a reset in the midst."""
    theta = Parameter("theta")
    circuit = blank("everything", 3, 3)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
    with otherwise, circuit.for_loop((1, 2), theta):
        circuit.rx(0.4 * theta, 1)
    circuit.reset(0)
    circuit.measure(1, 1)
    with circuit.switch(circuit.clbits[1]) as case:
        with case(0):
            circuit.x(2)
        with case(1):
            circuit.ry(math.pi / 3, 2)
    with circuit.if_test(expr.bit_xor(circuit.clbits[0], circuit.clbits[1])):
        circuit.x(2)
    circuit.measure(0, 0)
    circuit.measure(2, 2)
    return circuit


def until_success() -> QuantumCircuit:
    circuit = blank("until success", 2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.while_loop((circuit.clbits[0], 0)):
        circuit.h(0)
        circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    return circuit


def corrected(flipped: int | None) -> QuantumCircuit:
    """Three qubits that hold a 0, one of them flipped, and flipped back by what two others tell of their parities."""
    syndrome, data = ClassicalRegister(2, "syndrome"), ClassicalRegister(3, "data")
    circuit = QuantumCircuit(QuantumRegister(5, "q"), syndrome, data, name=f"corrected {flipped}")
    if flipped is not None:
        circuit.x(flipped)
    for control, target in ((0, 3), (1, 3), (1, 4), (2, 4)):
        circuit.cx(control, target)
    circuit.measure([3, 4], syndrome)
    for value, qubit in ((0b01, 0), (0b11, 1), (0b10, 2)):
        with circuit.if_test((syndrome, value)):
            circuit.x(qubit)
    circuit.measure([0, 1, 2], data)
    return circuit


def one_of_four() -> QuantumCircuit:
    """A switch with a case for each value of two bits."""
    circuit = blank("one of four", 3, 3)
    circuit.h([0, 1])
    circuit.measure([0, 1], [0, 1])
    with circuit.switch(expr.bit_and(circuit.cregs[0], 0b011)) as case:
        with case(0):
            circuit.h(2)
        with case(1):
            circuit.x(2)
        with case(2):
            circuit.ry(2.0, 2)
        with case(3):
            circuit.h(2)
            circuit.t(2)
            circuit.h(2)
    circuit.measure(2, 2)
    return circuit


CIRCUITS = (
    teleportation(),
    everything(),
    until_success(),
    *(corrected(flipped) for flipped in (None, 0, 1, 2)),
    one_of_four(),
)


def test_dynamic_circuits_give_counts_as_expected(backend: QubitdBackend) -> None:
    natives = transpile(list(CIRCUITS), backend, optimization_level=1, seed_transpiler=5)
    job = backend.run(natives, shots=SHOTS, seed_simulator=3, max_iterations=MAX_ITERATIONS)
    result = job.result(timeout=60)
    batch = Encoder(backend.info, max_iterations=MAX_ITERATIONS).encode(natives).batch
    predicted = expected(FILE.device, FILE.snapshot(), batch, feedforward=FEEDFORWARD)
    chances = {
        circuit.name: agrees({text.replace(" ", ""): n for text, n in result.get_counts(i).items()}, predicted[i])
        for i, circuit in enumerate(CIRCUITS)
    }
    assert all(chance >= 1e-3 / len(CIRCUITS) for chance in chances.values()), chances
    for i, circuit in enumerate(CIRCUITS):
        if circuit.name.startswith("corrected"):
            data = [text for text, n in result.get_counts(i).items() for _ in range(n) if text.startswith("000")]
            assert len(data) > 0.85 * SHOTS


def test_many_pieces_one_behind_the_other_keep_the_sequencer_in_time(backend: QubitdBackend) -> None:
    circuit = blank("one of sixteen", 5, 5)
    circuit.x([0, 2])
    circuit.measure(range(4), range(4))
    for value in (3, 5, 9, 12):
        with circuit.if_test(expr.equal(expr.bit_and(circuit.cregs[0], 0b01111), value)):
            circuit.x(4)
    circuit.measure(4, 4)
    native = transpile(circuit, backend, optimization_level=0)
    counts = backend.run(native, shots=100, seed_simulator=1).result(timeout=60).get_counts()
    assert counts["10101"] > 75


@pytest.mark.parametrize("begun", [{}, {"initial_reset": "active"}, {"herald": True}])
def test_what_the_rack_cannot_tell_is_refused_with_the_operation_of_the_users_circuit(
    backend: QubitdBackend, begun: dict[str, Any]
) -> None:
    circuit = blank("one of four", 2, 2)
    circuit.sx([0, 1])
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
        circuit.x(0)
    with circuit.if_test((circuit.cregs[0], 1)):
        circuit.cz(0, 1)
    job = backend.run(circuit, **begun)
    what = r"operation 5 \(if\): the condition \(\(c\[0\], c\[1\]\) == \(1, 0\)\) is none of OR, NOR, AND"
    with pytest.raises(JobFailedError, match=what) as caught:
        job.result(timeout=20)
    assert [(problem.circuit, problem.operation) for problem in caught.value.problems] == [(0, 5)]
    found = backend.provider.job(job.job_id())
    assert "operation 5 (if)" in str(found.error_message())
    with pytest.raises(JobFailedError, match=what):
        found.result(timeout=20)


def test_a_reason_that_several_operations_share_is_told_once_with_their_places(backend: QubitdBackend) -> None:
    circuit = blank("one of four, thrice", 2, 2)
    circuit.measure([0, 1], [0, 1])
    for value in (1, 1, 2):
        with circuit.if_test((circuit.cregs[0], value)):
            circuit.cz(0, 1)
            circuit.x(0)
    job = backend.run(circuit)
    with pytest.raises(
        JobFailedError, match=r"operations 2 and 3 \(if\): the condition .*; operation 4 \(if\)"
    ) as caught:
        job.result(timeout=20)
    assert str(caught.value).count("which is all that the trigger network can tell") == 1
    assert [problem.operation for problem in caught.value.problems] == [2, 3, 4]


def test_shots_that_begin_with_an_active_reset_take_little_time_and_give_the_same(backend: QubitdBackend) -> None:
    circuit = blank("flip", 2, 2)
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    times = {}
    for kind in ("passive", "active"):
        job = backend.run(circuit, shots=SHOTS, initial_reset=kind, seed_simulator=7)
        counts = job.result().get_counts()
        assert counts["01"] > 0.9 * SHOTS
        assert set("".join(counts)) <= set("01")
        times[kind] = job.usage()
    assert times["active"] < times["passive"] / 20
