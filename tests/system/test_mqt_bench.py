"""Circuits that others wrote, as files of both versions, through `qubitd run`: counts as the calibration predicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mqt.bench import BenchmarkLevel, get_benchmark
from qiskit import QuantumCircuit, qasm2, qasm3, transpile

from qubitd.cli.__main__ import main
from qubitd.cli.daemon_process import DaemonProcess
from qubitd.compiler.agreement import agrees
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.provider import QubitdProvider
from qubitd.provider.encode import Encoder
from qubitd.provider.qasm import read_circuit

NAMES = ("ghz", "dj", "qft", "wstate", "vqe_real_amp")
WRITERS: dict[str, Callable[[QuantumCircuit], str]] = {"qasm2": qasm2.dumps, "qasm3": qasm3.dumps}
SHOTS = 4000
SEED = 11
LEAST_P = 1e-3 / (len(NAMES) * len(WRITERS))


def prediction(file: Path, address: str) -> dict[str, float]:
    """What the daemon's calibration predicts for the file as `qubitd run` transpiles it."""
    with QubitdProvider(address) as provider:
        backend = provider.get_backend("line5")
        native = transpile(read_circuit(file), backend, optimization_level=2, seed_transpiler=SEED)
        batch = Encoder(backend.info).encode([native]).batch
    device = load_device("line5")
    return expected(device.device, device.snapshot(), batch)[0]


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_gives_counts_as_expected(
    name: str, version: str, daemon: DaemonProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"{name}.qasm"
    file.write_text(WRITERS[version](get_benchmark(name, level=BenchmarkLevel.ALG, circuit_size=5)))
    arguments = ["run", str(file), "--shots", str(SHOTS), "--seed", str(SEED), "--server", daemon.address, "--json"]
    assert main(arguments) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert sum(counts.values()) == SHOTS
    assert agrees(counts, prediction(file, daemon.address)) >= LEAST_P
