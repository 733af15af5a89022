"""Random circuits on all five qubits, ten layers deep, in one job: p-values are uniform, and one sign spoils them.

No counts from |0> show the sign of all rz together; `test_compiler_unitaries` looks for it in the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import pi

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import RZGate
from scipy import stats

from qubitd.cli.daemon_process import DaemonProcess
from qubitd.compiler.agreement import agrees
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.provider import QubitdProvider
from qubitd.provider.encode import Encoder

QUBITS = 5
LAYERS = 10
CIRCUITS = 12
MANY_CIRCUITS = 50
"""Predicting takes a tenth of a second each, so the long run alone has so many."""
SHOTS = 1000
SEED = 17
LEAST_P = 0.01


def layered(rng: np.random.Generator) -> QuantumCircuit:
    """Each layer turns every qubit at random, then plays CZ on every other pair."""
    circuit = QuantumCircuit(QUBITS, QUBITS)
    pairs = tuple(pairwise(range(QUBITS)))
    for layer in range(LAYERS):
        for qubit in range(QUBITS):
            first, second = rng.uniform(-pi, pi, size=2)
            circuit.rz(first, qubit)
            circuit.sx(qubit)
            circuit.rz(second, qubit)
            circuit.sx(qubit)
        for pair in pairs[layer % 2 :: 2]:
            circuit.cz(*pair)
    circuit.measure(range(QUBITS), range(QUBITS))
    return circuit


def one_phase_reversed(circuit: QuantumCircuit, rng: np.random.Generator) -> QuantumCircuit:
    """Turn back one rz of those between the first layer and the last, where counts show it."""
    turns = [place for place, row in enumerate(circuit.data) if row.name == "rz"]
    place = rng.choice(turns[2 * QUBITS : -2 * QUBITS])
    changed = circuit.copy()
    row = circuit.data[place]
    changed.data[place] = row.replace(operation=RZGate(-row.params[0]))
    return changed


def uniformity(p_values: Sequence[float]) -> float:
    return float(stats.kstest(p_values, "uniform").pvalue)


@pytest.mark.timeout(600)
def test_counts_of_random_circuits_are_as_expected_and_one_reversed_phase_is_seen(
    daemon: DaemonProcess, soak: bool
) -> None:
    rng = np.random.default_rng(SEED)
    circuits = [layered(rng) for _ in range(MANY_CIRCUITS if soak else CIRCUITS)]
    wrong = [one_phase_reversed(circuit, rng) for circuit in circuits]
    with QubitdProvider(daemon.address) as provider:
        backend = provider.get_backend("line5")
        counts = backend.run(circuits, shots=SHOTS, seed_simulator=SEED).result().get_counts()
        batches = [Encoder(backend.info).encode(meant).batch for meant in (circuits, wrong)]
    device = load_device("line5")
    right, reversed_ = (
        [
            agrees(*pair, least=1e-3)
            for pair in zip(counts, expected(device.device, device.snapshot(), batch), strict=True)
        ]
        for batch in batches
    )
    assert uniformity(right) > LEAST_P
    assert uniformity(reversed_) < 1e-6
