"""Units of delays, and the parameters of a circuit that are the duration of delays and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from qiskit.circuit import ControlFlowOp, Parameter, ParameterExpression, QuantumCircuit

SECONDS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}
"""Of each unit of a delay; `dt` is the backend's own."""


def units_of_delays(circuit: QuantumCircuit, *, dt: float) -> dict[str, float]:
    """Find the parameters that are nothing but durations of delays, all in one unit.

    Args:
        circuit: with parameters.
        dt: of the backend, in seconds.

    Returns:
        the unit of each in seconds, by name.
    """
    units = {name: used.pop() for name, used in _uses(circuit).items() if len(used) == 1}
    return {name: dt if unit == "dt" else SECONDS[unit] for name, unit in units.items() if unit}


def _uses(circuit: QuantumCircuit) -> dict[str, set[str]]:
    """Find in which units delays last as long as a parameter says; an empty one stands for every other use."""
    uses: dict[str, set[str]] = {}
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp):
            for block in operation.blocks:
                for name, used in _uses(block).items():
                    uses.setdefault(name, set()).update(used)
            continue
        for value in operation.params:
            for parameter in value.parameters if isinstance(value, ParameterExpression) else ():
                is_delay = operation.name == "delay" and isinstance(value, Parameter)
                unit = getattr(operation, "unit", "") if is_delay else ""
                uses.setdefault(parameter.name, set()).add(unit if unit in (*SECONDS, "dt") else "")
    return uses
