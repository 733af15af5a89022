"""A Target with nothing but a lab's gate beside rz and cx is compiled for, and nothing global changes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager, transpile
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.equivalence_library import SessionEquivalenceLibrary
from qiskit.circuit.library import CXGate, HGate, Measure, RYGate, RZGate
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Operator
from qiskit.transpiler import InstructionProperties, PassManagerConfig, Target, TranspilerError

from qubitd.compiler.device_file import load_device
from qubitd.provider import translation
from qubitd.provider.errors import ProviderError
from qubitd.provider.everywhere import everywhere
from qubitd.provider.twin import build_noise_model, without_lab_gates

ROOT = Path(__file__).parents[2]
GROUP = "qiskit.transpiler.translation"


class SYGate(Gate):  # type: ignore[misc]  # Qiskit carries no types
    """The lab's own: RY(pi/2)."""

    def __init__(self) -> None:
        super().__init__("sy", 1, [])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(RYGate(pi / 2).to_matrix(), dtype=dtype)

    @property
    def equivalences(self) -> tuple[tuple[Gate, QuantumCircuit], ...]:
        circuit = QuantumCircuit(1)
        circuit.z(0)
        circuit.append(SYGate(), [0])
        return ((HGate(), circuit),)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The entry point that pyproject.toml declares, whichever version this environment was set up with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (line,) = (f"{name} = {place}" for name, place in project["entry-points"][GROUP].items())
    information = tmp_path / "qubitd_plugin-0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: qubitd-plugin\nVersion: 0\n")
    (information / "entry_points.txt").write_text(f"[{GROUP}]\n{line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    translation.is_installed.cache_clear()
    yield tmp_path
    translation.is_installed.cache_clear()


def lab_target() -> Target:
    """Two qubits with rz, sy, and a cx in one direction."""
    target = Target(num_qubits=2)
    both = [(0,), (1,)]
    target.add_instruction(RZGate(Parameter("angle")), dict.fromkeys(both, InstructionProperties(0.0, 0.0)))
    target.add_instruction(SYGate(), dict.fromkeys(both, InstructionProperties(40e-9, 1e-3)))
    target.add_instruction(CXGate(), {(0, 1): InstructionProperties(100e-9, 5e-3)})
    target.add_instruction(Measure(), dict.fromkeys(both, InstructionProperties(800e-9, 1e-2)))
    return target


def lab_circuit() -> QuantumCircuit:
    """What needs every gate of it, and cx against its direction."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(1, 0)
    circuit.u(0.1, 0.2, 0.3, 1)
    return circuit


@pytest.fixture(scope="module")
def target() -> Target:
    return lab_target()


@pytest.fixture
def circuit() -> QuantumCircuit:
    return lab_circuit()


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.usefixtures("installed")
def test_circuits_are_compiled_at_every_level(target: Target, circuit: QuantumCircuit, level: int) -> None:
    native = transpile(
        circuit,
        target=target,
        optimization_level=level,
        translation_method="qubitd",
        initial_layout=[0, 1],
        seed_transpiler=1,
    )
    assert native.count_ops().keys() <= {"rz", "sy", "cx"}
    assert all(native.find_bit(row.qubits[0]).index == 0 for row in native.data if row.name == "cx")
    assert Operator.from_circuit(native).equiv(Operator(circuit))


def test_qiskits_own_stage_cannot_compile_them(target: Target, circuit: QuantumCircuit) -> None:
    with pytest.raises(TranspilerError):
        transpile(circuit, target=target, optimization_level=1)


def test_circuits_are_compiled_in_two_processes(installed: Path) -> None:
    program = f"""
        import sys
        sys.path.append({str(installed)!r})
        from qiskit import transpile
        from qiskit.utils import should_run_in_parallel
        from tests.unit.test_translation_plugin import lab_circuit, lab_target
        assert should_run_in_parallel(2)
        natives = transpile([lab_circuit()] * 4, target=lab_target(), translation_method="qubitd", num_processes=2)
        print(*sorted({{name for native in natives for name in native.count_ops()}}))
    """
    # Not in ours: Qiskit makes the second by a fork, which a process must not do in which gRPC serves.
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        env={**os.environ, "QISKIT_PARALLEL": "TRUE"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "cx rz sy\n", "")


@pytest.mark.usefixtures("installed")
def test_the_preset_pass_manager_takes_the_stage_by_name(target: Target, circuit: QuantumCircuit) -> None:
    native = generate_preset_pass_manager(1, target=target, translation_method="qubitd").run(circuit)
    assert native.count_ops().keys() <= {"rz", "sy", "cx"}


def test_nothing_that_others_use_changes(target: Target) -> None:
    before = len(SessionEquivalenceLibrary.get_entry(HGate()))
    library = translation.build_library(target)
    assert len(library.get_entry(HGate())) == before + 1
    assert len(SessionEquivalenceLibrary.get_entry(HGate())) == before


def test_without_a_target_there_is_nothing_to_translate_into(circuit: QuantumCircuit) -> None:
    stage = translation.TranslationPlugin().pass_manager(PassManagerConfig())
    assert stage.run(circuit) == circuit
    basis = PassManagerConfig(basis_gates=["u", "cx"])
    assert translation.TranslationPlugin().pass_manager(basis).run(circuit).count_ops().keys() == {"u", "cx"}


def test_a_labs_gate_becomes_a_labelled_matrix_for_a_simulator() -> None:
    circuit = QuantumCircuit(1, 1, metadata={"key": 1})
    circuit.h(0)
    circuit.append(SYGate(), [0])
    circuit.measure(0, 0)
    plain = without_lab_gates(circuit)
    assert [(row.name, row.operation.label) for row in plain.data] == [
        ("h", None),
        ("unitary", "sy"),
        ("measure", None),
    ]
    np.testing.assert_allclose(plain.data[1].operation.to_matrix(), RYGate(pi / 2).to_matrix())
    assert plain.metadata == {"key": 1}


def test_a_labs_gate_in_a_block_becomes_one_too() -> None:
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(2)), circuit.if_test((circuit.clbits[0], 1)):
        circuit.append(SYGate(), [0])
    (found,) = (row for row in everywhere(without_lab_gates(circuit)) if not row.is_control_flow())
    assert (found.name, found.operation.label) == ("unitary", "sy")
    assert [row.name for row in everywhere(circuit)] == ["for_loop", "if_else", "sy"]


def test_without_aer_the_line_to_type_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qiskit_aer.noise", None)
    with pytest.raises(QiskitError, match=r"pip install 'qubitd\[aer\]'") as caught:
        build_noise_model(None, load_device("line5").snapshot())
    assert isinstance(caught.value, ProviderError)
