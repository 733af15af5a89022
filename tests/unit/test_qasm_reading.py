"""Circuit files of both versions are read as they are meant, or refused by file, line and construct."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from qiskit import QuantumCircuit, qasm2, qasm3, qpy, transpile
from qiskit.circuit import Clbit
from qiskit.circuit.exceptions import CircuitError
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Operator

from qubitd.provider import CircuitFileError
from qubitd.provider.narrow import without_idle_qubits
from qubitd.provider.qasm import MAX_BYTES, read_circuit
from qubitd.provider.qasm2 import load
from qubitd.provider.qasm_source import QasmSource

QASM2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
QASM3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.qasm"


def read(file: Path, text: str) -> QuantumCircuit:
    file.write_text(text)
    return read_circuit(file)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(CircuitFileError) as caught:
        read(file, text)
    return str(caught.value).replace(str(file), "FILE")


def same(left: QuantumCircuit, right: QuantumCircuit) -> bool:
    return bool(Operator(left).equiv(Operator(right)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dumps", [qasm2.dumps, qasm3.dumps])
def test_what_qiskit_writes_is_read_with_its_meaning(file: Path, dumps, seed: int) -> None:  # type: ignore[no-untyped-def]
    circuit = random_circuit(4, 6, max_operands=3, seed=seed)
    assert same(read(file, dumps(circuit)), circuit)


@pytest.mark.parametrize("seed", range(5))
def test_what_qiskit_dumps_as_qpy_is_the_circuit(file: Path, seed: int) -> None:
    circuit = random_circuit(4, 6, max_operands=3, seed=seed)
    with file.open("wb") as stream:
        qpy.dump(circuit, stream)
    read = read_circuit(file)
    assert read == circuit
    assert read.name == "mine"


def qpy_bytes(*circuits: QuantumCircuit) -> bytes:
    stream = io.BytesIO()
    qpy.dump(list(circuits), stream)
    return stream.getvalue()


BELL = QuantumCircuit(2, 2)
BELL.h(0)
BELL.cx(0, 1)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (qpy_bytes(BELL, BELL), "FILE: holds 2 circuits; write one into a file"),
        (qpy_bytes(BELL)[:-7], "FILE: cannot be read as QPY: "),
        (b"QISKIT", "FILE: cannot be read as QPY: "),
        (qpy_bytes(BELL)[:7] + b"\xff\xff", "FILE: cannot be read as QPY: "),
        (qpy_bytes(QuantumCircuit(4_097)), "FILE: has 4097 qubits; the limit is 4096"),
        (qpy_bytes(QuantumCircuit()), "FILE: declares no qubits"),
    ],
)
def test_a_qpy_file_that_is_not_one_circuit_is_refused(file: Path, data: bytes, what: str) -> None:
    file.write_bytes(data)
    with pytest.raises(CircuitFileError) as caught:
        read_circuit(file)
    told = str(caught.value)
    assert told.replace(str(file), "FILE").startswith(what)
    assert told.isprintable()
    assert "\\n" not in told


def test_a_circuit_is_named_for_its_file(file: Path) -> None:
    assert read(file, QASM2 + "qreg q[1]; h q[0];").name == "mine"


@pytest.mark.parametrize(
    "text",
    [
        QASM2 + "gate cu(a) c,t { h t; u1(a) c; } qreg q[2]; cu(0.5) q[0],q[1]; sx q[0];",
        QASM3 + "gate cu(a) c,t { h t; p(a) c; } qubit[2] q; cu(0.5) q[0],q[1]; sx q[0];",
    ],
)
def test_a_gate_of_the_file_keeps_its_meaning_through_transpile(file: Path, text: str) -> None:
    wanted = QuantumCircuit(2)
    wanted.h(1)
    wanted.p(0.5, 0)
    wanted.sx(0)
    circuit = read(file, text)
    assert same(circuit, wanted)
    assert same(transpile(circuit, basis_gates=["rz", "sx", "x", "cz"], optimization_level=1), wanted)


@pytest.mark.parametrize(
    "text",
    [
        "OPENQASM 2.0; gate inner a { U(pi,0,pi) a; } gate h a { inner a; } qreg q[1]; h q[0];",
        "OPENQASM 3.0; gate inner a { U(pi,0,pi) a; } gate h a { inner a; } qubit[1] q; h q[0];",
        QASM3 + "gate h a { x a; } qubit[1] q; h q[0];",
    ],
)
def test_a_gate_of_the_file_may_be_made_of_others_and_hide_a_known_one(file: Path, text: str) -> None:
    wanted = QuantumCircuit(1)
    wanted.x(0)
    assert same(transpile(read(file, text), basis_gates=["rz", "sx", "x"]), wanted)


def test_a_gate_of_the_file_keeps_its_meaning_under_a_condition(file: Path) -> None:
    wanted = QuantumCircuit(1)
    wanted.x(0)
    defined = "gate inner a { U(pi,0,pi) a; } gate sxdg a { inner a; } gate if_else a { sxdg a; } "
    circuit = read(file, QASM2 + defined + "qreg q[2]; creg c[1]; if (c==1) sxdg q[1]; if (c==1) if_else q[1];")
    for native in (circuit, transpile(circuit, basis_gates=["rz", "sx", "x", "if_else"], optimization_level=1)):
        blocks = [instruction.operation.blocks[0] for instruction in native.data]
        assert [same(block, wanted) for block in blocks] == [True, True]


@pytest.mark.parametrize("gate", ["sx", "sxdg", "p(0.1)", "u(1,2,3)", "rz(0.5)"])
def test_the_exporters_own_gates_need_no_definition(file: Path, gate: str) -> None:
    assert read(file, QASM2 + f"qreg q[1]; {gate} q[0];").size() == 1


def test_registers_are_read_in_order(file: Path) -> None:
    circuit = read(file, QASM3 + "qubit[2] q; bit[2] a; bit b; b = measure q[1]; a[1] = measure q[0];")
    assert [register.name for register in circuit.cregs] == ["a"]
    assert [circuit.find_bit(row.clbits[0]).index for row in circuit.data] == [2, 1]
    assert not circuit.find_bit(circuit.clbits[2]).registers


def test_a_file_without_a_version_is_openqasm_3(file: Path) -> None:
    assert read(file, "qubit q; U(1, 2, 3) q;").size() == 1


def test_a_byte_order_mark_is_no_trouble(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + QASM2.encode() + b"qreg q[1];")
    assert read_circuit(file).num_qubits == 1


def test_comments_hide_constructs_and_keep_lines(file: Path) -> None:
    text = QASM2 + '// if (c==1) opaque\n/* include\n"other.inc" */\nqreg q[1];\nfoo q[0];'
    assert refusal(file, text).startswith("FILE, line 7: 'foo' is not defined")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (QASM2 + "qreg q[2];\nh q[5];", "FILE, line 4: index 5 is out-of-range for register 'q' of size 2"),
        (QASM2 + "qreg q[2];\n\nh q[0]", "FILE, line 5: unexpected end-of-file"),
        (QASM2 + "opaque mine a;", "FILE, line 3: `opaque` declares a gate without a meaning"),
        (QASM2 + "qreg q[9]; qreg r[4090];", "FILE, line 3: declares 4099 qubits; the limit is 4096"),
        ('OPENQASM 2.0;\ninclude "other.inc";', 'FILE, line 2: include "other.inc": only qelib1.inc is read'),
        (QASM2 + "gate h a { x a; } qreg q[1];", "FILE, line 3: 'h' is already defined"),
        (QASM2 + "creg c[1];", "FILE: declares no qubits"),
        ("OPENQASM 1.0;", "FILE, line 1: is OpenQASM 1; versions 2 and 3 are read"),
        ("\nqreg q[1];\nOPENQASM 2.0;", "FILE, line 3: the version must be the first statement"),
        (QASM3 + "qubit[2] q\nh q;", "FILE, line 4: cannot be read near 'h'; a semicolon or a bracket may be missing"),
        (QASM3 + "qubit q;\n}", "FILE, line 4: cannot be read near '}'"),
        (QASM3 + "qubit[2] q;\nfoo q[0];", "FILE, line 4: gate 'foo' is not defined"),
        (QASM3 + "qubit[2] q;\nh q[0];\nh q[7];\nh q[1];", "FILE, line 5: cannot be read (index out of range)"),
        (QASM3 + "qubit q;\nU(1/0, 0, 0) q;", "FILE, line 4: cannot be read (integer division"),
        (
            QASM3 + "qubit q; int i;\nswitch (i) { case 0 { x q; } }",
            "FILE, line 4: `switch` is not read; write",
        ),
        (QASM3 + "qubit q;\nend;", "FILE, line 4: `end` would stop a shot in its midst"),
        (QASM3 + "input float t; qubit q; rx(t) q;", "FILE, line 3: `input or output` has no value here"),
        (QASM3 + "qubit q;\nbox { h q; }", "FILE, line 4: `box` is not offered yet"),
        (QASM3 + "stretch a;", "FILE, line 3: `stretch` is not offered yet"),
        (QASM3 + "qubit[5000] q;", "FILE, line 3: declares 5000 qubits; the limit is 4096"),
        (QASM3 + "int i = 0;", "FILE, line 3: declarations of type 'int' are not supported"),
        ('OPENQASM 3.0;\ninclude "other.inc";', 'FILE, line 2: include "other.inc": only stdgates.inc is read'),
        ("\x00", "FILE: cannot be read: L1:C0: token recognition error"),
        (QASM3 + "qubit q; ctrl @ x q;", "FILE, line 3: cannot be read (The amount of qubit(1)"),
    ],
)
def test_a_refusal_names_file_line_and_construct(file: Path, text: str, expected: str) -> None:
    assert refusal(file, text).startswith(expected)


def test_everything_that_is_not_offered_is_named_at_once(file: Path) -> None:
    text = refusal(file, QASM3 + "bit c; qubit q;\nend;\nbox { h q; }")
    assert [line.split(":")[0] for line in text.splitlines()] == ["FILE, line 4", "FILE, line 5"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CircuitFileError, match=r"none\.qasm: cannot be read: No such file"):
        read_circuit(tmp_path / "none.qasm")
    with pytest.raises(CircuitFileError, match="cannot be read: Is a directory"):
        read_circuit(tmp_path)


def test_a_file_that_is_no_text_is_refused_with_the_line(file: Path) -> None:
    file.write_bytes(b"OPENQASM 2.0;\n\xff")
    with pytest.raises(CircuitFileError, match="line 2: byte 0xff is not UTF-8"):
        read_circuit(file)


def test_a_file_that_should_be_qpy_and_is_not_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "bell.qpy"
    file.write_bytes(b"\xf0\x00")
    with pytest.raises(CircuitFileError, match=r"bell\.qpy: does not begin as a QPY file does; write it again"):
        read_circuit(file)


def test_a_file_that_is_too_long_is_refused_with_both_numbers(file: Path) -> None:
    file.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(CircuitFileError, match="has 16777217 bytes; the limit is 16777216"):
        read_circuit(file)


def test_reading_says_nothing_on_stdout_or_stderr(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refusal(file, "\x00")
    refusal(file, QASM3 + "qubit q; }")
    read(file, QASM3 + "qubit q;")
    assert capfd.readouterr() == ("", "")


class PanicException(BaseException):
    """As the parser's own fault is named."""


def test_a_fault_of_the_parser_itself_is_an_error_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: object, **__: object) -> None:
        raise PanicException("index out of bounds")

    monkeypatch.setattr(qasm2, "loads", panic)
    with pytest.raises(CircuitFileError, match="Qiskit's parser failed on it"):
        load(QasmSource(where="f", text=""), [])


def test_an_error_without_a_place_is_an_error_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CircuitError("register size too large")

    monkeypatch.setattr(qasm2, "loads", fail)
    with pytest.raises(CircuitFileError, match=r"^f: register size too large$"):
        load(QasmSource(where="f", text=""), [])


def test_an_interrupt_while_reading_stays_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(qasm2, "loads", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(QasmSource(where="f", text=""), [])


def test_idle_qubits_are_left_out_and_classical_bits_stay() -> None:
    wide = QuantumCircuit(16, 3, name="wide", metadata={"a": 1}, global_phase=0.5)
    wide.add_bits([Clbit()])
    wide.h(3)
    wide.barrier()
    wide.cx(3, 9)
    wide.barrier(0, 1)
    wide.measure([9, 3], [2, 3])
    narrow = without_idle_qubits(wide, 5)
    assert (narrow.num_qubits, narrow.num_clbits, narrow.name, narrow.global_phase) == (2, 4, "wide", 0.5)
    assert narrow.metadata == {"a": 1}
    assert [
        (row.name, [narrow.find_bit(q).index for q in row.qubits], [narrow.find_bit(c).index for c in row.clbits])
        for row in narrow.data
    ] == [
        ("h", [0], []),
        ("barrier", [0, 1], []),
        ("cx", [0, 1], []),
        ("measure", [1], [2]),
        ("measure", [0], [3]),
    ]


def test_a_circuit_that_uses_no_qubit_keeps_one() -> None:
    wide = QuantumCircuit(9)
    wide.barrier()
    assert without_idle_qubits(wide, 5).num_qubits == 1


def test_a_circuit_that_fits_stays_as_it_is() -> None:
    circuit = QuantumCircuit(5)
    assert without_idle_qubits(circuit, 5) is circuit


def test_control_flow_is_read(file: Path) -> None:
    file.write_text(
        QASM3
        + "qubit[2] q; bit[2] c;\nc[0] = measure q[0];\nif (c[0]) { x q[1]; } else { h q[1]; }\n"
        + "while (c[0] == false) { c[0] = measure q[0]; break; }\nfor int i in [0:3] { x q[0]; continue; }"
    )
    assert read_circuit(file).count_ops().keys() == {"measure", "if_else", "while_loop", "for_loop"}
    file.write_text(QASM2 + "creg c[2]; qreg q[1];\nif (c==3) x q[0];")
    (branch,) = read_circuit(file).data
    assert branch.name == "if_else"


@pytest.mark.parametrize("text", ["", "\n\n", "// only a remark\n"])
def test_a_file_without_a_statement_is_told_in_words(file: Path, text: str) -> None:
    assert refusal(file, text) == "FILE: holds no statement; an OpenQASM 3 program begins with `OPENQASM 3;`"
