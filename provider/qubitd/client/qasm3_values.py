"""Numbers and conditions of OpenQASM 3 programs: constants as floats, conditions on classical bits as truth tables."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from openqasm3 import ast

from qubitd.core.control import MAX_CONDITION_BITS, Condition

Number = float | int | bool

CONSTANTS: dict[str, Number] = {
    "pi": math.pi,
    "π": math.pi,
    "tau": math.tau,
    "τ": math.tau,
    "euler": math.e,
    "ℇ": math.e,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    name: getattr(math, name) for name in ("sin", "cos", "tan", "exp", "log", "sqrt", "floor", "ceil")
} | {"arcsin": math.asin, "arccos": math.acos, "arctan": math.atan}
_WORD = 64
"""Bits of a whole number, at most."""


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1:
        exponent = min(exponent, _WORD + 1)  # more does not fit anyway, and takes for ever
    value: Number | complex = base**exponent
    if isinstance(value, complex):
        raise ValueError(value)
    return value


def _divided(left: Number, right: Number) -> Number:
    """Whole numbers give a whole number, rounded down like Qiskit's reader; the language leaves the sign open."""
    return left // right if isinstance(left, int) and isinstance(right, int) else left / right


_BINARY: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divided,
    "%": operator.mod,
    "**": _power,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "&&": lambda a, b: bool(a) and bool(b),
    "||": lambda a, b: bool(a) or bool(b),
    "&": lambda a, b: int(a) & int(b),
    "|": lambda a, b: int(a) | int(b),
    "^": lambda a, b: int(a) ^ int(b),
    "<<": lambda a, b: int(a) << min(int(b), _WORD),
    ">>": lambda a, b: int(a) >> int(b),
}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


class CannotEvaluate(Exception):  # noqa: N818 (never leaves this package: the reader names the line)
    """Why an expression has no value here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What names mean."""

    numbers: Mapping[str, Number]
    """Constants and loop variables."""
    bits: Mapping[str, tuple[int, ...]]
    """Classical registers: the circuit's bits, lowest first."""
    dt: float
    """Seconds."""

    def bit(self, name: str, index: int) -> int:
        """Give a bit of a register; a negative index counts from its end."""
        register = self.bits[name]
        if not -len(register) <= index < len(register):
            raise CannotEvaluate(f"bit {index} of {name}, which has {len(register)}")
        return register[index]


def number(expression: ast.Expression, scope: Scope, bits: Mapping[int, int] | None = None) -> Number:
    """Give the value of an expression, with values of the classical bits that it reads if there are any.

    Raises:
        CannotEvaluate: it has none.
    """
    match expression:
        case ast.IntegerLiteral() | ast.FloatLiteral() | ast.BooleanLiteral():
            value: Number = expression.value
            return value
        case ast.Identifier(name=name):
            return _named(name, scope, bits)
        case ast.IndexExpression():
            return _bit_value(scope.bit(*_indexed(expression, scope)), bits)
        case ast.UnaryExpression(op=op, expression=inner):
            return _unary(op.name, number(inner, scope, bits))
        case ast.BinaryExpression(op=op, lhs=left, rhs=right):
            return _binary(op.name, number(left, scope, bits), number(right, scope, bits))
        case ast.FunctionCall(name=ast.Identifier(name=name), arguments=arguments) if name in _FUNCTIONS:
            return _applied(name, [number(argument, scope, bits) for argument in arguments])
        case ast.Cast(type=kind, argument=inner):
            return of_kind(kind, number(inner, scope, bits))
        case _:
            raise CannotEvaluate(f"a {type(expression).__name__}")


def of_kind(kind: ast.ClassicalType, value: Number) -> Number:
    """Give a value as another kind of number; what it is decides how it divides.

    Raises:
        CannotEvaluate: it is none of that kind.
    """
    match kind:
        case ast.FloatType() | ast.AngleType():
            return float(value)
        case ast.IntType() | ast.UintType() if math.isfinite(value):
            return int(value)
        case ast.BoolType():
            return bool(value)
        case _:
            raise CannotEvaluate(f"{value} as {type(kind).__name__.removesuffix('Type').lower()}")


def whole(expression: ast.Expression, scope: Scope) -> int:
    """Give the value of an expression that counts something.

    Raises:
        CannotEvaluate: it is no whole number.
    """
    value = number(expression, scope)
    if not math.isfinite(value) or value != int(value):
        raise CannotEvaluate(f"{value} where a whole number is needed")
    return int(value)


def mentions(node: ast.QASMNode, name: str) -> bool:
    """Whether a name stands anywhere in a part of a program."""
    if isinstance(node, ast.Identifier):
        return node.name == name
    parts = [getattr(node, part.name) for part in dataclasses.fields(node)]
    return any(mentions(part, name) for part in _nodes(parts))


def _nodes(parts: Sequence[object]) -> Iterator[ast.QASMNode]:
    """Find the nodes in lists of lists of anything."""
    for part in parts:
        if isinstance(part, ast.QASMNode):
            yield part
        elif isinstance(part, list | tuple):
            yield from _nodes(cast("Sequence[object]", part))


def seconds(expression: ast.Expression, scope: Scope) -> float:
    """Give a duration.

    Raises:
        CannotEvaluate: it is none.
    """
    match expression:
        case ast.DurationLiteral(value=value, unit=unit):
            scale = scope.dt if unit.name == "dt" else _SECONDS[unit.name]
            return float(value) * scale
        case ast.BinaryExpression(op=op, lhs=left, rhs=right) if op.name == "*":
            literal, factor = (left, right) if isinstance(left, ast.DurationLiteral) else (right, left)
            return seconds(literal, scope) * float(number(factor, scope))
        case _:
            raise CannotEvaluate("no duration such as 100ns")


def condition(expression: ast.Expression, scope: Scope, text: str) -> Condition:
    """Give the truth table of a condition over the classical bits that it reads.

    Raises:
        CannotEvaluate: it reads none or too many, or something else.
    """
    clbits = sorted(_bits_read(expression, scope))
    if not 1 <= len(clbits) <= MAX_CONDITION_BITS:
        raise CannotEvaluate(f"a condition on {len(clbits)} classical bits; 1 to {MAX_CONDITION_BITS} are possible")
    truth = 0
    for value in range(1 << len(clbits)):
        bits = {clbit: value >> place & 1 for place, clbit in enumerate(clbits)}
        truth |= int(bool(number(expression, scope, bits))) << value
    return Condition(clbits=tuple(clbits), truth=truth, text=text)


def _bits_read(expression: ast.Expression, scope: Scope) -> set[int]:
    match expression:
        case ast.Identifier(name=name):
            return set(scope.bits.get(name, ()))
        case ast.IndexExpression():
            return {scope.bit(*_indexed(expression, scope))}
        case ast.UnaryExpression(expression=inner) | ast.Cast(argument=inner):
            return _bits_read(inner, scope)
        case ast.BinaryExpression(lhs=left, rhs=right):
            return _bits_read(left, scope) | _bits_read(right, scope)
        case _:
            return set()


def _indexed(expression: ast.IndexExpression, scope: Scope) -> tuple[str, int]:
    match expression:
        case ast.IndexExpression(collection=ast.Identifier(name=name), index=[index]) if name in scope.bits:
            if isinstance(index, ast.RangeDefinition):
                raise CannotEvaluate(f"a range of {name}")
            return name, whole(index, scope)
        case _:
            raise CannotEvaluate("an index into something that is no classical register")


def _named(name: str, scope: Scope, bits: Mapping[int, int] | None) -> Number:
    if name in scope.numbers:
        return scope.numbers[name]
    if name in scope.bits:
        return sum(_bit_value(clbit, bits) << place for place, clbit in enumerate(scope.bits[name]))
    if name in CONSTANTS:
        return CONSTANTS[name]
    raise CannotEvaluate(f"the name {name}, which means nothing here")


def _bit_value(clbit: int, bits: Mapping[int, int] | None) -> int:
    if bits is None:
        raise CannotEvaluate("a classical bit where a constant is needed")
    return bits[clbit]


def _unary(sign: str, value: Number) -> Number:
    match sign:
        case "-":
            return -value
        case "!":
            return not value
        case "~" if value in (0, 1):
            return 1 - int(value)
        case _:
            raise CannotEvaluate(f"{sign} of {value}")


def _binary(sign: str, left: Number, right: Number) -> Number:
    try:
        value = _BINARY[sign](left, right)
    except (ArithmeticError, ValueError, KeyError) as error:
        raise CannotEvaluate(f"{left} {sign} {right}, which has no value") from error
    if isinstance(value, int) and value.bit_length() > _WORD:
        raise CannotEvaluate(f"{left} {sign} {right}, which does not fit {_WORD} bits")
    return value


def _applied(name: str, arguments: Sequence[Number]) -> Number:
    try:
        return float(_FUNCTIONS[name](*arguments))
    except (ArithmeticError, ValueError, TypeError) as error:
        what = f"{name}({', '.join(map(str, arguments))}), which has no value"
        raise CannotEvaluate(what) from error


def whole_numbers(definition: ast.RangeDefinition | ast.DiscreteSet, scope: Scope) -> Sequence[int]:
    """Give the values of a loop variable.

    Raises:
        CannotEvaluate: they are no constants.
    """
    if isinstance(definition, ast.DiscreteSet):
        return [whole(value, scope) for value in definition.values]
    if definition.start is None or definition.end is None:
        raise CannotEvaluate("a range without a beginning or an end")
    step = 1 if definition.step is None else whole(definition.step, scope)
    if step == 0:
        raise CannotEvaluate("a range with step 0")
    start, end = whole(definition.start, scope), whole(definition.end, scope)
    return range(start, end + (1 if step > 0 else -1), step)
