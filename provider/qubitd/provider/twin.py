"""A backend's twin in Qiskit Aer: its noise as the calibration states it, and circuits in words that Aer knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qiskit.circuit import ControlFlowOp, QuantumCircuit
from qiskit.circuit.library import UnitaryGate, get_standard_gate_name_mapping
from qiskit.providers import BackendV2

from qubitd.core.snapshot import Snapshot
from qubitd.provider.errors import ProviderError


def build_noise_model(backend: BackendV2, calibration: Snapshot) -> Any:
    """Give Aer's model of the noise that the Target states, with the measured assignment errors of 0 and of 1.

    Raises:
        ProviderError: Aer is not installed.
    """
    try:
        from qiskit_aer.noise import NoiseModel, ReadoutError  # pyright: ignore[reportMissingImports]  # an extra
    except ImportError as error:
        raise ProviderError("Qiskit Aer is not installed; type: pip install 'qubitd[aer]'") from error
    model = NoiseModel.from_backend(backend)
    for qubit in range(backend.num_qubits):
        rates = _assignment(calibration, f"q{qubit}")
        if rates is not None:
            one_from_zero, zero_from_one = rates
            matrix = [[1 - one_from_zero, one_from_zero], [zero_from_one, 1 - zero_from_one]]
            model.add_readout_error(ReadoutError(matrix), [qubit], warnings=False)
    return model


def without_lab_gates(circuit: QuantumCircuit) -> QuantumCircuit:
    """Give the circuit with a matrix for each gate that Qiskit does not know, labelled so that Aer finds its noise.

    Blocks of control flow are looked through, too.
    """
    known = get_standard_gate_name_mapping()
    plain = circuit.copy_empty_like()
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp):
            operation = operation.replace_blocks([without_lab_gates(block) for block in operation.blocks])
        elif isinstance(getattr(operation, "equivalences", None), Iterable) and operation.name not in known:
            operation = UnitaryGate(operation.to_matrix(), label=operation.name)
        plain.append(operation, instruction.qubits, instruction.clbits)
    return plain


def _assignment(calibration: Snapshot, qubit: str) -> tuple[float, float] | None:
    names = f"{qubit}.measure.prob_meas1_prep0", f"{qubit}.measure.prob_meas0_prep1"
    if not all(name in calibration for name in names):
        return None
    return calibration.value(names[0]), calibration.value(names[1])
