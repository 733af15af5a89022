"""A Ramsey experiment through the instruments, each neighbour in 0 and in 1: the static ZZ that the device states.

The phase is compared with the formula of two coupled transmons, and every count with what `expected` predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import pi

import numpy as np
import pytest
from qiskit import QuantumCircuit
from scipy import stats

from qubitd.compiler.agreement import agrees
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.emulator.cabling import ChipTruth, load_cabling
from qubitd.provider import QubitdBackend
from qubitd.provider.encode import Encoder

WAIT = 1e-6
SX = 40e-9
SHOTS = 4000
LEAST_P = 0.01
BONDS = [(a, b) for low, high in pairwise(range(5)) for a, b in ((low, high), (high, low))]


def ramsey(qubit: int, quadrature: int, *, neighbour: int, excited: bool) -> QuantumCircuit:
    """Quarter turns a quarter apart for each step of `quadrature`."""
    circuit = QuantumCircuit(5, 1)
    if excited:
        circuit.x(neighbour)
    circuit.barrier()
    circuit.sx(qubit)
    circuit.delay(WAIT, qubit, unit="s")
    circuit.rz(quadrature * pi / 2, qubit)
    circuit.sx(qubit)
    circuit.barrier()
    circuit.measure(qubit, 0)
    return circuit


def formula(truth: ChipTruth, first: int, second: int) -> float:
    """2 g^2 (a_1 + a_2) / ((D + a_1) (D - a_2)) with D = f_1 - f_2, negative where |20> is the nearer of the two."""
    (g,) = (pair.coupling for pair in truth.pairs if {pair.pulsed, pair.partner} == {first, second})
    one, two = (truth.qubits[q] for q in (first, second))
    gap = one.frequency - two.frequency
    alphas = one.anharmonicity + two.anharmonicity
    return 2 * g**2 * alphas / ((gap + one.anharmonicity) * (gap - two.anharmonicity))


def phase(ones: Sequence[float]) -> float:
    """Of a superposition, from the parts of 1 after quarter turns 0, 1, 2, 3 quarters apart."""
    return float(np.arctan2(ones[3] - ones[1], ones[0] - ones[2]))


@pytest.mark.timeout(300)
def test_a_neighbour_in_one_turns_each_qubit_as_stated_and_expected(backend: QubitdBackend) -> None:
    device, truth = load_device("line5"), load_cabling().chip
    circuits = [
        ramsey(qubit, quadrature, neighbour=neighbour, excited=excited)
        for qubit, neighbour in BONDS
        for excited in (False, True)
        for quadrature in range(4)
    ]
    counts = backend.run(circuits, shots=SHOTS, seed_simulator=5).result().get_counts()
    ones = np.array([found.get("1", 0) / SHOTS for found in counts]).reshape(len(BONDS), 2, 4)
    for (qubit, neighbour), (alone, beside) in zip(BONDS, ones.tolist(), strict=True):
        stated = device.snapshot().value(f"q{min(qubit, neighbour)}_q{max(qubit, neighbour)}.zz")
        assert stated == pytest.approx(formula(truth, qubit, neighbour), rel=1e-5)
        turned = np.exp(1j * (phase(beside) - phase(alone) + 2 * pi * stated * (WAIT + SX)))
        assert np.angle(turned) == pytest.approx(0, abs=5 * np.sqrt(4 / SHOTS))
    batch = Encoder(backend.info).encode(circuits).batch
    p_values = [agrees(*pair) for pair in zip(counts, expected(device.device, device.snapshot(), batch), strict=True)]
    assert stats.kstest(p_values, "uniform").pvalue > LEAST_P
