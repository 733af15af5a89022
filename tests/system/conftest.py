"""One daemon on an emulated rack for all system tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from qiskit import QuantumCircuit
from tests.postgres_server import PostgresServer
from tests.two_fridges import SHOTS, Fridge, Lab

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.rack_process import start_emulator
from qubitd.provider import QubitdBackend, QubitdProvider


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that serves line5 with its first values. Commit nothing to it, and do not stop it."""
    with start_daemon(data_dir=tmp_path_factory.mktemp("daemon") / "data") as process:
        yield process


@pytest.fixture
def provider(daemon: DaemonProcess) -> Iterator[QubitdProvider]:
    """A user's way to it."""
    with QubitdProvider(daemon.address) as provider:
        yield provider


@pytest.fixture
def backend(provider: QubitdProvider) -> QubitdBackend:
    """What a user runs circuits on."""
    return provider.get_backend("line5")


@pytest.fixture
def flip() -> QuantumCircuit:
    """A user's circuit: one qubit, turned over and measured."""
    circuit = QuantumCircuit(1, 1, name="flip")
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


@pytest.fixture
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of the test run as in a lab: nobody counts their lines, which takes time and memory of their own."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """A data directory for a daemon of one test."""
    return tmp_path / "own-data"


@pytest.fixture
def lab(tmp_path: Path, postgres: PostgresServer) -> Iterator[Lab]:
    """Two fridges, whose racks run and whose daemons do not yet."""
    store = postgres.new_schema()
    with start_emulator(linger=120) as one, start_emulator(linger=120) as other:
        north, south = (
            Fridge(name=name, rack=rack, folder=tmp_path / name, store=store, shots=shots)
            for name, rack, shots in (("north", one, SHOTS), ("south", other, 2 * SHOTS))
        )
        yield Lab(north=north, south=south, store=store)
