"""The calibration scripts against a daemon whose device file is wrong: afterwards the Bell pair is back."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from qiskit import QuantumCircuit, transpile

import qubitd.compiler.device_file
from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.client import BackendInfo, ConflictError, QubitdClient
from qubitd.compiler.agreement import hellinger_fidelity
from qubitd.core.snapshot import Parameter
from qubitd.provider import QubitdBackend, QubitdProvider

EXAMPLES = Path(__file__).parents[2] / "examples"
LINE5 = Path(qubitd.compiler.device_file.__file__).with_name("line5.toml")
HALF_TURN = 0.2118976
"""Amplitude of x on every qubit of the simulated chip (tools/first_values.py)."""
WRONG = {"q0": 1.4, "q1": 0.6}
WRONG_T1 = 40e-6
TRUE_T1 = 28e-6


def wrong_device(text: str) -> str:
    """Give line5 with amplitudes of q0 and q1 that are off, and a T1 of q0 that is too good."""
    for qubit, factor in WRONG.items():
        before, head, after = text.partition(f"\n[qubits.{qubit}]")
        table, next_head, rest = after.partition("\n[")
        text = before + head + scaled(table, factor) + next_head + rest
    assert text.count("t1 = 28e-6") == 1
    return text.replace("t1 = 28e-6", f"t1 = {WRONG_T1}")


def scaled(table: str, factor: float) -> str:
    lines, count = re.subn(
        r"(?m)^(sx|x)\.amplitude = (\S+)", lambda line: f"{line[1]}.amplitude = {factor * float(line[2])}", table
    )
    assert count == 2
    return lines


@pytest.fixture
def wrong(tmp_path: Path) -> Iterator[DaemonProcess]:
    file = tmp_path / "wrong.toml"
    file.write_text(wrong_device(LINE5.read_text(encoding="utf-8")), encoding="utf-8")
    with start_daemon(device=str(file), data_dir=tmp_path / "data") as daemon:
        yield daemon


def script(name: str, daemon: DaemonProcess, *options: str, code: int = 0) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), "--server", daemon.address, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def bell_fidelity(backend: QubitdBackend) -> float:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    native = transpile(circuit, backend, initial_layout=[0, 1], seed_transpiler=1)
    counts = backend.run(native, shots=2000, seed_simulator=1).result().get_counts()
    return hellinger_fidelity(counts, {"00": 1, "11": 1})


def reaches(backend: QubitdBackend, revision: int) -> threading.Event:
    """Give an event that is set when the backend has taken in a revision."""
    reached = threading.Event()
    take_in = backend.update

    def update(info: BackendInfo) -> None:
        take_in(info)
        if info.revision >= revision:
            reached.set()

    backend.update = update  # type: ignore[method-assign]  # to see what is pushed
    return reached


def test_rabi_brings_the_bell_pair_back_and_a_watching_backend_sees_it(wrong: DaemonProcess, tmp_path: Path) -> None:
    with QubitdProvider(wrong.address) as provider:
        backend = provider.get_backend()
        assert backend.target.dt == 1e-9
        assert bell_fidelity(backend) < 0.85
        third = reaches(backend, 3)
        for qubit in WRONG:
            told = script("calibrate_rabi.py", wrong, "--qubit", qubit, "--seed", "1", "--output", str(tmp_path))
            assert f"{qubit}.x.amplitude: 0." in told
            assert "measured twice" in told
        assert third.wait(20)
        assert backend.revision == 3
        assert bell_fidelity(backend) > 0.95
        snapshot = provider.client.snapshot("line5")
    for qubit in WRONG:
        x, sx = (snapshot.parameters[f"{qubit}.{gate}.amplitude"] for gate in ("x", "sx"))
        assert x.stderr is not None
        assert abs(x.value - HALF_TURN) < 4 * x.stderr
        assert sx.value == x.value / 2
        assert (tmp_path / f"rabi-{qubit}-{x.run}.png").is_file()


def test_t1_reaches_the_target_of_a_watching_backend(wrong: DaemonProcess, tmp_path: Path) -> None:
    with QubitdProvider(wrong.address) as provider:
        backend = provider.get_backend()
        assert backend.target.qubit_properties[0].t1 == WRONG_T1
        second = reaches(backend, 2)
        told = script("calibrate_t1.py", wrong, "--seed", "1", "--output", str(tmp_path))
        assert "q0.t1: 40 µs -> " in told
        assert second.wait(20)
        assert backend.target.qubit_properties[0].t1 == pytest.approx(TRUE_T1, rel=0.1)
        (newest, first) = provider.client.history("line5", "q0.t1")
    assert first.parameter.source != "t1"
    assert newest.parameter.source == "t1"
    assert newest.parameter.stderr is not None
    assert abs(newest.parameter.value - TRUE_T1) < 4 * newest.parameter.stderr


def test_a_value_that_somebody_else_changed_is_not_overwritten(wrong: DaemonProcess) -> None:
    with QubitdClient(wrong.address) as client:
        mine, other = (Parameter(name="q3.t1", value=value, unit="s", stderr=1e-6) for value in (31e-6, 33e-6))
        client.commit("line5", base_revision=1, parameters=[other], message="somebody else")
        with pytest.raises(ConflictError, match=r"q3\.t1"):
            client.commit("line5", base_revision=1, parameters=[mine], message="mine")
        assert client.snapshot("line5").value("q3.t1") == 33e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--qubit", "q9"), "line5 has no qubit 'q9'; it has q0, q1, q2, q3, q4"),
        (("--backend", "line6"), "line6"),
        (("--shots", "5"), "the least is 8 points, 10 shots"),
        (("--shots", "200000"), "100000"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    daemon: DaemonProcess, options: tuple[str, str], message: str
) -> None:
    told = script("calibrate_rabi.py", daemon, *options, code=1)
    assert message in told
    assert "Traceback" not in told


def test_a_dry_run_commits_nothing(daemon: DaemonProcess, tmp_path: Path) -> None:
    options = ("--qubit", "q4", "--shots", "400", "--dry-run", "--seed", "2", "--output", str(tmp_path))
    assert "not committed, as asked" in script("calibrate_t1.py", daemon, *options)
    with QubitdClient(daemon.address) as client:
        assert client.snapshot("line5").revision == 1
