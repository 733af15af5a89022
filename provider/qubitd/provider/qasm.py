"""OpenQASM 2, OpenQASM 3 and QPY files to circuits: read as they are meant, or refused by file, line and construct."""

from __future__ import annotations

import io
import re
from pathlib import Path

from qiskit import qpy
from qiskit.circuit import QuantumCircuit

from qubitd.provider import qasm2, qasm3
from qubitd.provider.errors import CircuitFileError
from qubitd.provider.qasm_source import QasmSource, refused

MAX_BYTES = 16 << 20
MAX_QUBITS = 4_096
_QPY = b"QISKIT"
"""What every QPY file begins with."""
_BACKTRACE = re.compile(r"[\x00-\x1f]|\\n|\\x1b")
"""Where Qiskit's reader goes on with colours and lines of its own source."""
_VERSION = re.compile(r"\s*OPENQASM\s+(?P<major>\d+)(?:\.(?P<minor>\d+))?\s*;")


def read_circuit(path: Path | str) -> QuantumCircuit:
    """Read an OpenQASM 2 or 3 file, or a QPY file of one circuit; the circuit is named for the file.

    A gate that the file defines keeps the file's meaning, whatever gate Qiskit knows by that name.

    Raises:
        CircuitFileError: the file cannot be read, with line and construct.
    """
    path = Path(path)
    data = _bytes(path)
    if data.startswith(_QPY):
        circuit = _read_qpy(str(path), data)
    else:
        circuit = _read(QasmSource(where=str(path), text=_text(path, data)))
    if circuit.num_qubits == 0:
        raise refused(str(path), None, "declares no qubits; add a qreg or a qubit")
    circuit.name = path.stem
    return circuit


def _read(source: QasmSource) -> QuantumCircuit:
    version = _VERSION.match(source.code)
    if version is None:
        late = re.search(r"\bOPENQASM\b", source.code)
        if late is not None:
            what = "the version must be the first statement, such as `OPENQASM 3.0;`"
            raise refused(source, source.line_of(late), what)
        return qasm3.read(source, max_qubits=MAX_QUBITS)
    match version["major"]:
        case "2":
            return qasm2.read(source, max_qubits=MAX_QUBITS)
        case "3":
            return qasm3.read(source, max_qubits=MAX_QUBITS)
        case other:
            raise refused(source, source.line_of(version), f"is OpenQASM {other}; versions 2 and 3 are read")


def _read_qpy(where: str, data: bytes) -> QuantumCircuit:
    try:
        found = qpy.load(io.BytesIO(data))
    except Exception as error:  # damaged bytes raise whatever their reader stumbles over
        reason = _BACKTRACE.split(str(error))[0].strip('" :') or type(error).__name__
        what = f"cannot be read as QPY: {reason}; write it again with qpy.dump of this Qiskit"
        raise refused(where, None, what) from error
    circuits = [one for one in found if isinstance(one, QuantumCircuit)]
    if len(circuits) != 1:
        raise refused(where, None, f"holds {len(circuits)} circuits; write one into a file")
    if circuits[0].num_qubits > MAX_QUBITS:
        raise refused(where, None, f"has {circuits[0].num_qubits} qubits; the limit is {MAX_QUBITS}")
    return circuits[0]


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise refused(str(path), None, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise refused(str(path), None, f"has {len(data)} bytes; the limit is {MAX_BYTES}")
    return data


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if path.suffix == ".qpy":
            what = "does not begin as a QPY file does; write it again with qpy.dump"
            raise refused(str(path), None, what) from error
        line = data[: error.start].count(b"\n") + 1
        raise refused(str(path), line, f"byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8") from error


__all__ = ["CircuitFileError", "read_circuit"]
