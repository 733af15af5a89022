"""What a device file says its gates mean, against itself: definitions, equivalences and bodies must agree.

A gate that bears the name of one of Qiskit's means the same. Matrices are compared at fixed odd angles: equivalences
and definitions exactly, since Qiskit tracks the global phase; bodies of composite gates up to it, as a chip has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from qubitd.compiler.composites import flatten
from qubitd.compiler.matrices import (
    Matrix,
    definition_matrix,
    evaluated,
    gate_matrix,
    is_standard,
    on_operands,
    standard_matrix,
)
from qubitd.core.definition import GLOBAL_PHASE, GateDefinition, parse_definition
from qubitd.core.device import CompositeGate, Gate
from qubitd.core.errors import InvalidDeviceError, Problem

_ODD = 0.7390851
_SAME = 1e-9
_MOST_QUBITS = 5
"""Of a gate that is given a meaning; matrices of more are too large to compare."""


def meaning_problems(gates: Mapping[str, Gate]) -> Iterator[Problem]:
    """Find definitions and equivalences that cannot be read or contradict, and bodies that do something else.

    The gates must be free of composite problems.
    """
    found = [problem for gate in gates.values() for problem in _told(gate)]
    yield from found
    if not found:
        for gate in gates.values():
            if isinstance(gate, CompositeGate):
                yield from _body_problems(gates, gate)


def _told(gate: Gate) -> Iterator[Problem]:
    """Check the texts of one gate."""
    where = f"gates.{gate.name}"
    try:
        own = parse_definition(gate.meaning.definition) if gate.meaning.definition else None
        equivalences = [parse_definition(text) for text in gate.meaning.equivalences]
    except InvalidDeviceError as error:
        yield from (Problem(where=f"{where}: {problem.where}", what=problem.what) for problem in error.problems)
        return
    problem = None if own is None else _definition_problem(gate, own)
    if problem is not None:
        yield Problem(where=f"{where}.definition", what=problem)
        return
    for i, equivalence in enumerate(equivalences):
        problem = _equivalence_problem(own, equivalence)
        if problem is not None:
            yield Problem(where=f"{where}.equivalences[{i}]", what=problem)


def _definition_problem(gate: Gate, own: GateDefinition) -> str | None:
    num_qubits = len(gate.operands[0]) if gate.operands else own.num_qubits
    if (own.name, len(own.angles), own.num_qubits) != (gate.name, len(gate.angles), num_qubits):
        return f"must define {gate.name} with {len(gate.angles)} angles on {num_qubits} qubits"
    if num_qubits > _MOST_QUBITS:
        return f"is of a gate on {num_qubits} qubits; at most {_MOST_QUBITS} can be defined"
    unknown = _unknown_call(own, None)
    if unknown is not None:
        return unknown
    if is_standard(gate.name, num_qubits=own.num_qubits, num_angles=len(own.angles)) and not all(
        np.allclose(definition_matrix(own, values), standard_matrix(own.name, values), atol=_SAME)
        for values in _samples(len(own.angles))
    ):
        return f"is not what Qiskit means by {gate.name}; give the gate another name"
    return None


def _equivalence_problem(own: GateDefinition | None, equivalence: GateDefinition) -> str | None:
    if own is None:
        return "needs the gate's own `definition`"
    if not _is_of_qiskit(equivalence):
        return f"{equivalence.name} with {len(equivalence.angles)} angles is no gate of Qiskit that is known here"
    unknown = _unknown_call(equivalence, own)
    if unknown is not None:
        return unknown
    for values in _samples(len(equivalence.angles)):
        given = definition_matrix(equivalence, values, own)
        if not np.allclose(given, standard_matrix(equivalence.name, values), atol=_SAME):
            return f"is not {equivalence.name}; mind the order of the calls and the global phase (gphase)"
    return None


def _is_of_qiskit(gate: GateDefinition) -> bool:
    return is_standard(gate.name, num_qubits=gate.num_qubits, num_angles=len(gate.angles))


def _unknown_call(definition: GateDefinition, own: GateDefinition | None) -> str | None:
    for call in definition.calls:
        shape = (len(call.operands), len(call.angles))
        if call.gate == GLOBAL_PHASE:
            known = shape == (0, 1)
        elif own is not None and call.gate == own.name:
            known = shape == (own.num_qubits, len(own.angles))
        else:
            known = is_standard(call.gate, num_qubits=shape[0], num_angles=shape[1])
        if not known:
            return (
                f"calls {call.gate} with {shape[1]} angles on {shape[0]} qubits, which is no gate of Qiskit known here"
            )
    return None


def _body_problems(gates: Mapping[str, Gate], gate: CompositeGate) -> Iterator[Problem]:
    """Compare a body with the gate's meaning, if that of all its parts is known."""
    num_qubits = len(gate.operands[0]) if gate.operands else 1
    if not _is_known(gate, num_qubits):
        return
    steps = flatten(gates, gate.name)
    if not all(_is_known(gates[step.gate], len(step.operands)) for step in steps):
        return
    for angles in _samples(len(gate.angles)):
        meant = gate_matrix(gates, gate.name, angles)
        if abs(np.trace(_body_matrix(gates, gate, angles).conj().T @ meant)) < len(meant) * (1 - _SAME):
            yield Problem(where=f"gates.{gate.name}.body", what=f"does something else than {gate.name} means")
            return


def _is_known(gate: Gate, num_qubits: int) -> bool:
    return bool(gate.meaning.definition) or is_standard(gate.name, num_qubits=num_qubits, num_angles=len(gate.angles))


def _body_matrix(gates: Mapping[str, Gate], gate: CompositeGate, angles: tuple[float, ...]) -> Matrix:
    given = dict(zip(gate.angles, angles, strict=True))
    num_qubits = len(gate.operands[0])
    total: Matrix = np.eye(2**num_qubits, dtype=np.complex128)
    for step in flatten(gates, gate.name):
        inner = gate_matrix(gates, step.gate, tuple(evaluated(angle, given) for angle in step.angles))
        total = on_operands(inner, step.operands, num_qubits) @ total
    return total


def _samples(num_angles: int) -> list[tuple[float, ...]]:
    return [tuple(_ODD * sign * (i + 1) ** 1.5 for i in range(num_angles)) for sign in (1, -1)]
