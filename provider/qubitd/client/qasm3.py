"""OpenQASM 3 programs that are in a backend's native gates already, without Qiskit (extra `qasm3`).

Read are declarations of qubits, bits and constants, native gates, measure, reset, barrier, delay, if, else, for, while,
break and continue. Anything else is refused by name and line: nothing is transpiled here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import openqasm3
from openqasm3 import ast
from openqasm3.parser import QASM3ParsingError

from qubitd.client.errors import ProgramError
from qubitd.client.qasm3_values import (
    CannotEvaluate,
    Number,
    Scope,
    condition,
    mentions,
    number,
    of_kind,
    seconds,
    whole,
    whole_numbers,
)
from qubitd.core.circuit import CircuitBuilder
from qubitd.core.control import MAX_EXPANDED
from qubitd.core.errors import Problem
from qubitd.wire.backends import BackendInfo
from qubitd.wire.circuits import MAX_CLBITS

Statement = ast.Statement | ast.Pragma
MAX_HEAD = 60
"""Characters of a statement that are told at most."""


def read_qasm3(text: str, backend: BackendInfo, *, name: str = "program", most: int | None = None) -> CircuitBuilder:
    """Read a program.

    Args:
        text: OpenQASM 3. Qubits are the device's in the order of their declaration; `$3` is qubit 3.
        backend: whose native gates it is in.
        name: of the circuit.
        most: repetitions of a `while` at most, since no controller repeats without end; a shot that would need more
            goes on behind the loop. None for a program without such loops.

    Returns:
        the circuit; bits are numbered in the order of their declaration.

    Raises:
        ProgramError: naming the line.
    """
    reader = _Reader(backend=backend, name=name, most=most)
    try:
        reader.read(_parsed(text, name).statements)
    except RecursionError as error:  # of the parser, or of what reads a block within a block
        raise ProgramError([Problem(where=name, what="holds blocks or brackets nested too deep to be read")]) from error
    return reader.finished()


def _parsed(text: str, name: str) -> ast.Program:
    try:
        program = openqasm3.parse(text)
    except QASM3ParsingError as error:
        raise ProgramError([_unreadable(error, name)]) from error
    except AttributeError as error:  # the parser looks for the first line of a text that has no statement
        raise ProgramError([Problem(where=name, what="holds no statement")]) from error
    version = program.version
    if version is not None and version.partition(".")[0] != "3":
        raise ProgramError([Problem(where=name, what=f"is OpenQASM {version}; version 3 is read")])
    return program


@dataclass(slots=True, kw_only=True)
class _Reader:
    backend: BackendInfo
    name: str
    most: int | None
    numbers: dict[str, Number] = field(default_factory=dict[str, Number])
    qubits: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    bits: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    circuit: CircuitBuilder = field(init=False)
    size: int = 0
    """Operations so far."""

    def __post_init__(self) -> None:
        self.circuit = CircuitBuilder(name=self.name, num_qubits=len(self.backend.qubits), num_clbits=0)

    def read(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            self._check_size(statement, 1)
            self.size += 1
            for annotation in getattr(statement, "annotations", ()):
                raise self._refusal(annotation, f"`@{annotation.keyword}` is not read here; leave it out")
            try:
                self._statement(statement)
            except CannotEvaluate as error:
                raise self._refusal(statement, f"holds {error}") from error

    def _check_size(self, statement: Statement, more: int) -> None:
        if self.size + more > MAX_EXPANDED:
            raise self._refusal(statement, f"is beyond {MAX_EXPANDED} operations with loops written out; repeat less")

    def finished(self) -> CircuitBuilder:
        self.circuit.num_clbits = sum(map(len, self.bits.values()))
        return self.circuit

    @property
    def scope(self) -> Scope:
        return Scope(numbers=self.numbers, bits=self.bits, dt=self.backend.dt)

    def _statement(self, statement: Statement) -> None:
        match statement:
            case ast.QuantumGate():
                self._gate(statement)
            case ast.QuantumMeasurementStatement(measure=measure, target=target):
                if target is None:
                    raise self._refusal(statement, "measures into no bit; name one, as in `c[0] = measure q[0];`")
                self._measure(statement, measure, target)
            case ast.QuantumReset(qubits=where):
                for qubit in self._operands(statement, where):
                    self.circuit.add("reset", qubit)
            case ast.QuantumBarrier(qubits=where):
                self.circuit.add("barrier", *self._all_operands(statement, where))
            case ast.DelayInstruction(duration=duration, qubits=where):
                for qubit in self._all_operands(statement, where):
                    self.circuit.delay(qubit, seconds(duration, self.scope))
            case ast.BranchingStatement() | ast.ForInLoop() | ast.WhileLoop():
                self._block(statement)
            case _:
                self._declaration(statement)

    def _declaration(self, statement: Statement) -> None:
        match statement:
            case ast.Include(filename="stdgates.inc"):
                return
            case ast.QubitDeclaration(qubit=ast.Identifier(name=name), size=size):
                self._declare_qubits(statement, name, self._size(statement, name, size))
            case ast.ClassicalDeclaration(type=ast.BitType(size=size), identifier=identifier, init_expression=first):
                self._declare_bits(statement, identifier.name, self._size(statement, identifier.name, size))
                if isinstance(first, ast.QuantumMeasurement):
                    self._measure(statement, first, identifier)
                elif first is not None:
                    raise self._refusal(statement, "gives a bit a first value; a bit gets its value from a measurement")
            case ast.ConstantDeclaration(type=kind, identifier=identifier, init_expression=value):
                is_whole = isinstance(kind, ast.IntType | ast.UintType)
                given = whole(value, self.scope) if is_whole else number(value, self.scope)
                self.numbers[identifier.name] = of_kind(kind, given)
            case ast.BreakStatement():
                self.circuit.break_()
            case ast.ContinueStatement():
                self.circuit.continue_()
            case _:
                raise self._refusal(statement, f"`{_head(statement)}` is not read here; Qiskit may translate it")

    def _block(self, statement: ast.BranchingStatement | ast.ForInLoop | ast.WhileLoop) -> None:
        match statement:
            case ast.BranchingStatement(condition=test, if_block=then, else_block=otherwise):
                self.circuit.if_(condition(test, self.scope, _text(test)))
                self.read(then)
                if otherwise:
                    self.circuit.else_()
                    self.read(otherwise)
                self.circuit.end()
            case ast.ForInLoop(identifier=identifier, set_declaration=values, block=block):
                self._repeat(statement, identifier.name, values, block)
            case ast.WhileLoop(while_condition=test, block=block):
                if self.most is None:
                    raise self._refusal(statement, "repeats without a bound; say read_qasm3(..., most=n)")
                self.circuit.while_(condition(test, self.scope, _text(test)), most=self.most)
                self.read(block)
                self.circuit.end()

    def _size(self, statement: ast.Statement, name: str, size: ast.Expression | None) -> int:
        """Give the number of places of a register that is declared."""
        count = 1 if size is None else whole(size, self.scope)
        if count < 1:
            raise self._refusal(statement, f"declares {name} with {count} places; a register has 1 at least")
        if name in self.qubits or name in self.bits:
            raise self._refusal(statement, f"declares {name} once more")
        return count

    def _repeat(
        self,
        statement: ast.Statement,
        name: str,
        values: ast.Expression | ast.RangeDefinition | ast.DiscreteSet,
        block: Sequence[ast.Statement],
    ) -> None:
        """A loop whose variable is used is written out; any other stays a loop."""
        if not isinstance(values, ast.RangeDefinition | ast.DiscreteSet):
            raise self._refusal(statement, "runs over something that is neither a range nor a set")
        found = whole_numbers(values, self.scope)
        if not any(mentions(part, name) for part in block):
            self.circuit.for_(len(found))
            self.read(block)
            self.circuit.end()
            return
        self._check_size(statement, len(found) * len(block))
        self._write_out(statement, name, found, block)

    def _write_out(
        self, statement: ast.Statement, name: str, values: Sequence[int], block: Sequence[ast.Statement]
    ) -> None:
        """`break` leaves a loop of one turn around all that is written out, `continue` one around each turn."""
        left_by = set(_ways_out(block))
        if len(left_by) > 1:
            raise self._refusal(statement, f"uses {name} and both break and continue, which is not read here")
        whole_loop, each_turn = ast.BreakStatement in left_by, ast.ContinueStatement in left_by
        outer = self.numbers.get(name)
        if whole_loop:
            self.circuit.for_(1)
        for value in values:
            self.numbers[name] = value
            if each_turn:
                self.circuit.for_(1)
            self.read(block)
            if each_turn:
                self.circuit.end()
        if whole_loop:
            self.circuit.end()
        self.numbers.pop(name, None)
        if outer is not None:
            self.numbers[name] = outer

    def _gate(self, statement: ast.QuantumGate) -> None:
        name = statement.name.name
        signature = next((s for s in self.backend.signatures if s.name == name), None)
        if signature is None:
            known = ", ".join(sorted(s.name for s in self.backend.signatures))
            raise self._refusal(statement, f"applies {name}; {self.backend.name} has {known}. Transpile it with Qiskit")
        if statement.modifiers:
            raise self._refusal(statement, f"changes {name} by a modifier, which is not read here")
        angles = [float(number(argument, self.scope)) for argument in statement.arguments]
        operands = [self._operands(statement, qubit) for qubit in statement.qubits]
        if len(angles) != len(signature.angles) or len(operands) != signature.num_qubits:
            raise self._refusal(
                statement,
                f"gives {name} {len(angles)} angles and {len(operands)} qubits; it takes {len(signature.angles)} and "
                f"{signature.num_qubits}",
            )
        for qubits in self._broadcast(statement, operands):
            self._check_qubits(statement, name, qubits)
            self.circuit.add(name, *qubits, params=angles)

    def _check_qubits(self, statement: ast.Statement, name: str, qubits: tuple[int, ...]) -> None:
        """Refuse qubits on which a gate cannot be."""
        if len(set(qubits)) < len(qubits):
            raise self._refusal(statement, f"applies {name} to qubit {qubits[0]} twice")
        if len(qubits) == 2 and tuple(sorted(qubits)) not in self.backend.couplers:
            pairs = ", ".join(f"{one}-{other}" for one, other in self.backend.couplers)
            what = f"applies {name} to qubits {qubits[0]} and {qubits[1]}; {self.backend.name} couples {pairs}"
            raise self._refusal(statement, f"{what}. Transpile it with Qiskit")

    def _measure(
        self, statement: ast.Statement, measure: ast.QuantumMeasurement, target: ast.Identifier | ast.IndexedIdentifier
    ) -> None:
        qubits, clbits = self._operands(statement, measure.qubit), self._targets(statement, target)
        if len(qubits) != len(clbits):
            raise self._refusal(statement, f"measures {len(qubits)} qubits into {len(clbits)} bits")
        for qubit, clbit in zip(qubits, clbits, strict=True):
            self.circuit.measure(qubit, clbit)

    def _declare_qubits(self, statement: ast.Statement, name: str, count: int) -> None:
        first = sum(map(len, self.qubits.values()))
        if first + count > len(self.backend.qubits):
            raise self._refusal(
                statement,
                f"declares qubits 0 to {first + count - 1}; {self.backend.name} has {len(self.backend.qubits)}",
            )
        self.qubits[name] = tuple(range(first, first + count))

    def _declare_bits(self, statement: ast.Statement, name: str, count: int) -> None:
        first = sum(map(len, self.bits.values()))
        if first + count > MAX_CLBITS:
            raise self._refusal(statement, f"declares {first + count} bits in all; {MAX_CLBITS} are possible")
        self.bits[name] = tuple(range(first, first + count))

    def _all_operands(
        self, statement: ast.Statement, where: Sequence[ast.Expression | ast.IndexedIdentifier]
    ) -> list[int]:
        if not where:
            return list(range(len(self.backend.qubits)))
        return [qubit for operand in where for qubit in self._operands(statement, operand)]

    def _operands(self, statement: ast.Statement, operand: ast.Expression | ast.IndexedIdentifier) -> tuple[int, ...]:
        if isinstance(operand, ast.Identifier) and operand.name.startswith("$"):
            return (self._physical(statement, operand.name),)
        return self._indexed(statement, operand, self.qubits, "qubit")

    def _physical(self, statement: ast.Statement, name: str) -> int:
        qubit, count = int(name[1:]), len(self.backend.qubits)
        if qubit >= count:
            raise self._refusal(statement, f"names {name}; {self.backend.name} has {count} qubits, from $0")
        return qubit

    def _targets(self, statement: ast.Statement, target: ast.Identifier | ast.IndexedIdentifier) -> tuple[int, ...]:
        return self._indexed(statement, target, self.bits, "bit")

    def _indexed(
        self,
        statement: ast.Statement,
        operand: ast.Expression | ast.IndexedIdentifier,
        registers: dict[str, tuple[int, ...]],
        kind: str,
    ) -> tuple[int, ...]:
        match operand:
            case ast.Identifier(name=name) if name in registers:
                return registers[name]
            case ast.IndexedIdentifier(name=ast.Identifier(name=name), indices=[[index]]) if name in registers:
                return self._part(statement, name, registers[name], index)
            case ast.Identifier(name=name) | ast.IndexedIdentifier(name=ast.Identifier(name=name)):
                raise self._refusal(statement, f"names {name}, which is no {kind} register")
            case _:
                raise self._refusal(statement, f"names its {kind}s in a way that is not read here")

    def _part(
        self,
        statement: ast.Statement,
        name: str,
        register: tuple[int, ...],
        index: ast.Expression | ast.RangeDefinition | ast.DiscreteSet,
    ) -> tuple[int, ...]:
        places = (
            whole_numbers(index, self.scope)
            if isinstance(index, ast.RangeDefinition | ast.DiscreteSet)
            else [whole(index, self.scope)]
        )
        if any(not -len(register) <= place < len(register) for place in places):
            raise self._refusal(statement, f"names {name}[{places[0]}]; {name} has {len(register)} places, from 0")
        return tuple(register[place] for place in places)

    def _broadcast(self, statement: ast.Statement, operands: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """A gate on whole registers acts on their places one by one."""
        longest = max(map(len, operands), default=1)
        if any(len(operand) not in (1, longest) for operand in operands):
            raise self._refusal(statement, "acts on registers of different lengths")
        spread: Callable[[tuple[int, ...]], tuple[int, ...]] = lambda o: o * longest if len(o) == 1 else o  # noqa: E731
        return list(zip(*map(spread, operands), strict=True))

    def _refusal(self, statement: Statement | ast.Annotation, what: str) -> ProgramError:
        line = f"line {statement.span.start_line}" if statement.span is not None else "a statement"
        return ProgramError([Problem(where=f"{self.name}, {line}", what=what)])


def _unreadable(error: QASM3ParsingError, name: str) -> Problem:
    """Say where the parser gave up, as far as it tells."""
    token = next((t for t in map(_token, _causes(error)) if t is not None), None)
    if token is None:
        return Problem(where=name, what=str(error) or "is no OpenQASM 3 program")
    line, text = token
    return Problem(where=f"{name}, line {line}", what=f"cannot be read as OpenQASM 3 at {text!r}")


def _causes(error: BaseException) -> Iterator[object]:
    """The parser keeps what it stumbled over in what it stumbled with."""
    cause = error.__cause__
    if cause is not None:
        yield cause
        yield from cause.args


def _token(cause: object) -> tuple[int, str] | None:
    token = getattr(cause, "offendingToken", None)
    return None if token is None else (int(token.line), str(token.text))


def _ways_out(block: Sequence[ast.Statement | ast.Pragma]) -> Iterator[type[ast.Statement]]:
    """Give the kinds of statements that leave the loop whose block this is."""
    for statement in block:
        match statement:
            case ast.BreakStatement() | ast.ContinueStatement():
                yield type(statement)
            case ast.BranchingStatement(if_block=then, else_block=otherwise):
                yield from _ways_out([*then, *otherwise])
            case _:
                pass


def _head(statement: Statement) -> str:
    """How a statement begins: all of it, or what stands before its block."""
    first = _text(statement).splitlines()[0].rstrip(" ;{")
    return first if len(first) <= MAX_HEAD else f"{first[:MAX_HEAD]}..."


def _text(node: ast.QASMNode) -> str:
    return str(openqasm3.dumps(node))  # pyright: ignore[reportUnknownMemberType]  # its keywords carry no types
