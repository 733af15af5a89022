"""Angle expressions of device files and gate definitions (`theta/2 + pi`), read as constant + sum of factor x angle.

They are never evaluated by Python. `lambda`, a keyword there, is a name like any other here.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence

from qubitd.core.device import Affine

_KEYWORD = re.compile(r"\blambda\b")
_STANDS_FOR_IT = "qubitd_lambda"


class AngleExpressionError(Exception):
    """The text is not an affine expression of the angles; the message says why."""


def parse_angle(text: str, angles: Sequence[str]) -> Affine:
    """Read an expression of numbers, `pi`, the named angles, + - * / and parentheses.

    Raises:
        AngleExpressionError: other syntax, an unknown name, or an angle that is multiplied by or divides an angle.
    """
    try:
        tree = ast.parse(_KEYWORD.sub(_STANDS_FOR_IT, text.strip()), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise AngleExpressionError(f"{text!r} is not an expression") from error
    try:
        result = _affine(tree.body, tuple(angles))
    except (ZeroDivisionError, OverflowError) as error:
        raise AngleExpressionError(f"{text!r} divides by 0 or is too large") from error
    if not all(math.isfinite(x) for x in (result.constant, *(factor for _, factor in result.terms))):
        raise AngleExpressionError(f"{text!r} is not finite")
    return result


def _affine(node: ast.expr, angles: tuple[str, ...]) -> Affine:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return Affine(constant=float(number))
        case ast.Name(id="pi"):
            return Affine(constant=math.pi)
        case ast.Name(id=name) if _spelt(name) in angles:
            return Affine(constant=0.0, terms=((_spelt(name), 1.0),))
        case ast.Name(id=name):
            known = ", ".join(("pi", *angles))
            raise AngleExpressionError(f"unknown name {_spelt(name)!r}; known here are {known}")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _affine(operand, angles).scaled(-1.0)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _affine(operand, angles)
        case ast.BinOp(left=left, op=operator, right=right):
            return _binary(_affine(left, angles), operator, _affine(right, angles))
        case _:
            raise AngleExpressionError(
                f"{ast.unparse(node)!r} is not allowed; use numbers, angles, pi, + - * / and ( )"
            )


def _spelt(name: str) -> str:
    """The name as the text has it."""
    return "lambda" if name == _STANDS_FOR_IT else name


def _binary(left: Affine, operator: ast.operator, right: Affine) -> Affine:
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left + right.scaled(-1.0)
        case ast.Mult() if not right.terms:
            return left.scaled(right.constant)
        case ast.Mult() if not left.terms:
            return right.scaled(left.constant)
        case ast.Div() if not right.terms:
            return left.scaled(1.0 / right.constant)
        case _:
            raise AngleExpressionError("an angle can only be added, subtracted, or multiplied or divided by a number")
