"""A plain Qiskit Target from what the daemon says of a backend: no subclass, so that it can be copied and pickled."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from qiskit.circuit import (
    BreakLoopOp,
    ContinueLoopOp,
    ForLoopOp,
    Gate,
    IfElseOp,
    Instruction,
    Parameter,
    SwitchCaseOp,
    WhileLoopOp,
)
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.providers import QubitProperties
from qiskit.transpiler import InstructionProperties, Target

from qubitd.client import BackendInfo, GateSignature
from qubitd.core.properties import OperationProperties
from qubitd.provider.lab_gate import LabGate

_CONTROL_FLOW = {
    "if_else": IfElseOp,
    "while_loop": WhileLoopOp,
    "for_loop": ForLoopOp,
    "switch_case": SwitchCaseOp,
    "break_loop": BreakLoopOp,
    "continue_loop": ContinueLoopOp,
}


def build_target(info: BackendInfo) -> Target:
    """Give the Target at the revision that `info` describes. Alignments are 1: the daemon sees to finer sampling."""
    target = Target(
        description=info.description,
        num_qubits=len(info.qubits),
        dt=info.dt,
        granularity=1,
        min_length=1,
        pulse_alignment=1,
        acquire_alignment=1,
        qubit_properties=[QubitProperties(t1=q.t1, t2=q.t2, frequency=q.frequency) for q in info.qubits],
    )
    standard = get_standard_gate_name_mapping()
    signatures = {signature.name: signature for signature in info.signatures}
    for name, rows in _by_name(info).items():
        instruction = _instruction(name, signatures.get(name), standard)
        target.add_instruction(instruction, {row.operands: _properties(row) for row in rows})
    for name, kind in _CONTROL_FLOW.items():
        target.add_instruction(kind, name=name)
    return target


def _by_name(info: BackendInfo) -> dict[str, list[OperationProperties]]:
    rows: dict[str, list[OperationProperties]] = defaultdict(list)
    for row in info.operations:
        rows[row.name].append(row)
    return rows


def _properties(row: OperationProperties) -> InstructionProperties | None:
    if row.duration is None and row.error is None:
        return None
    return InstructionProperties(duration=row.duration, error=row.error)


def _instruction(name: str, signature: GateSignature | None, standard: dict[str, Any]) -> Instruction:
    """Qiskit's own class where the shape is the same, otherwise a gate of the lab's own."""
    known: Instruction | None = standard.get(name)
    if known is not None and (signature is None or _same_shape(known, signature)):
        return known
    if signature is None:
        return Gate(name, 1, [])
    if signature.meaning.definition:
        return LabGate(signature)
    return Gate(name, signature.num_qubits, [Parameter(angle) for angle in signature.angles])


def _same_shape(known: Instruction, signature: GateSignature) -> bool:
    angles = 0 if known.name == "delay" else len(known.params)
    return known.num_qubits == signature.num_qubits and angles == len(signature.angles)
