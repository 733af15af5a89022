"""Qiskit's conditions as truth tables: expressions on classical bits and small integers, by trying them out."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from qiskit.circuit import ClassicalRegister, Clbit
from qiskit.circuit.classical import expr, types

from qubitd.core.control import MAX_CONDITION_BITS, Condition

_SHOWN = 4
"""Values written out in a condition's text."""
_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "BIT_AND": operator.and_,
    "BIT_OR": operator.or_,
    "BIT_XOR": operator.xor,
    "LOGIC_AND": lambda a, b: bool(a) and bool(b),
    "LOGIC_OR": lambda a, b: bool(a) or bool(b),
    "EQUAL": operator.eq,
    "NOT_EQUAL": operator.ne,
    "LESS": operator.lt,
    "LESS_EQUAL": operator.le,
    "GREATER": operator.gt,
    "GREATER_EQUAL": operator.ge,
    "SHIFT_LEFT": operator.lshift,
    "SHIFT_RIGHT": operator.rshift,
    "ADD": operator.add,
    "SUB": operator.sub,
    "MUL": operator.mul,
}
_UNARY: Mapping[str, Callable[[Any], Any]] = {
    "LOGIC_NOT": operator.not_,
    "BIT_NOT": lambda a: ~int(a),
    "NEGATE": operator.neg,
}


class ConditionError(Exception):
    """A condition that no truth table can stand for; the message says why."""


def condition_of(condition: Any, slot: Mapping[Any, int], name_of: Callable[[int], str]) -> Condition:
    """Read a condition: a pair of bit or register and value, or an expression.

    Args:
        condition: as Qiskit has it.
        slot: index of each classical bit in the whole circuit.
        name_of: name of a bit by that index, for the text.

    Raises:
        ConditionError: it reads too many bits, or something that is no classical bit.
    """
    if isinstance(condition, tuple):
        target, value = condition
        return _tabulated(_bits_of(target), lambda read: _value(target, read) == int(value), slot, name_of)
    return _tabulated(_bits_in(condition), lambda read: bool(evaluate(condition, read)), slot, name_of)


def cases_of(target: Any, values: tuple[int, ...], slot: Mapping[Any, int], name_of: Callable[[int], str]) -> Condition:
    """Give the condition that a switch's target has one of some values.

    Raises:
        ConditionError: as `condition_of`.
    """
    if isinstance(target, expr.Expr):
        return _tabulated(_bits_in(target), lambda read: int(evaluate(target, read)) in values, slot, name_of)
    return _tabulated(_bits_of(target), lambda read: _value(target, read) in values, slot, name_of)


def evaluate(node: expr.Expr, read: Callable[[Clbit], int]) -> Any:
    """Evaluate an expression, its bits given by `read`.

    Raises:
        ConditionError: it holds something that has no value of bits.
    """
    match node:
        case expr.Value():
            return node.value
        case expr.Var() if isinstance(node.var, (Clbit, ClassicalRegister)):
            return _value(node.var, read)
        case expr.Cast():
            return _wrapped(evaluate(node.operand, read), node.type)
        case expr.Unary() if node.op.name in _UNARY:
            return _wrapped(_UNARY[node.op.name](evaluate(node.operand, read)), node.type)
        case expr.Binary() if node.op.name in _BINARY:
            found = _BINARY[node.op.name](evaluate(node.left, read), evaluate(node.right, read))
            return _wrapped(found, node.type)
        case expr.Binary() if node.op.name == "DIV":
            return _divided(evaluate(node.left, read), evaluate(node.right, read), node.type)
        case expr.Index():
            return bool(int(evaluate(node.target, read)) >> int(evaluate(node.index, read)) & 1)
        case _:
            what = getattr(getattr(node, "op", None), "name", type(node).__name__)
            raise ConditionError(f"holds {what.lower()}, which cannot be worked out for bits")


def _divided(value: Any, by: Any, kind: types.Type) -> Any:
    """Unsigned integers lose their rest."""
    if not by:
        raise ConditionError("divides by 0 for some values of its bits")
    return value // by if isinstance(kind, types.Uint) else value / by


def _tabulated(
    bits: list[Clbit],
    holds: Callable[[Callable[[Clbit], int]], bool],
    slot: Mapping[Any, int],
    name_of: Callable[[int], str],
) -> Condition:
    if not bits and slot:  # always or never: any bit can be asked
        bits = [next(iter(slot))]
    clbits = tuple(sorted({slot[bit] for bit in bits}))
    if not 1 <= len(clbits) <= MAX_CONDITION_BITS:
        raise ConditionError(f"reads {len(clbits)} classical bits; 1 to {MAX_CONDITION_BITS} are possible")
    place = {bit: clbits.index(slot[bit]) for bit in bits}
    values = [v for v in range(2 ** len(clbits)) if holds({bit: v >> j & 1 for bit, j in place.items()}.__getitem__)]
    return Condition(clbits=clbits, truth=sum(1 << v for v in values), text=_text(clbits, values, name_of))


def _text(clbits: tuple[int, ...], values: list[int], name_of: Callable[[int], str]) -> str:
    """Say which value each bit must have."""
    names = _row([name_of(clbit) for clbit in clbits])
    rows = [_row([str(value >> j & 1) for j in range(len(clbits))]) for value in values]
    if len(rows) == 1:
        return f"{names} == {rows[0]}"
    shown = ", ".join(rows[:_SHOWN]) + (", ..." if len(rows) > _SHOWN else "")
    return f"{names} in {{{shown}}}"


def _row(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _bits_in(node: expr.Expr) -> list[Clbit]:
    found: list[Clbit] = []
    for var in expr.iter_vars(node):
        if not isinstance(var.var, (Clbit, ClassicalRegister)):
            raise ConditionError(f"reads the real-time variable {var.name!r}; only classical bits can be read")
        found += _bits_of(var.var)
    return found


def _bits_of(target: Clbit | ClassicalRegister) -> list[Clbit]:
    return [target] if isinstance(target, Clbit) else list(target)


def _value(target: Clbit | ClassicalRegister, read: Callable[[Clbit], int]) -> int:
    return sum(read(bit) << i for i, bit in enumerate(_bits_of(target)))


def _wrapped(value: Any, kind: types.Type) -> Any:
    """Unsigned integers have as many bits as their type says."""
    if isinstance(kind, types.Uint):
        return int(value) & ((1 << kind.width) - 1)
    return bool(value & 1 if isinstance(value, int) and value < 0 else value) if isinstance(kind, types.Bool) else value
