"""Qiskit's control flow as brackets in program order. A loop whose index stands in angles is written out."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    position: int
    """Of the outermost operation that it belongs to."""
    numbers: tuple[int, ...] = ()


class TooLongError(Exception):
    """A circuit that becomes too long, which nobody would wait for to the end."""


class Unfolding:
    """Walks through a circuit and its blocks, and past what cannot be run, so that everything wrong is found."""

    def __init__(
        self, circuit: QuantumCircuit, *, max_iterations: int | None, refuse: Callable[[int, str], object]
    ) -> None:
        """Begin.

        Args:
            circuit: to walk through.
            max_iterations: bound of every while loop; None refuses them.
            refuse: takes the position and what is wrong there, of control flow that cannot be run.
        """
        self.conditions: dict[Condition, int] = {}
        self.refuse = refuse
        self._circuit = circuit
        self._max_iterations = max_iterations
        self._names = [_bit_name(circuit, i) for i in range(circuit.num_clbits)]
        self._size = 0

    def __iter__(self) -> Iterator[Step | Bracket]:
        """Give operations and brackets.

        Raises:
            TooLongError: at the operation that was refused for it.
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
            self.refuse(position, f"makes more than {MAX_EXPANDED} operations")
            raise TooLongError
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
                yield inside.bracket(instruction.name.removesuffix("_loop"))
            case "box":
                inside.refuse("`box` is not offered; leave it out and keep its body")
                yield from inside.block(instruction.operation.blocks[0])
            case "store":
                inside.refuse("there are no real-time variables; compute the value before the circuit runs")
            case _:
                on = tuple(qubits[bit] for bit in instruction.qubits)
                into = tuple(clbits[bit] for bit in instruction.clbits)
                yield Step(instruction=instruction, qubits=on, clbits=into, position=position)

    def _if(self, operation: Any, inside: _Inside) -> Iterator[Step | Bracket]:
        yield self._asking("if", inside, condition_of, operation.condition)
        then, otherwise = (*operation.params, None)[:2]
        yield from inside.block(then)
        if otherwise is not None:
            yield inside.bracket("else")
            yield from inside.block(otherwise)
        yield inside.bracket("end")

    def _switch(self, operation: Any, inside: _Inside) -> Iterator[Step | Bracket]:
        """One `if` after another, each in the `else` of the one before."""
        opened = 0
        for values, body in operation.cases_specifier():
            if CASE_DEFAULT in values:
                yield from inside.block(body)
                break
            yield self._asking("if", inside, cases_of, operation.target, tuple(int(value) for value in values))
            yield from inside.block(body)
            yield inside.bracket("else")
            opened += 1
        yield from [inside.bracket("end")] * opened

    def _while(self, operation: Any, inside: _Inside) -> Iterator[Step | Bracket]:
        if self._max_iterations is None:
            inside.refuse("has no bound, and a shot needs one: say max_iterations=n, or --max-iterations N")
        bound = self._max_iterations or 1
        yield self._asking("while", inside, condition_of, operation.condition, bound=(bound,))
        yield from inside.block(operation.params[0])
        yield inside.bracket("end")

    def _for(self, operation: Any, inside: _Inside) -> Iterator[Step | Bracket]:
        indices, parameter, body = operation.params
        if parameter is None or parameter not in body.parameters:
            yield inside.bracket("for", self._repetitions(indices, inside))
            yield from inside.block(body)
            yield inside.bracket("end")
            return
        left = _jumps(body)
        if len(left) > 1:
            inside.refuse("uses its index in angles, and both break and continue; use one of the two")
            indices = indices[:1]
        if left == {"break_loop"}:
            yield inside.bracket("for", 1)
        for index in indices:
            if left == {"continue_loop"}:
                yield inside.bracket("for", 1)
            yield from inside.block(body.assign_parameters({parameter: index}))
            if left == {"continue_loop"}:
                yield inside.bracket("end")
        if left == {"break_loop"}:
            yield inside.bracket("end")

    def _repetitions(self, indices: Sequence[int], inside: _Inside) -> int:
        if len(indices) > MAX_EXPANDED:
            inside.refuse(f"repeats {len(indices)} times; at most {MAX_EXPANDED} are possible")
            return 1
        return len(indices)

    def _asking(
        self, name: str, inside: _Inside, read: Callable[..., Condition], *asked: Any, bound: tuple[int, ...] = ()
    ) -> Bracket:
        """Open a block with a condition; one that cannot be read is refused, and another stands in."""
        try:
            condition = read(*asked, inside.clbits, self._names.__getitem__)
        except ConditionError as error:
            inside.refuse(f"its condition {error}")
            condition = Condition(clbits=(0,), truth=0b10, text="")
        index = self.conditions.setdefault(condition, len(self.conditions))
        return inside.bracket(name, index, *bound)


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

    def bracket(self, name: str, *numbers: int) -> Bracket:
        """Give a bracket of the operation."""
        return Bracket(name=name, position=self._position, numbers=numbers)

    def refuse(self, what: str) -> None:
        """Say why the operation cannot be run."""
        self._unfolding.refuse(self._position, what)


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
