"""Every benchmark that others wrote for five qubits or fewer, 33: counts as the calibration predicts.

As files of both versions, through `qubitd run` or `backend.run`; what no file can hold, as Qiskit has it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from mqt.bench import BenchmarkLevel, get_benchmark
from mqt.bench.benchmarks import get_available_benchmark_names
from qiskit import QuantumCircuit, qasm2, qasm3, transpile

from qubitd.cli.__main__ import main
from qubitd.cli.daemon_process import DaemonProcess
from qubitd.compiler.agreement import agrees
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.drivers.cluster.feedforward import FEEDFORWARD
from qubitd.provider import QubitdProvider
from qubitd.provider.encode import Encoder
from qubitd.provider.qasm import read_circuit

NAMES = ("ghz", "dj", "qft", "wstate", "vqe_real_amp")
"""In both versions of OpenQASM through the command; all others, these too, through `backend.run`."""
FIVE = (
    "bmw_quark_cardinality",
    "bv",
    "dj",
    "ghz",
    "graphstate",
    "half_adder",
    "hhl",
    "hrs_cumulative_multiplier",
    "qaoa",
    "qft",
    "qftentangled",
    "qnn",
    "qpeexact",
    "qpeinexact",
    "vqe_real_amp",
    "vqe_su2",
    "vqe_two_local",
    "wstate",
)
FOUR = (
    "bmw_quark_copula",
    "cdkm_ripple_carry_adder",
    "draper_qft_adder",
    "full_adder",
    "modular_adder",
    "multiplier",
    "randomcircuit",
    "rg_qft_multiplier",
    "vbe_ripple_carry_adder",
)
THREE = ("grover", "qwalk")
"""At five they have thousands of gates."""
SIZES: dict[str, int] = {**dict.fromkeys(FIVE, 5), **dict.fromkeys(FOUR, 4), **dict.fromkeys(THREE, 3)}
"""Qubits of every benchmark for five or fewer that Qiskit can export and that decides nothing on the way."""
NO_FILE = "ae"
"""No exporter of Qiskit's takes it."""
DECIDING = ("dynamic_qft", "iqpe")
"""Look at outcomes on their way; at three qubits, in OpenQASM 3."""
UNREADABLE = "ghz_dynamic"
"""Looks at outcomes, too; no reader takes the text that Qiskit writes of it."""
TOO_BIG = {"seven_qubit_steane_code", "shor", "shors_nine_qubit_code"}
"""The only others that there were when COUNT was counted."""
COUNT = 33
WRITERS: dict[str, Callable[[QuantumCircuit], str]] = {"qasm2": qasm2.dumps, "qasm3": qasm3.dumps}
SHOTS = 4000
SEED = 11
LEAST_P = 1e-3 / (len(NAMES) * len(WRITERS) + len(DECIDING))


def benchmark(name: str) -> QuantumCircuit:
    return get_benchmark(name, level=BenchmarkLevel.ALG, circuit_size=SIZES.get(name, 5 if name == NO_FILE else 3))


def prediction(file: Path, address: str) -> dict[str, float]:
    """What the daemon's calibration predicts for the file as `qubitd run` transpiles it."""
    with QubitdProvider(address) as provider:
        backend = provider.get_backend("line5")
        native = transpile(read_circuit(file), backend, optimization_level=2, seed_transpiler=SEED)
        batch = Encoder(backend.info).encode([native]).batch
    device = load_device("line5")
    return expected(device.device, device.snapshot(), batch, feedforward=FEEDFORWARD)[0]


@pytest.mark.parametrize(
    ("name", "version"),
    [*itertools.product(NAMES, WRITERS), *((name, "qasm3") for name in DECIDING)],
)
def test_a_benchmark_gives_counts_as_expected(
    name: str, version: str, daemon: DaemonProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"{name}.qasm"
    file.write_text(WRITERS[version](benchmark(name)))
    arguments = ["run", str(file), "--shots", str(SHOTS), "--seed", str(SEED), "--server", daemon.address, "--json"]
    assert main(arguments) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert sum(counts.values()) == SHOTS
    counts = {outcome.replace(" ", ""): number for outcome, number in counts.items()}
    assert agrees(counts, prediction(file, daemon.address)) >= LEAST_P


def read_again(name: str, version: str, directory: Path) -> QuantumCircuit:
    """A benchmark as a file says it; what measures nothing is measured at its end."""
    file = directory / f"{name}.qasm"
    file.write_text(WRITERS[version](benchmark(name)))
    circuit = read_circuit(file)
    if "measure" not in circuit.count_ops():
        circuit.measure_all()
    return circuit


def different(circuits: Iterable[QuantumCircuit]) -> list[QuantumCircuit]:
    """Leave out those that are the same as one before, but for the last digits of their angles."""
    found: dict[object, QuantumCircuit] = {}
    for circuit in circuits:
        place = {bit: index for index, bit in enumerate((*circuit.qubits, *circuit.clbits))}
        rows = (
            (
                row.name,
                *(place[bit] for bit in (*row.qubits, *row.clbits)),
                *(round(p, 6) if isinstance(p, float) else id(p) for p in row.params),
            )
            for row in circuit.data
        )
        found.setdefault(tuple(rows), circuit)
    return list(found.values())


def disagreements(circuits: Sequence[QuantumCircuit], address: str) -> dict[str, float]:
    """Names of the circuits whose counts are not as expected, with their p-values."""
    with QubitdProvider(address) as provider:
        backend = provider.get_backend("line5")
        natives = different(transpile(circuits, backend, optimization_level=2, seed_transpiler=SEED))
        result = backend.run(natives, shots=SHOTS, seed_simulator=SEED).result()
        batch = Encoder(backend.info).encode(natives).batch
    device = load_device("line5")
    predicted = expected(device.device, device.snapshot(), batch, feedforward=FEEDFORWARD)
    found: dict[str, float] = {}
    for index, native in enumerate(natives):
        counts = {outcome.replace(" ", ""): number for outcome, number in result.get_counts(index).items()}
        found[f"{index} {native.name}"] = agrees(counts, predicted[index])
    return {name: p for name, p in found.items() if p < 1e-3 / len(found)}


@pytest.mark.timeout(600)
def test_every_benchmark_for_five_qubits_gives_counts_as_expected(daemon: DaemonProcess, tmp_path: Path) -> None:
    names = {*SIZES, NO_FILE, *DECIDING, UNREADABLE}
    assert len(names) == COUNT
    assert names | TOO_BIG <= set(get_available_benchmark_names())
    circuits = [read_again(name, version, tmp_path) for name in SIZES for version in WRITERS]
    circuits += [read_again(name, "qasm3", tmp_path) for name in DECIDING]
    circuits += [benchmark(NO_FILE), benchmark(UNREADABLE)]
    assert disagreements(circuits, daemon.address) == {}
