"""OpenQASM 2 to a circuit, in both dialects: the gates of qelib1.inc, and those that Qiskit's exporter adds to them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from qiskit import qasm2
from qiskit.circuit import QuantumCircuit

from qubitd.core.errors import Problem
from qubitd.provider.errors import CircuitFileError
from qubitd.provider.qasm_source import QasmSource, refused

_GATE = re.compile(r"\bgate\s+(?P<name>[a-z][A-Za-z0-9_]*)")
_INCLUDE = re.compile(r"\binclude\s*\"(?P<file>[^\"]*)\"")
_QREG = re.compile(r"\bqreg\s+\w+\s*\[\s*(?P<size>\d+)\s*\]")
_PLACE = re.compile(r"<input>:(?P<line>\d+),\d+:\s*(?P<what>.*)", re.DOTALL)
_UNSUPPORTED = ((re.compile(r"\bopaque\b"), "opaque", "declares a gate without a meaning; define it with `gate`"),)


def read(source: QasmSource, *, max_qubits: int) -> QuantumCircuit:
    """Read a program.

    Raises:
        CircuitFileError: with line and construct.
    """
    problems = list(_problems(source, max_qubits))
    if problems:
        raise CircuitFileError(problems)
    own = {match["name"] for match in _GATE.finditer(source.code)}
    # A gate that the file defines hides Qiskit's of the same name; all others that its exporter uses are known.
    instructions = [known for known in qasm2.LEGACY_CUSTOM_INSTRUCTIONS if known.name not in own]
    circuit = load(source, instructions)
    return _written_out(circuit, own)


def _problems(source: QasmSource, max_qubits: int) -> Iterator[Problem]:
    def problem(match: re.Match[str], what: str) -> Problem:
        return refused(source, source.line_of(match), what).problems[0]

    for match in _INCLUDE.finditer(source.code):
        if match["file"] != "qelib1.inc":
            yield problem(match, f'include "{match["file"]}": only qelib1.inc is read; paste what it defines')
    for pattern, name, what in _UNSUPPORTED:
        for match in pattern.finditer(source.code):
            yield problem(match, f"`{name}` {what}")
    total = 0
    for match in _QREG.finditer(source.code):
        total += int(match["size"])
        if total > max_qubits:
            yield problem(match, f"declares {total} qubits; the limit is {max_qubits}")
            return


def load(source: QasmSource, instructions: list[qasm2.CustomInstruction]) -> QuantumCircuit:
    """Parse a program with some gates known beforehand.

    Raises:
        CircuitFileError: the parser refuses it, or fails itself.
    """
    try:
        return qasm2.loads(source.code, include_path=(), custom_instructions=instructions)
    except Exception as error:
        raise _translated(source, error) from error
    except BaseException as error:
        # A fault of the parser itself, which is written in Rust, is no Exception and must not end the program.
        if type(error).__name__ != "PanicException":
            raise
        raise refused(source, None, f"Qiskit's parser failed on it ({error}); simplify the file") from error


def _translated(source: QasmSource, error: Exception) -> CircuitFileError:
    text = str(getattr(error, "message", error)) or type(error).__name__
    place = _PLACE.match(text)
    if place is None:
        return refused(source, None, text)
    return refused(source, int(place["line"]), place["what"])


def _written_out(circuit: QuantumCircuit, own: set[str]) -> QuantumCircuit:
    """Put the body in place of every gate that the file defines: `transpile` knows gates by their names alone."""
    if not own:
        return circuit
    written = circuit.copy_empty_like()
    for instruction in circuit.data:
        operation = instruction.operation
        if instruction.is_control_flow():
            blocks = [_written_out(block, own) for block in operation.blocks]
            written.append(instruction.replace(operation=operation.replace_blocks(blocks)))
        elif instruction.name in own:
            body = _written_out(operation.definition, own)
            written.compose(body, qubits=instruction.qubits, inplace=True, copy=False)
        else:
            written.append(instruction)
    return written
