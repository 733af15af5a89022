"""Leaves out the qubits that a circuit never uses, so that a wide register fits a small device."""

from __future__ import annotations

from qiskit.circuit import QuantumCircuit, QuantumRegister, Qubit


def without_idle_qubits(circuit: QuantumCircuit, most: int) -> QuantumCircuit:
    """Give the circuit on its used qubits if it has more than `most`; classical bits and registers stay as they are.

    A barrier uses no qubit. A circuit that is narrow enough is given back as it is.
    """
    if circuit.num_qubits <= most:
        return circuit
    used = _used(circuit) or circuit.qubits[:1]
    register = QuantumRegister(len(used), "q")
    place = dict(zip(used, register, strict=True))
    narrow = QuantumCircuit(
        register, circuit.clbits, *circuit.cregs, name=circuit.name, global_phase=circuit.global_phase
    )
    narrow.metadata = circuit.metadata
    for instruction in circuit.data:
        qubits = [place[qubit] for qubit in instruction.qubits if qubit in place]
        operation = instruction.operation
        if operation.name == "barrier":
            if qubits:
                narrow.barrier(qubits)
            continue
        narrow.append(operation, qubits, instruction.clbits)
    return narrow


def _used(circuit: QuantumCircuit) -> list[Qubit]:
    touched = {q for instruction in circuit.data if instruction.name != "barrier" for q in instruction.qubits}
    return [qubit for qubit in circuit.qubits if qubit in touched]
