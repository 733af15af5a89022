"""classroom5 through a whole daemon: its own gates, limits and reset, and counts as its calibration predicts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from qiskit import QuantumCircuit, transpile

from qubitd.cli.__main__ import main
from qubitd.cli.daemon_process import start_daemon
from qubitd.compiler.agreement import agrees
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected
from qubitd.provider import JobRefusedError, QubitdBackend, QubitdProvider
from qubitd.provider.encode import Encoder

FILE = load_device("classroom5")
BELL = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2]; h q[0]; cx q[0], q[1]; measure q -> c;'


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QubitdBackend]:
    data = tmp_path_factory.mktemp("classroom") / "data"
    with start_daemon(device="classroom5", data_dir=data) as daemon, QubitdProvider(daemon.address) as provider:
        yield provider.get_backend()


def ghz() -> QuantumCircuit:
    circuit = QuantumCircuit(5, 5, name="ghz")
    circuit.h(2)
    for control, target in ((2, 1), (1, 0), (2, 3), (3, 4)):
        circuit.cx(control, target)
    circuit.measure(range(5), range(5))
    return circuit


def by_sy(backend: QubitdBackend) -> QuantumCircuit:
    """H as the lab writes it, and the textbook's gates: |00> + |11>."""
    circuit = QuantumCircuit(5, 2, name="sy")
    circuit.z(0)
    circuit.append(backend.target.operation_from_name("sy"), [0])
    circuit.cx(0, 1)
    circuit.u(0.0, 0.3, -0.3, 1)
    circuit.p(0.4, 0)
    circuit.measure([0, 1], [0, 1])
    return circuit


def test_it_publishes_the_textbooks_gates(backend: QubitdBackend) -> None:
    target = backend.target
    assert set(target.operation_names) >= {"p", "sx", "u", "cx", "id", "measure", "sy", "rz", "x", "delay", "reset"}
    assert "cz" not in target.operation_names
    assert set(target["cx"]) == {(a, b) for i in range(4) for a, b in ((i, i + 1), (i + 1, i))}
    numbers = [(target["sy"][q,].duration, target["sy"][q,].error) for q in range(4)]
    assert numbers == [(2.3e-6, 2e-4), (2.1e-6, 1e-4), (2.5e-6, 3e-4), (2.2e-6, 4e-4)]
    assert (4,) not in target["sy"]
    assert [(p.t1, p.t2) for p in target.qubit_properties] == [
        (6e-3, 9e-3),
        (8e-3, 14e-3),
        (5e-3, 7e-3),
        (4e-3, 5e-3),
        (6e-3, 9e-3),
    ]
    assert target["reset"][0,].duration == pytest.approx(5 * 8e-3)
    assert backend.max_circuits == 1024


def test_counts_are_as_its_calibration_predicts(backend: QubitdBackend) -> None:
    circuits = [
        transpile(ghz(), backend, optimization_level=2, seed_transpiler=1),
        transpile(by_sy(backend), backend, optimization_level=0, initial_layout=range(5)),
    ]
    assert circuits[1].count_ops()["sy"] == 1
    counts = backend.run(circuits, shots=4096, seed_simulator=5).result().get_counts()
    batch = Encoder(backend.info).encode(circuits).batch
    for seen, distribution in zip(counts, expected(FILE.device, FILE.snapshot(), batch), strict=True):
        assert agrees(seen, distribution) >= 1e-3 / len(circuits)
    assert counts[1]["00"] + counts[1]["11"] > 4000


def test_forty_milliseconds_of_reset_are_a_loop_of_waits(backend: QubitdBackend) -> None:
    plan = backend.explain(transpile(ghz(), backend, seed_transpiler=1), shots=100)
    instructions = [usage.used for usage in plan.memories if usage.memory == "instructions"]
    assert max(instructions) < 60
    assert plan.instrument_seconds == pytest.approx(100 * 40e-3, rel=1e-3)


def test_more_shots_than_it_takes_are_refused(backend: QubitdBackend) -> None:
    circuit = transpile(ghz(), backend)
    with pytest.raises(JobRefusedError, match="4096"):
        backend.run(circuit, shots=4097)


def test_a_building_block_cannot_be_asked_for(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(5)
    circuit.cz(0, 1)
    with pytest.raises(JobRefusedError, match="cz"):
        backend.run(circuit)


def test_the_run_command_emulates_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bell.qasm"
    file.write_text(BELL)
    assert main(["run", str(file), "--device", "classroom5", "--shots", "1000", "--seed", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("classroom5, revision 1, 1000 shots")
    assert {line.split()[0] for line in out.splitlines()[1:3]} == {"00", "11"}
    assert err == "qubitd: emulating classroom5, in a daemon of its own for this run\n"
