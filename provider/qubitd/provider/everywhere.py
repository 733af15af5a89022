"""The operations of a circuit wherever they stand: on their own, or in a block of control flow."""

from __future__ import annotations

from collections.abc import Iterator

from qiskit.circuit import CircuitInstruction, QuantumCircuit


def everywhere(circuit: QuantumCircuit) -> Iterator[CircuitInstruction]:
    """Give them in the order of the program, each operation of control flow before what its blocks hold."""
    for instruction in circuit.data:
        yield instruction
        if instruction.is_control_flow():
            for block in instruction.operation.blocks:
                yield from everywhere(block)
