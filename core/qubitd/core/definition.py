"""Reads what a lab says its gates mean: one OpenQASM 3 gate definition, as calls of other gates on the same qubits.

`gate NAME(angles) qubits { calls }`; a call is `NAME(expressions) qubits;` or `gphase(expression);`. The names are
Qiskit's, and so is the meaning of a global phase. Modifiers, loops and pulses are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from qubitd.core.angles import AngleExpressionError, parse_angle
from qubitd.core.device import Affine
from qubitd.core.errors import InvalidDeviceError, Problem

GLOBAL_PHASE = "gphase"
"""Name of the call that acts on no qubit."""
MAX_LENGTH = 4096
"""Characters of a definition."""

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_GATE = re.compile(rf"gate\s+({_NAME})\s*(?:\(([^()]*)\))?\s+({_NAME}(?:\s*,\s*{_NAME})*)\s*\{{(.*)\}}", re.DOTALL)
_CALL = re.compile(rf"({_NAME})\s*(?:\((.*)\))?\s*({_NAME}(?:\s*,\s*{_NAME})*)?", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One gate within a definition."""

    gate: str
    """Of Qiskit, or `gphase`."""
    angles: tuple[Affine, ...]
    """Of the angles of the gate that is defined."""
    operands: tuple[int, ...]
    """Positions among the operands of the gate that is defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDefinition:
    """A gate as a sequence of others."""

    name: str
    angles: tuple[str, ...]
    num_qubits: int
    calls: tuple[Call, ...]
    """In the order in which they act."""


@lru_cache(maxsize=256)
def parse_definition(text: str) -> GateDefinition:
    """Read a definition.

    Raises:
        InvalidDeviceError: it is none, or holds something that is not supported.
    """
    found = _GATE.fullmatch(_COMMENT.sub(" ", text).strip()) if len(text) <= MAX_LENGTH else None
    if found is None:
        what = f"is no gate definition of at most {MAX_LENGTH} characters, such as 'gate sy q {{ ry(pi/2) q; }}'"
        raise _refused(text, what)
    name, angles, qubits = found[1], _names(found[2] or ""), _names(found[3])
    if len(set(angles)) < len(angles) or len(set(qubits)) < len(qubits):
        raise _refused(text, "names an angle or a qubit twice")
    statements = found[4].split(";")
    if statements.pop().strip():
        raise _refused(text, "has a statement that does not end with ;")
    calls = tuple(_call(part.strip(), text, angles, qubits) for part in statements if part.strip())
    return GateDefinition(name=name, angles=angles, num_qubits=len(qubits), calls=calls)


def _call(statement: str, text: str, angles: tuple[str, ...], qubits: tuple[str, ...]) -> Call:
    found = _CALL.fullmatch(statement)
    if found is None:
        raise _refused(text, f"holds {statement!r}; only calls of gates on qubits are understood")
    try:
        given = tuple(parse_angle(part, angles) for part in _expressions(found[2] or ""))
    except AngleExpressionError as error:
        raise _refused(text, f"in {statement!r}: {error}") from error
    on = _names(found[3] or "")
    unknown = [name for name in on if name not in qubits]
    if unknown or len(set(on)) < len(on) or (not on) != (found[1] == GLOBAL_PHASE):
        raise _refused(text, f"in {statement!r}: give {found[1]} different qubits among {', '.join(qubits)}")
    return Call(gate=found[1], angles=given, operands=tuple(qubits.index(name) for name in on))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text.strip() else ()


def _expressions(text: str) -> list[str]:
    """Split at the commas that stand outside parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts if text.strip() else []


def _refused(text: str, what: str) -> InvalidDeviceError:
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return InvalidDeviceError([Problem(where=f"definition {shown!r}", what=what)])
