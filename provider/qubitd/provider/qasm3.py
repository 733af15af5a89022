"""OpenQASM 3 to a circuit, by qiskit-qasm3-import. What it cannot read is refused here first, by line and construct."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import openqasm3
from openqasm3 import ast
from openqasm3.parser import QASM3ParsingError
from openqasm3.visitor import QASMVisitor
from qiskit.circuit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit_qasm3_import import ConversionError, convert

from qubitd.core.errors import Problem
from qubitd.provider.errors import CircuitFileError
from qubitd.provider.qasm_source import QasmSource, refused

_UNSUPPORTED: dict[type[ast.QASMNode], tuple[str, str]] = {
    ast.SwitchStatement: ("switch", "is not read; write it with `if` and `else`"),
    ast.EndStatement: ("end", "would stop a shot in its midst, which is not offered"),
    ast.Box: ("box", "is not offered yet; leave it out and keep its body"),
    ast.SubroutineDefinition: ("def", "is not read; write the body where it is called"),
    ast.ExternDeclaration: ("extern", "is not read"),
    ast.ReturnStatement: ("return", "is not read"),
    ast.CalibrationGrammarDeclaration: ("defcalgrammar", "is not read; pulses come from the lab's calibration"),
    ast.CalibrationStatement: ("cal", "is not read; pulses come from the lab's calibration"),
    ast.CalibrationDefinition: ("defcal", "is not read; pulses come from the lab's calibration"),
    ast.IODeclaration: ("input or output", "has no value here; write the number, or declare a bit"),
    ast.ConstantDeclaration: ("const", "is not read; write the number"),
    ast.StretchType: ("stretch", "is not offered yet; write the time"),
}
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_FAULTS = (
    QiskitError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the importer raises when it meets what it does not expect."""


def read(source: QasmSource, *, max_qubits: int) -> QuantumCircuit:
    """Read a program.

    Raises:
        CircuitFileError: with line and construct.
    """
    program = _parse(source)
    problems = [*_Unsupported(source).find(program), *_too_wide(program, source, max_qubits)]
    if problems:
        raise CircuitFileError(problems)
    _OwnGates().rename(program)
    try:
        return convert(program)
    except ConversionError as error:
        raise _conversion(source, error) from error
    except _FAULTS as error:
        line, text = _culprit(program), _text_of(error)
        raise refused(source, line, f"cannot be read ({text}); check its operands and numbers") from error


def _parse(source: QasmSource) -> ast.Program:
    """Parse; what the parser's lexer says on stderr becomes part of the error."""
    said = io.StringIO()
    if not _COMMENT.sub("", source.text).strip():
        raise refused(source, None, "holds no statement; an OpenQASM 3 program begins with `OPENQASM 3;`")
    try:
        with contextlib.redirect_stderr(said):
            return openqasm3.parse(source.text)
    except QASM3ParsingError as error:
        raise _parsing(source, error) from error
    except _FAULTS as error:
        raise refused(source, None, f"is no OpenQASM 3 program ({_text_of(error)})") from error


def _parsing(source: QasmSource, error: QASM3ParsingError) -> CircuitFileError:
    """The parser's own text is empty more often than not; the token that it stumbled over is in the cause."""
    line, near = _offending_token(error)
    if near:
        return refused(source, line, f"cannot be read near {near!r}; a semicolon or a bracket may be missing before it")
    return refused(source, line, f"cannot be read: {str(error) or 'the parser does not say why'}")


def _offending_token(error: BaseException) -> tuple[int | None, str]:
    causes: list[Any] = [error.__cause__, *getattr(error.__cause__, "args", ())]
    for cause in causes:
        token = getattr(cause, "offendingToken", None)
        if token is not None:
            return token.line, "the end of the file" if token.text == "<EOF>" else token.text
    return None, ""


def _conversion(source: QasmSource, error: ConversionError) -> CircuitFileError:
    place, _, what = str(getattr(error, "message", error)).partition(": ")
    line = place.split(",")[0]
    if not line.isdigit():
        return refused(source, None, _text_of(error))
    return refused(source, int(line), what.replace(_OwnGates.PREFIX, ""))


def _culprit(program: ast.Program) -> int | None:
    """Find the line of the first statement with which the program cannot be converted."""
    good, bad = 0, len(program.statements)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            convert(ast.Program(statements=program.statements[:middle], version=program.version))
            good = middle
        except (ConversionError, *_FAULTS):
            bad = middle
    span = program.statements[bad - 1].span if program.statements else None
    return None if span is None else span.start_line


def _too_wide(program: ast.Program, source: QasmSource, most: int) -> Iterator[Problem]:
    total = 0
    for statement in program.statements:
        if isinstance(statement, ast.QubitDeclaration):
            total += statement.size.value if isinstance(statement.size, ast.IntegerLiteral) else 1
            if total > most:
                what = f"declares {total} qubits; the limit is {most}"
                yield _problem(source, statement, what)
                return


def _problem(source: QasmSource, node: ast.QASMNode, what: str) -> Problem:
    line = None if node.span is None else node.span.start_line
    return refused(source, line, what).problems[0]


def _text_of(error: BaseException) -> str:
    return str(getattr(error, "message", "") or error) or type(error).__name__


class _Unsupported(QASMVisitor[None]):
    """Finds what cannot be read, each construct once where it begins."""

    def __init__(self, source: QasmSource) -> None:
        self._source = source
        self._problems: list[Problem] = []

    def find(self, program: ast.Program) -> list[Problem]:
        """Give everything that is found."""
        self.visit(program)
        return self._problems

    def visit(self, node: ast.QASMNode, context: None = None) -> None:  # noqa: ARG002  # the visitor's form
        """Look at a node, and into it unless it is refused as a whole."""
        known = _UNSUPPORTED.get(type(node))
        if known is not None:
            name, why = known
            self._problems.append(_problem(self._source, node, f"`{name}` {why}"))
            return
        if isinstance(node, ast.Include) and node.filename != "stdgates.inc":
            what = f'include "{node.filename}": only stdgates.inc is read; paste what it defines'
            self._problems.append(_problem(self._source, node, what))
            return
        self.generic_visit(node)


class _OwnGates(QASMVisitor[None]):
    """Renames the gates that a file defines under names that Qiskit knows, since `transpile` knows gates by name."""

    PREFIX = "file_"

    def __init__(self) -> None:
        self._names: set[str] = set()

    def rename(self, program: ast.Program) -> None:
        """Rename in place."""
        defined = {s.name.name for s in program.statements if isinstance(s, ast.QuantumGateDefinition)}
        self._names = defined
        if defined:
            self.visit(program)

    def visit_QuantumGateDefinition(self, node: ast.QuantumGateDefinition) -> None:  # noqa: N802  # the visitor's form
        """Rename a definition, and what its body uses."""
        self._replace(node)
        self.generic_visit(node)

    def visit_QuantumGate(self, node: ast.QuantumGate) -> None:  # noqa: N802  # the visitor's form
        """Rename a use."""
        self._replace(node)

    def _replace(self, node: ast.QuantumGateDefinition | ast.QuantumGate) -> None:
        if node.name.name in self._names:
            node.name.name = self.PREFIX + node.name.name
