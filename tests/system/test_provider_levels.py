"""Random circuits at every level of Qiskit's transpiler: their counts are theirs, within the errors of the Target."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Statevector

from qubitd.cli.daemon_process import DaemonProcess
from qubitd.compiler.agreement import agrees
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.provider import QubitdBackend, QubitdProvider
from qubitd.provider.encode import Encoder

pytestmark = pytest.mark.lowest

QUBITS, DEPTH, SHOTS = 3, 3, 4000
LEVELS = range(4)
SEEDS = (16, 19, 26)
FILE = load_device("line5")


@pytest.fixture(scope="module")
def backend(daemon: DaemonProcess) -> Iterator[QubitdBackend]:
    with QubitdProvider(daemon.address) as provider:
        yield provider.get_backend("line5")


def errors_of(native: QuantumCircuit, backend: QubitdBackend) -> float:
    """The Target's errors of all that is played, and what decays while qubits wait, summed."""
    target = backend.target
    total = 0.0
    for instruction in native.data:
        operands = tuple(native.find_bit(qubit).index for qubit in instruction.qubits)
        if instruction.name != "barrier":
            total += target[instruction.name][operands].error or 0.0
    used = {native.find_bit(qubit).index for one in native.data if one.name != "barrier" for qubit in one.qubits}
    waiting = sum(native.estimate_duration(target) / target.qubit_properties[qubit].t2 for qubit in used)
    return total + float(waiting)


def distance(given: dict[str, float], wanted: dict[str, float]) -> float:
    """Half of what two distributions differ by, summed: by how much any one event can be more likely in one of them."""
    return sum(abs(given.get(key, 0.0) - wanted.get(key, 0.0)) for key in {*given, *wanted}) / 2


def test_random_circuits_give_what_they_should_at_every_level(backend: QubitdBackend) -> None:
    natives, wanted = [], []
    for circuit in (random_circuit(QUBITS, DEPTH, max_operands=2, seed=seed) for seed in SEEDS):
        wanted += [Statevector(circuit).probabilities_dict()] * len(LEVELS)
        circuit.measure_all()
        natives += [transpile(circuit, backend, optimization_level=level, seed_transpiler=3) for level in LEVELS]
    result = backend.run(natives, shots=SHOTS, seed_simulator=4).result(timeout=120)
    predicted = expected(FILE.device, FILE.snapshot(), Encoder(backend.info).encode(natives).batch)
    chances = [agrees(result.get_counts(i), predicted[i]) for i in range(len(natives))]
    assert min(chances) >= 1e-3 / len(natives), chances
    errors = [errors_of(native, backend) for native in natives]
    far = [distance(given, ideal) for given, ideal in zip(predicted, wanted, strict=True)]
    assert all(away < error for away, error in zip(far, errors, strict=True)), (far, errors)
    assert max(errors) < 0.3  # else the bound would tell nothing
