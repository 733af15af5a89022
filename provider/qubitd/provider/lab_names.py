"""Gates of a circuit that bear the name of a lab's own gate and mean something else: Qiskit knows gates by name alone.

`transpile` leaves such a gate as it is, and the lab would play its own in its place. So it is refused by name. A gate
without a definition is taken at its word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from qiskit.circuit import Operation, ParameterExpression, QuantumCircuit
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from qubitd.client import GateSignature
from qubitd.core.errors import Problem
from qubitd.provider.control_flow import CONTROL_FLOW
from qubitd.provider.everywhere import everywhere
from qubitd.provider.lab_gate import LabGate


def misnamed_gates(circuits: Sequence[QuantumCircuit], signatures: Sequence[GateSignature]) -> Iterator[Problem]:
    """Find them: the first of each name in each circuit is looked at."""
    standard = _standard_names()
    own = {one.name: one for one in signatures if one.meaning.definition and one.name not in standard}
    if not own:
        return
    for index, circuit in enumerate(circuits):
        for name, operation in _first_of(circuit, own).items():
            if _means_something_else(operation, own[name]):
                what = f"defines a gate {name} that is not the lab's; give it another name"
                where = f"circuit {index} ({circuit.name!r})"
                yield Problem(where=where, what=what, circuit=index)


@cache
def _standard_names() -> frozenset[str]:
    return frozenset(get_standard_gate_name_mapping())


def _first_of(circuit: QuantumCircuit, own: Mapping[str, GateSignature]) -> dict[str, Operation]:
    tops = circuit.count_ops().keys()
    wanted = own.keys() & tops if tops.isdisjoint(CONTROL_FLOW) else own.keys()
    found: dict[str, Operation] = {}
    if not wanted:
        return found
    for one in everywhere(circuit):
        if one.name in wanted and one.name not in found:
            found[one.name] = one.operation
            if len(found) == len(wanted):
                break
    return found


def _means_something_else(operation: Operation, own: GateSignature) -> bool:
    if isinstance(operation, LabGate) and operation.signature.meaning.definition == own.meaning.definition:
        return False
    definition, params = getattr(operation, "definition", None), list(getattr(operation, "params", ()))
    if definition is None or len(params) != len(own.angles) or operation.num_qubits != own.num_qubits:
        return False
    if any(isinstance(param, ParameterExpression) for param in params):
        return False
    return not Operator(definition).equiv(Operator(LabGate(own, params)))
