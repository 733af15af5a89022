"""classroom5's chip makes true what its device declares: lifetimes and ZZ measured through the instruments.

Its gates' and measurements' errors are compared with the chip in `tests/physics/test_declared_errors.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import pi
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qubitd.cli.daemon_process import start_daemon
from qubitd.compiler.agreement import agrees
from qubitd.compiler.device_file import load_device
from qubitd.emulator.cabling import Cabling, Qubit, load_cabling
from qubitd.provider import QubitdBackend, QubitdProvider

LIFETIMES = {"t1": (6e-3, 8e-3, 5e-3, 4e-3, 6e-3), "t2": (9e-3, 14e-3, 7e-3, 5e-3, 9e-3)}
MOST_ZZ = 1e3
APART = ((0, 2, 4), (1, 3))
"""Qubits that have no coupling to each other."""
SHOTS = 4000
Waits = NDArray[np.float64]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QubitdBackend]:
    data = tmp_path_factory.mktemp("chip") / "data"
    with start_daemon(device="classroom5", data_dir=data) as daemon, QubitdProvider(daemon.address) as provider:
        yield provider.get_backend()


@pytest.fixture(scope="module")
def cabling() -> Cabling:
    return load_cabling(Path("classroom5"))


def ones(backend: QubitdBackend, circuits: Sequence[QuantumCircuit]) -> NDArray[np.float64]:
    """Part of the shots in which each of five qubits was read as 1, shape (circuits, 5), readout errors undone."""
    result = backend.run(list(circuits), shots=SHOTS, seed_simulator=3).result()
    found = np.zeros((len(circuits), 5))
    for index in range(len(circuits)):
        for bits, count in result.get_counts(index).items():
            found[index] += count / SHOTS * np.array([bit == "1" for bit in reversed(bits)])
    snapshot = load_device("classroom5").snapshot()
    false, missed = (
        np.array([snapshot.value(f"q{q}.measure.prob_meas{a}_prep{1 - a}") for q in range(5)]) for a in (1, 0)
    )
    return np.asarray((found - false) / (1 - false - missed))


def decay(wait: float) -> QuantumCircuit:
    circuit = QuantumCircuit(5, 5)
    circuit.x(range(5))
    circuit.delay(wait, range(5), unit="s")
    circuit.measure(range(5), range(5))
    return circuit


def ramsey(turned: Sequence[int], wait: float, quadrature: int, *, excited: Sequence[int] = ()) -> QuantumCircuit:
    """Quarter turns a quarter apart for each step of `quadrature`."""
    circuit = QuantumCircuit(5, 5)
    for qubit in excited:
        circuit.x(qubit)
    circuit.barrier(range(5))
    for qubit in turned:
        circuit.sx(qubit)
        circuit.delay(wait, qubit, unit="s")
        circuit.rz(quadrature * pi / 2, qubit)
        circuit.sx(qubit)
    circuit.measure(range(5), range(5))
    return circuit


def contrast(
    backend: QubitdBackend, turned: Sequence[int], waits: Waits, *, quadrature: int, excited: Sequence[int] = ()
) -> NDArray[np.float64]:
    """A superposition's part along (0) or across (1) its beginning after each wait, shape (waits, turned)."""
    steps = (quadrature, quadrature + 2)
    circuits = [ramsey(turned, wait, step, excited=excited) for wait in waits.tolist() for step in steps]
    found = ones(backend, circuits).reshape(len(waits), 2, 5)[..., turned]
    return np.asarray(found[:, 0] - found[:, 1])


def lifetimes(waits: Waits, left: NDArray[np.float64]) -> NDArray[np.float64]:
    """Time constant of each column's exponential."""
    slopes = np.polynomial.polynomial.polyfit(waits, np.log(left), 1)[1]
    return np.asarray(-1 / slopes)


def test_excitations_live_for_the_declared_t1(backend: QubitdBackend) -> None:
    waits = np.array([0.0, 4e-3])
    left = ones(backend, [decay(wait) for wait in waits.tolist()])
    np.testing.assert_allclose(lifetimes(waits, left), LIFETIMES["t1"], rtol=0.15)


@pytest.mark.parametrize("qubits", APART)
def test_superpositions_live_for_the_declared_t2(backend: QubitdBackend, qubits: tuple[int, ...]) -> None:
    waits = np.array([0.0, 5e-3])
    left = contrast(backend, qubits, waits, quadrature=0)
    np.testing.assert_allclose(lifetimes(waits, left), np.take(LIFETIMES["t2"], qubits), rtol=0.15)


@pytest.mark.parametrize("qubits", APART)
def test_an_excited_neighbour_turns_a_qubit_by_less_than_a_kilohertz(
    backend: QubitdBackend, qubits: tuple[int, ...]
) -> None:
    """As much as the device states: less than a kilohertz for each neighbour, and as the spectrum says."""
    wait = 100e-6
    others = sorted(set(range(5)) - set(qubits))
    (alone,) = contrast(backend, qubits, np.array([wait]), quadrature=1)
    (turned,) = contrast(backend, qubits, np.array([wait]), quadrature=1, excited=others)
    assert np.abs(alone).max() < 5 * np.sqrt(2 / SHOTS)
    value = load_device("classroom5").snapshot().value
    stated = [[value(f"q{min(q, n)}_q{max(q, n)}.zz") for n in (q - 1, q + 1) if 0 <= n < 5] for q in qubits]
    assert all(100 < abs(zz) < MOST_ZZ for of_qubit in stated for zz in of_qubit)
    found = np.arcsin(turned) / (2 * pi * wait)
    np.testing.assert_allclose(np.abs(found), [abs(sum(zz)) for zz in stated], rtol=0.05, atol=80)


def test_the_couplings_stand_for_less_zz_than_a_kilohertz_and_a_cz_of_half_a_microsecond(cabling: Cabling) -> None:
    for low, high in pairwise(range(5)):
        (pair,) = [pair for pair in cabling.chip.pairs if {pair.pulsed, pair.partner} == {low, high}]
        assert pair.coupling <= 0.7e6
        first, second = (cabling.chip.qubits[index] for index in (low, high))
        assert abs(static_zz(first, second, pair.coupling)) < MOST_ZZ
        stated = load_device("classroom5").snapshot().value(f"q{low}_q{high}.zz")
        assert stated == pytest.approx(static_zz(first, second, pair.coupling), rel=0.01)
        swap = 1 / (2 * np.sqrt(2) * pair.coupling)
        declared = load_device("classroom5").snapshot().value(f"q{low}_q{high}.cz.duration")
        assert 0.45e-6 < swap < declared < 0.65e-6


def static_zz(first: Qubit, second: Qubit, coupling: float) -> float:
    """E11 - E10 - E01 + E00 of two coupled transmons of four levels, Hz."""
    levels = np.arange(4)
    own = [qubit.frequency * levels + qubit.anharmonicity / 2 * levels * (levels - 1) for qubit in (first, second)]
    lower = np.diag(np.sqrt(levels[1:]), 1)
    exchange = np.kron(lower, lower.T)
    bare = np.add.outer(*own).reshape(-1)
    energies, states = np.linalg.eigh(np.diag(bare) + coupling * (exchange + exchange.T))
    e00, e01, e10, e11 = (energies[np.argmax(np.abs(states[4 * a + b]))] for a in (0, 1) for b in (0, 1))
    return float(e11 - e10 - e01 + e00)


def test_nothing_wanders_at_rest(cabling: Cabling) -> None:
    assert [qubit.frequency_noise for qubit in cabling.chip.qubits] == [0.0] * 5


def test_eleven_cx_of_a_superposition_give_what_the_calibration_predicts(backend: QubitdBackend) -> None:
    """What is wrong with each in the same way adds up; decoherence does not."""
    circuits = []
    for first in range(4):
        circuit = QuantumCircuit(5, 2)
        circuit.u(pi / 2, 0.3, 0.2, first)
        for _ in range(11):
            circuit.cx(first, first + 1)
        circuit.u(pi / 2, 0.4, 0.9, first)
        circuit.u(pi / 2, 1.0, 0.3, first + 1)
        circuit.measure([first, first + 1], [0, 1])
        circuits.append(circuit)
    predicted = backend.explain(circuits, expected=True).expected
    result = backend.run(circuits, shots=4096, seed_simulator=5).result()
    found = [agrees(result.get_counts(i), predicted[i]) for i in range(len(circuits))]
    assert min(found) > 1e-3 / len(circuits), found
