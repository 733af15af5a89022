"""A lab with its own device file and chip: a net-zero CZ, and decoupling where frequencies wander, all the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from qiskit import QuantumCircuit, transpile

from qubitd.cli.daemon_process import start_daemon
from qubitd.compiler.agreement import agrees
from qubitd.compiler.device_file import DeviceFile, load_device
from qubitd.compiler.expected import expected
from qubitd.core.job import Decoupling
from qubitd.provider import QubitdBackend, QubitdProvider
from qubitd.provider.encode import Encoder

ROOT = Path(__file__).parents[2]
SHOTS = 4000
NOISE = 100e3
"""Hz, of q0 from shot to shot."""


def replaced(file: str, folder: Path, name: str, *changes: tuple[str, str]) -> Path:
    text = (ROOT / file).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """line5 with a net-zero CZ; it fits pairs whose top is an even number of ns."""
    folder = tmp_path_factory.mktemp("device")
    plain = 'play = "square", line = "flux", qubit = "pulsed", length'
    net_zero = 'play = "net_zero", rise = 0.0, line = "flux", qubit = "pulsed", length'
    return replaced("server/qubitd/compiler/line5.toml", folder, "netzero.toml", (plain, net_zero))


@pytest.fixture(scope="module")
def backend(device: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QubitdBackend]:
    folder = tmp_path_factory.mktemp("lab")
    noisy = ("[qubit.q0]\n", f"[qubit.q0]\nfrequency_noise = {NOISE}\n")
    replaced("drivers/qubitd/emulator/cablings/line5.toml", folder, "noisy.toml", noisy)
    own = ('cabling = "line5"', 'cabling = "noisy.toml"')
    rack = replaced("drivers/qubitd/drivers/racks/cluster.toml", folder, "rack.toml", own)
    with (
        start_daemon(device=str(device), rack=rack, data_dir=folder / "data") as daemon,
        QubitdProvider(daemon.address) as provider,
    ):
        yield provider.get_backend()


def p_value(
    backend: QubitdBackend, file: DeviceFile, circuit: QuantumCircuit, *, dd: Decoupling | None = None
) -> float:
    """How well counts agree with what the calibration predicts."""
    job = backend.run(circuit, shots=SHOTS, seed_simulator=11, dd=None if dd is None else dd.value)
    batch = Encoder(backend.info).encode([circuit]).batch
    (distribution,) = expected(file.device, file.snapshot(), batch, dd=dd)
    return agrees(job.result().get_counts(), distribution)


def test_a_net_zero_cz_makes_a_bell_pair(backend: QubitdBackend, device: Path) -> None:
    circuit = QuantumCircuit(5, 2)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.measure([1, 2], [0, 1])
    native = transpile(circuit, backend, initial_layout=range(5), optimization_level=1, seed_transpiler=1)
    assert p_value(backend, load_device(str(device)), native) >= 1e-3


def test_decoupling_brings_counts_back_to_what_is_expected(backend: QubitdBackend, device: Path) -> None:
    circuit = QuantumCircuit(5, 1)
    circuit.sx(0)
    circuit.delay(6000, 0, unit="dt")
    circuit.sx(0)
    circuit.measure(0, 0)
    file = load_device(str(device))
    assert p_value(backend, file, circuit) < 1e-3
    for kind in Decoupling:
        assert p_value(backend, file, circuit, dd=kind) >= 1e-3 / len(Decoupling)
