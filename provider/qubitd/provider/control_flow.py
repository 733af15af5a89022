"""Qiskit's control flow as brackets in program order. A loop whose index stands in angles is written out."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qiskit.circuit import CASE_DEFAULT, CircuitInstruction, ControlFlowOp, ForLoopOp, Parameter, QuantumCircuit

from qubitd.core.control import MAX_EXPANDED, Condition
from qubitd.provider.conditions import ConditionError, cases_of, condition_of

CONTROL_FLOW = ("if_else", "while_loop", "for_loop", "switch_case", "break_loop", "continue_loop", "box")
_Slots = Mapping[Any, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """An operation, wherever it stands."""

    instruction: CircuitInstruction
    qubits: tuple[int, ...]
    clbits: tuple[int, ...]
    position: int
    """Of the outermost operation that holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Opens, parts or closes a block, or leaves a loop."""

    name: str
    numbers: tuple[int, ...] = ()


class ControlFlowError(Exception):
    """Control flow that cannot be run; the message says why."""

    def __init__(self, position: int, what: str) -> None:
        self.position = position
        super().__init__(what)


class Unfolding:
    """Walks through a circuit and its blocks."""

    def __init__(self, circuit: QuantumCircuit, *, max_iterations: int | None) -> None:
        self.conditions: dict[Condition, int] = {}
        self._circuit = circuit
        self._max_iterations = max_iterations
        self._names = [_bit_name(circuit, i) for i in range(circuit.num_clbits)]
        self._size = 0

    def __iter__(self) -> Iterator[Step | Bracket]:
        """Give operations and brackets.

        Raises:
            ControlFlowError: at the first that cannot be run.
        """
        qubits = {bit: i for i, bit in enumerate(self._circuit.qubits)}
        clbits = {bit: i for i, bit in enumerate(self._circuit.clbits)}
        for position, instruction in enumerate(self._circuit.data):
            yield from self.one(instruction, position, qubits, clbits)

    def one(
        self, instruction: CircuitInstruction, position: int, qubits: _Slots, clbits: _Slots
    ) -> Iterator[Step | Bracket]:
        """Give what an operation holds, or itself."""
        self._size += 1
        if self._size > MAX_EXPANDED:
            raise ControlFlowError(position, f"makes more than {MAX_EXPANDED} operations")
        try:
            yield from self._known(instruction, position, qubits, clbits)
        except ConditionError as error:
            raise ControlFlowError(position, f"its condition {error}") from error

    def _known(
        self, instruction: CircuitInstruction, position: int, qubits: _Slots, clbits: _Slots
    ) -> Iterator[Step | Bracket]:
        inside = _Inside(self, instruction, position, qubits, clbits)
        match instruction.name:
            case "if_else":
                yield from self._if(instruction.operation, inside)
            case "switch_case":
                yield from self._switch(instruction.operation, inside)
            case "while_loop":
                yield from self._while(instruction.operation, inside)
            case "for_loop":
                yield from self._for(instruction.operation, inside)
            case "break_loop" | "continue_loop":
                yield Bracket(name=instruction.name.removesuffix("_loop"))
            case "box":
                raise inside.refusal("`box` is not offered; leave it out and keep its body")
            case "store":
                raise inside.refusal("there are no real-time variables; compute the value before the circuit runs")
            case _:
                on = tuple(qubits[bit] for bit in instruction.qubits)
                into = tuple(clbits[bit] for bit in instruction.clbits)
                yield Step(instruction=instruction, qubits=on, clbits=into, position=position)

    def _if(self, operation: Any, inside: _Inside) -> Iterator[Step | Bracket]:
        yield self._asking("if", condition_of(operation.condition, inside.clbits, self._names.__getitem__))
        then, otherwise = (*operation.params, None)[:2]
        yield from inside.block(then)
        if otherwise is not None:
            yield Bracket(name="else")
            yield from inside.block(otherwise)
        yield Bracket(name="end")

    def _switch(self, operation: Any, inside: _Inside) -> Iterator[Step | Bracket]:
        """One `if` after another, each in the `else` of the one before."""
        opened = 0
        for values, body in operation.cases_specifier():
            if CASE_DEFAULT in values:
                yield from inside.block(body)
                break
            numbers = tuple(int(value) for value in values)
            yield self._asking("if", cases_of(operation.target, numbers, inside.clbits, self._names.__getitem__))
            yield from inside.block(body)
            yield Bracket(name="else")
            opened += 1
        yield from [Bracket(name="end")] * opened

    def _while(self, operation: Any, inside: _Inside) -> Iterator[Step | Bracket]:
        if self._max_iterations is None:
            raise inside.refusal("has no bound, and a shot needs one: say max_iterations=n, or --max-iterations N")
        condition = condition_of(operation.condition, inside.clbits, self._names.__getitem__)
        yield self._asking("while", condition, self._max_iterations)
        yield from inside.block(operation.params[0])
        yield Bracket(name="end")

    def _for(self, operation: Any, inside: _Inside) -> Iterator[Step | Bracket]:
        indices, parameter, body = operation.params
        indices = tuple(indices)
        if parameter is None or parameter not in body.parameters:
            yield Bracket(name="for", numbers=(len(indices),))
            yield from inside.block(body)
            yield Bracket(name="end")
            return
        left = _jumps(body)
        if len(left) > 1:
            raise inside.refusal("uses its index in angles, and both break and continue; use one of the two")
        if left == {"break_loop"}:
            yield Bracket(name="for", numbers=(1,))
        for index in indices:
            if left == {"continue_loop"}:
                yield Bracket(name="for", numbers=(1,))
            yield from inside.block(body.assign_parameters({parameter: index}))
            if left == {"continue_loop"}:
                yield Bracket(name="end")
        if left == {"break_loop"}:
            yield Bracket(name="end")

    def _asking(self, name: str, condition: Condition, *numbers: int) -> Bracket:
        index = self.conditions.setdefault(condition, len(self.conditions))
        return Bracket(name=name, numbers=(index, *numbers))


class _Inside:
    """What the blocks of one operation see of the whole circuit."""

    def __init__(
        self, unfolding: Unfolding, instruction: CircuitInstruction, position: int, qubits: _Slots, clbits: _Slots
    ) -> None:
        self.clbits = clbits
        self._unfolding = unfolding
        self._instruction = instruction
        self._position = position
        self._qubits = qubits

    def block(self, body: QuantumCircuit) -> Iterator[Step | Bracket]:
        """Give what a block holds; its bits stand for those of the operation, in their order."""
        qubits = _inner(body.qubits, self._instruction.qubits, self._qubits)
        clbits = _inner(body.clbits, self._instruction.clbits, self.clbits)
        for instruction in body.data:
            yield from self._unfolding.one(instruction, self._position, qubits, clbits)

    def refusal(self, what: str) -> ControlFlowError:
        """Say why the operation cannot be run."""
        return ControlFlowError(self._position, what)


def _inner(own: Sequence[Any], given: Sequence[Any], outer: _Slots) -> _Slots:
    return ChainMap({bit: outer[other] for bit, other in zip(own, given, strict=True)}, dict(outer))


def _jumps(body: QuantumCircuit) -> set[str]:
    """Find how a loop's body is left, but not the loops within it."""
    found: set[str] = set()
    for instruction in body.data:
        if instruction.name in ("break_loop", "continue_loop"):
            found.add(instruction.name)
        elif instruction.name in ("if_else", "switch_case"):
            found |= set[str]().union(*(_jumps(block) for block in instruction.operation.blocks))
    return found


def _bit_name(circuit: QuantumCircuit, index: int) -> str:
    registers = circuit.find_bit(circuit.clbits[index]).registers
    return f"{registers[0][0].name}[{registers[0][1]}]" if registers else f"bit {index}"


def loop_indices(circuit: QuantumCircuit) -> set[Parameter]:
    """Give the indices of all for loops; before Qiskit 2.1 a circuit counts them among its parameters."""
    found: set[Parameter] = set()
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, ForLoopOp) and operation.params[1] is not None:
            found.add(operation.params[1])
        if isinstance(operation, ControlFlowOp):
            for block in operation.blocks:
                found |= loop_indices(block)
    return found
