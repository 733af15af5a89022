"""What older clients ask of `backend.configuration()`: facts that the Target states, under Qiskit's former names."""

from __future__ import annotations

from dataclasses import dataclass

from qiskit.transpiler import Target

from qubitd.client import BackendInfo

_NO_GATES = frozenset({"measure", "reset", "delay"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendConfiguration:
    """A backend's facts under the names that Qiskit used before BackendV2."""

    backend_name: str
    backend_version: str
    num_qubits: int
    n_qubits: int
    basis_gates: tuple[str, ...]
    """Gates that a circuit may hold, without measure, reset, delay and control flow."""
    coupling_map: list[list[int]]
    """Pairs of coupled qubits, in both directions."""
    max_shots: int
    max_experiments: int
    """Circuits of a job."""
    max_circuits: int
    meas_map: list[list[int]]
    meas_levels: tuple[int, ...] = (0, 1, 2)
    dt: float
    """Seconds."""
    dtm: float
    """Seconds."""
    memory: bool = True
    """The outcome of every shot can be had."""
    local: bool = False
    simulator: bool = False
    """False for an emulated rack, too: it has the limits of the device that it stands for."""
    conditional: bool = True
    """Operations may depend on outcomes of the same shot."""
    open_pulse: bool = False


def build_configuration(info: BackendInfo, target: Target) -> BackendConfiguration:
    """Give the old form of a backend's facts."""
    gates = (name for name in target.operation_names if name not in _NO_GATES and not _is_control_flow(target, name))
    num_qubits = len(info.qubits)
    return BackendConfiguration(
        backend_name=info.name,
        backend_version=info.server_version,
        num_qubits=num_qubits,
        n_qubits=num_qubits,
        basis_gates=tuple(sorted(gates)),
        coupling_map=sorted(
            [list(pair) for first, second in info.couplers for pair in ((first, second), (second, first))]
        ),
        max_shots=info.limits.max_shots,
        max_experiments=info.limits.max_circuits,
        max_circuits=info.limits.max_circuits,
        meas_map=[list(range(num_qubits))],
        dt=info.dt,
        dtm=info.dt,
    )


def _is_control_flow(target: Target, name: str) -> bool:
    """Qiskit keeps control flow in a Target as classes."""
    return isinstance(target.operation_from_name(name), type)
