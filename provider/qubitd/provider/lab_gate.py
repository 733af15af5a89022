"""A lab's own gate as Qiskit needs it: with definition, exact matrix and equivalences, all from what the daemon says.

There is one class for all of them, so that a gate, and a Target that holds it, can be copied, pickled and dilled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Gate, Parameter, QuantumCircuit
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from qubitd.client import GateSignature
from qubitd.core.definition import GLOBAL_PHASE, GateDefinition, parse_definition
from qubitd.core.device import Affine
from qubitd.core.errors import InvalidDeviceError, Problem


class LabGate(Gate):
    """A gate that a lab invented and Qiskit does not know."""

    def __init__(self, signature: GateSignature, params: Sequence[Any] | None = None) -> None:
        """Make the gate; without `params` its angles are Parameters of the names that the lab gave them.

        Raises:
            InvalidDeviceError: its definition cannot be read.
        """
        angles = [Parameter(angle) for angle in signature.angles] if params is None else list(params)
        super().__init__(signature.name, signature.num_qubits, angles)
        self.signature = signature

    def _define(self) -> None:
        definition = parse_definition(self.signature.meaning.definition)
        given = dict(zip(definition.angles, self.params, strict=True))
        self.definition = _circuit(definition, given, self.signature)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Give the matrix in Qiskit's order of qubits; TypeError while an angle is not bound."""
        return np.array(Operator(self.definition).data, dtype=dtype)

    @property
    def equivalences(self) -> tuple[tuple[Gate, QuantumCircuit], ...]:
        """Gates of Qiskit, their angles being Parameters, and for each a circuit of this gate and others of Qiskit."""
        return tuple(self._equivalence(parse_definition(text)) for text in self.signature.meaning.equivalences)

    def _equivalence(self, definition: GateDefinition) -> tuple[Gate, QuantumCircuit]:
        angles = {name: Parameter(name) for name in definition.angles}
        return _standard(definition.name, angles.values()), _circuit(definition, angles, self.signature)


def _circuit(definition: GateDefinition, given: Mapping[str, Any], own: GateSignature) -> QuantumCircuit:
    """Write the calls of a definition as a circuit; those of `own` become that gate."""
    circuit = QuantumCircuit(definition.num_qubits, name=definition.name)
    for call in definition.calls:
        values = [_value(angle, given) for angle in call.angles]
        if call.gate == GLOBAL_PHASE:
            circuit.global_phase += values[0]
        elif call.gate == own.name:
            circuit.append(LabGate(own, values), call.operands)
        else:
            circuit.append(_standard(call.gate, values), call.operands)
    return circuit


def _standard(name: str, params: Iterable[Any]) -> Gate:
    known = get_standard_gate_name_mapping().get(name)
    if known is None:
        what = "is no gate of this Qiskit; a newer Qiskit may know it"
        raise InvalidDeviceError([Problem(where=f"definition of a lab's gate, {name}", what=what)])
    made: Gate = known.base_class(*params)
    return made


def _value(angle: Affine, given: Mapping[str, Any]) -> Any:
    total: Any = angle.constant
    for name, factor in angle.terms:
        total = total + factor * given[name]
    return total
