"""Puts the same operation on every qubit that a circuit uses in front of it, and a barrier behind these."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qubitd.core.circuit import Circuit, CircuitBatch, Operation


def begin_with(batch: CircuitBatch, operation: Operation, *, clbit: int | None = None) -> CircuitBatch:
    """Begin each circuit of a batch with an operation on one qubit; `clbit` is where it writes to, if it does."""
    table = {row: index for index, row in enumerate(batch.operations)}
    circuits = tuple(_begun(circuit, table, operation, clbit) for circuit in batch.circuits)
    return replace(batch, operations=tuple(table), circuits=circuits)


def _begun(circuit: Circuit, table: dict[Operation, int], operation: Operation, clbit: int | None) -> Circuit:
    used = np.unique(circuit.qubits)
    if not len(used):
        return circuit
    barrier = Operation(name="barrier", num_qubits=len(used), num_params=0, num_clbits=0)
    first, second = (table.setdefault(row, len(table)) for row in (operation, barrier))
    written = [] if clbit is None else [clbit] * len(used)
    return replace(
        circuit,
        opcodes=np.concatenate([np.array([*[first] * len(used), second], circuit.opcodes.dtype), circuit.opcodes]),
        qubits=np.concatenate([used, used, circuit.qubits]).astype(circuit.qubits.dtype),
        clbits=np.concatenate([np.array(written, dtype=circuit.clbits.dtype), circuit.clbits]),
    )
