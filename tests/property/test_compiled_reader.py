"""The compiled reader gives the very columns that a walk over the circuit gives; if none can be made, that is told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.circuit import Gate, Instruction, Parameter, QuantumCircuit

from qubitd.client import BackendInfo
from qubitd.compiler.device_file import load_device
from qubitd.core import native
from qubitd.provider import accelerate, reader
from qubitd.provider.accelerate import AccelerationError, build, main
from qubitd.provider.delays import units_of_delays
from qubitd.provider.encode import Encoded, Encoder
from qubitd.provider.reader import Reader, load_reader
from qubitd.wire.backends import Limits, backend_info

LIMITS = Limits(max_shots=1_000, max_circuits=1_000, max_total_shots=5_000_000, max_job_bytes=1 << 26)
ANY = Parameter("any")
NO_NUMBERS = ["a", None, (1, 2), 1j, 10**400, np.eye(2), np.array([0.5]), (1j * ANY).bind({ANY: 0.3})]
ANGLES = st.floats(-100, 100) | st.integers(-4, 4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def compiled(cache: Path) -> Reader | None:
    """The reader; None where Qiskit has no C API or the machine no compiler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        try:
            return Reader(build())
        except AccelerationError:
            return None


@pytest.fixture(scope="module")
def info() -> BackendInfo:
    file = load_device("line5")
    return backend_info(
        file.device, file.snapshot(), limits=LIMITS, operational=True, simulated=True, server_version=""
    )


def encoded(info: BackendInfo, with_reader: Reader | None, circuits: list[QuantumCircuit]) -> tuple[Encoded, list[str]]:
    encoder = Encoder(info, reader=with_reader)
    return encoder.encode(circuits), [str(problem) for problem in encoder.problems]


def assert_same(info: BackendInfo, compiled: Reader | None, circuits: list[QuantumCircuit]) -> None:
    (left, problems), (right, expected) = encoded(info, compiled, circuits), encoded(info, None, circuits)
    assert problems == expected
    assert left.batch.operations == right.batch.operations
    for a, b in zip(left.batch.circuits, right.batch.circuits, strict=True):
        for name in ("opcodes", "qubits", "params", "clbits"):
            mine, other = getattr(a, name), getattr(b, name)
            assert (mine.dtype, mine.tobytes()) == (other.dtype, other.tobytes())


@st.composite
def circuits(draw: st.DrawFn) -> QuantumCircuit:
    """Mostly what line5 runs; now and then what it refuses."""
    circuit = QuantumCircuit(draw(st.integers(1, 6)), draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(0, 20))):
        qubit = draw(st.integers(0, circuit.num_qubits - 1))
        match draw(st.integers(0, 11)):
            case 0 | 1 | 2:
                circuit.rz(draw(ANGLES), qubit)
            case 3:
                circuit.rz(np.float32(0.1), qubit)
            case 4:
                circuit.delay(draw(st.integers(0, 500)), qubit, unit=draw(st.sampled_from(["dt", "ns", "us"])))
            case 5:
                circuit.measure(qubit, draw(st.integers(0, circuit.num_clbits - 1)))
            case 6:
                circuit.barrier(*range(draw(st.integers(1, circuit.num_qubits))))
            case 7 if qubit:
                circuit.cz(qubit - 1, qubit)
            case 8:
                circuit.reset(qubit)
            case 9 if draw(st.integers(0, 9)) == 0:
                circuit.h(qubit)
            case 10 if draw(st.integers(0, 9)) == 0:
                with circuit.if_test((circuit.clbits[0], 1)):
                    circuit.x(qubit)
            case _:
                circuit.sx(qubit)
    return circuit


@given(st.lists(circuits(), min_size=1, max_size=3))
def test_read_circuits_are_walked_circuits(
    info: BackendInfo, compiled: Reader | None, made: list[QuantumCircuit]
) -> None:
    assert_same(info, compiled, made)


def test_what_is_no_number_is_left_to_the_walk(info: BackendInfo, compiled: Reader | None) -> None:
    free, infinite, dynamic, wide = (QuantumCircuit(5, 1) for _ in range(4))
    free.rz(Parameter("a"), 0)
    infinite.rz(math.inf, 0)
    dynamic.measure(0, 0)
    with dynamic.if_test((0, 1)):
        dynamic.x(0)
    wide.ccx(0, 1, 2)
    assert_same(info, compiled, [free, infinite, dynamic, wide])


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", ["rz", "delay"])
def test_what_only_python_knows_is_refused_and_ends_no_process(
    info: BackendInfo, compiled: Reader | None, name: str, value: object
) -> None:
    def anything(parameter: object) -> Gate:
        gate = Gate(name, 1, [])
        gate.unit, gate.validate_parameter, gate.params = "dt", lambda one: one, [parameter]
        return gate

    prepared, named = QuantumCircuit(2), QuantumCircuit(2)
    prepared.initialize([1, 0], 0)
    for one in (3, value):
        named.append(anything(one), [0])
    assert_same(info, compiled, [prepared, named])
    first, second = encoded(info, compiled, [prepared, named])[1]
    assert ("no such gate" in first, "give a finite number" in second) == (True, True)


def test_a_delay_in_name_only_is_refused(info: BackendInfo, compiled: Reader | None) -> None:
    circuit = QuantumCircuit(1)
    circuit.append(Gate("delay", 1, [3]), [0])
    assert_same(info, compiled, [circuit])
    assert "give a number and a unit" in encoded(info, compiled, [circuit])[1][0]
    circuit.append(Gate("delay", 1, [ANY]), [0])
    assert units_of_delays(circuit, dt=1e-9) == {}


def test_a_delay_before_what_is_left_to_the_walk_is_found_in_its_place(
    info: BackendInfo, compiled: Reader | None
) -> None:
    dynamic, matrix = (QuantumCircuit(2, 1) for _ in range(2))
    for circuit in (dynamic, matrix):
        circuit.delay(100, 0)
    with dynamic.if_test((0, 1)):
        dynamic.x(0)
    matrix.unitary(np.eye(4), [0, 1])
    for circuit in (dynamic, matrix):
        circuit.delay(200, 0)
    assert_same(info, compiled, [dynamic, matrix])


def test_what_only_has_the_name_of_a_gate_is_told_apart_by_its_classical_bits(
    info: BackendInfo, compiled: Reader | None
) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.sx(0)
    circuit.append(Instruction("sx", 1, 1, []), [0], [0])
    circuit.append(Instruction("measure", 1, 0, []), [0])
    assert_same(info, compiled, [circuit])
    (columns,), operations = (batch := encoded(info, None, [circuit])[0].batch).circuits, batch.operations
    assert [operations[opcode].num_clbits for opcode in columns.opcodes] == [1, 0, 1, 0]


def test_many_kinds_of_instructions_are_left_to_the_walk(info: BackendInfo, compiled: Reader | None) -> None:
    circuit = QuantumCircuit(300, 0)
    for width in range(1, 300):
        circuit.barrier(*range(width))
    assert compiled is None or compiled.read(circuit) is None
    assert_same(info, compiled, [circuit])


def test_a_reader_that_is_there_is_used_and_not_compiled_again(
    cache: Path, compiled: Reader | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(native, "_compiler", lambda: pytest.fail("a compiler was looked for"))
    load_reader.cache_clear()
    try:
        assert (load_reader() is None) == (compiled is None)
        if compiled is not None:
            assert main() == 0
    finally:
        load_reader.cache_clear()


def test_without_a_compiled_reader_none_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_reader.cache_clear()
    try:
        assert load_reader() is None
    finally:
        load_reader.cache_clear()


def test_a_damaged_reader_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "reader.so"
    path.write_bytes(b"nothing")
    monkeypatch.setattr(reader, "library_path", lambda: path)
    load_reader.cache_clear()
    try:
        assert load_reader() is None
        assert "cannot be loaded" in caplog.text
    finally:
        load_reader.cache_clear()


def test_a_qiskit_without_the_functions_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accelerate, "NEEDED", ("qk_of_the_future",))
    assert main() == 1
    assert "has no qk_of_the_future in its C API" in capsys.readouterr().err


def test_a_machine_without_a_compiler_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accelerate, "_include", lambda: "")
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(AccelerationError, match="no C compiler is here"):
        build()


@pytest.mark.parametrize(("compiler", "what"), [("/bin/false", "failed: "), ("/nowhere/cc", "did not end: ")])
def test_a_compiler_that_fails_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler: str, what: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accelerate, "_include", lambda: "")
    monkeypatch.setattr(native, "_compiler", lambda: compiler)
    with pytest.raises(AccelerationError, match=what):
        build()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
