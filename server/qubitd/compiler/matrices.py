"""What gates are meant to do: unitary matrices, the first operand being the first factor of the product.

Gates of Qiskit are known by name; a lab's own gate is what its definition says, as a product of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.definition import GLOBAL_PHASE, GateDefinition, parse_definition
from qubitd.core.device import Affine, Gate
from qubitd.core.errors import InvalidCircuitError, Problem

Matrix = NDArray[np.complex128]


def rz(angle: float) -> Matrix:
    """Give diag(exp(-1j angle / 2), exp(1j angle / 2))."""
    return np.diag(np.exp(np.array([-0.5j, 0.5j]) * angle))


def is_standard(name: str, *, num_qubits: int, num_angles: int) -> bool:
    """Say whether a gate of this name and shape means what Qiskit means by it."""
    known = _STANDARD.get(name)
    return known is not None and (known.num_qubits, known.num_angles) == (num_qubits, num_angles)


def gate_matrix(gates: Mapping[str, Gate], name: str, angles: tuple[float, ...]) -> Matrix:
    """Give a gate's matrix.

    Raises:
        InvalidCircuitError: the gate is a lab's own, and nobody said what it is meant to do.
    """
    gate = gates.get(name)
    if gate is not None and gate.meaning.definition:
        return definition_matrix(parse_definition(gate.meaning.definition), angles)
    if name not in _STANDARD:
        what = "what it is meant to do is not known; give it a `definition` in the device file"
        raise InvalidCircuitError([Problem(where=f"gate {name}", what=what)])
    return _STANDARD[name].matrix(*angles)


def standard_matrix(name: str, angles: tuple[float, ...]) -> Matrix:
    """Give the matrix of a gate of Qiskit for which `is_standard` holds."""
    return _STANDARD[name].matrix(*angles)


def definition_matrix(
    definition: GateDefinition, angles: tuple[float, ...], own: GateDefinition | None = None
) -> Matrix:
    """Multiply the gates of a definition.

    Args:
        definition: whose calls are `gphase`, gates for which `is_standard` holds, and that of `own`.
        angles: of the gate that it defines.
        own: a lab's gate that it may call.
    """
    given = dict(zip(definition.angles, angles, strict=True))
    total: Matrix = np.eye(2**definition.num_qubits, dtype=np.complex128)
    for call in definition.calls:
        values = tuple(evaluated(angle, given) for angle in call.angles)
        if call.gate == GLOBAL_PHASE:
            total = np.exp(1j * values[0]) * total
            continue
        if own is not None and call.gate == own.name:
            inner = definition_matrix(own, values)
        else:
            inner = standard_matrix(call.gate, values)
        total = on_operands(inner, call.operands, definition.num_qubits) @ total
    return total


def evaluated(angle: Affine, given: Mapping[str, float]) -> float:
    """Give the value of an expression of named angles."""
    return angle.constant + sum(factor * given[name] for name, factor in angle.terms)


def on_operands(matrix: Matrix, operands: tuple[int, ...], num_qubits: int) -> Matrix:
    """Give a gate's matrix on more qubits, of which it acts on `operands`."""
    count = len(operands)
    moved = np.tensordot(
        matrix.reshape([2] * (2 * count)),
        np.eye(2**num_qubits).reshape([2] * (2 * num_qubits)),
        axes=(range(count, 2 * count), operands),
    )
    return np.asarray(np.moveaxis(moved, range(count), operands)).reshape(2**num_qubits, 2**num_qubits)


@dataclass(frozen=True, slots=True)
class _Standard:
    """A gate of Qiskit."""

    num_qubits: int
    num_angles: int
    matrix: Callable[..., Matrix]


def _fixed(*rows: list[complex]) -> _Standard:
    made = np.array(rows, dtype=np.complex128)
    return _Standard(len(made).bit_length() - 1, 0, made.copy)


def _controlled(inner: _Standard) -> _Standard:
    def matrix(*angles: float) -> Matrix:
        whole: Matrix = np.eye(4, dtype=np.complex128)
        whole[2:, 2:] = inner.matrix(*angles)
        return whole

    return _Standard(2, inner.num_angles, matrix)


def _p(angle: float) -> Matrix:
    return np.diag([1, np.exp(1j * angle)]).astype(np.complex128)


def _u(theta: float, phi: float, lam: float) -> Matrix:
    cos, sin = np.cos(theta / 2), np.sin(theta / 2)
    rows = [[cos, -np.exp(1j * lam) * sin], [np.exp(1j * phi) * sin, np.exp(1j * (phi + lam)) * cos]]
    return np.array(rows, dtype=np.complex128)


def _rx(theta: float) -> Matrix:
    return _u(theta, -np.pi / 2, np.pi / 2)


def _ry(theta: float) -> Matrix:
    return _u(theta, 0.0, 0.0)


def _u2(phi: float, lam: float) -> Matrix:
    return _u(np.pi / 2, phi, lam)


def _r(theta: float, phi: float) -> Matrix:
    return _u(theta, phi - np.pi / 2, np.pi / 2 - phi)


_ROOT = np.sqrt(0.5)
_X, _Y, _Z = _fixed([0, 1], [1, 0]), _fixed([0, -1j], [1j, 0]), _fixed([1, 0], [0, -1])
_H = _fixed([_ROOT, _ROOT], [_ROOT, -_ROOT])
_RX, _RY = _Standard(1, 1, _rx), _Standard(1, 1, _ry)
_P, _RZ = _Standard(1, 1, _p), _Standard(1, 1, rz)
_STANDARD: Mapping[str, _Standard] = {
    "id": _fixed([1, 0], [0, 1]),
    "x": _X,
    "y": _Y,
    "z": _Z,
    "h": _H,
    "s": _fixed([1, 0], [0, 1j]),
    "sdg": _fixed([1, 0], [0, -1j]),
    "t": _fixed([1, 0], [0, np.exp(0.25j * np.pi)]),
    "tdg": _fixed([1, 0], [0, np.exp(-0.25j * np.pi)]),
    "sx": _fixed([0.5 + 0.5j, 0.5 - 0.5j], [0.5 - 0.5j, 0.5 + 0.5j]),
    "sxdg": _fixed([0.5 - 0.5j, 0.5 + 0.5j], [0.5 + 0.5j, 0.5 - 0.5j]),
    "rx": _RX,
    "ry": _RY,
    "rz": _RZ,
    "p": _P,
    "r": _Standard(1, 2, _r),
    "u": _Standard(1, 3, _u),
    "u1": _P,
    "u2": _Standard(1, 2, _u2),
    "u3": _Standard(1, 3, _u),
    "cx": _controlled(_X),
    "cy": _controlled(_Y),
    "cz": _controlled(_Z),
    "ch": _controlled(_H),
    "cp": _controlled(_P),
    "crx": _controlled(_RX),
    "cry": _controlled(_RY),
    "crz": _controlled(_RZ),
    "swap": _fixed([1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]),
    "iswap": _fixed([1, 0, 0, 0], [0, 0, 1j, 0], [0, 1j, 0, 0], [0, 0, 0, 1]),
}
