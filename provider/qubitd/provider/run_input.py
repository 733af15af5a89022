"""What users give to `run`, circuits and the values of their parameters, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from qiskit.circuit import QuantumCircuit

from qubitd.core.circuit import CircuitBatch
from qubitd.core.errors import Problem


def too_big(batch: CircuitBatch, most: int) -> list[Problem]:
    """Say that circuits take more bytes than a job may have."""
    circuits = batch.columns
    size = circuits.opcodes.nbytes + circuits.qubits.nbytes + circuits.params.nbytes
    size += circuits.clbits.nbytes + circuits.controls.nbytes
    size += sum(found.values.nbytes for found in circuits.bindings.values())
    if size <= most:
        return []
    return [Problem(where="run_input", what=f"takes {size} bytes, and a job may have {most}; send several jobs")]


def values_of_each(
    run_input: object, circuits: Sequence[QuantumCircuit], parameter_values: Any
) -> tuple[Sequence[Any], list[Problem]]:
    """Give the parameter values of each circuit."""
    if isinstance(run_input, QuantumCircuit) or parameter_values is None:
        return [parameter_values], []
    if isinstance(parameter_values, Sequence) and len(parameter_values) == len(circuits):
        return parameter_values, []
    what = f"must be a sequence with one entry for each of the {len(circuits)} circuits; None where there is nothing"
    return [], [Problem(where="parameter_values", what=what)]


def circuits_of(
    run_input: QuantumCircuit | Iterable[QuantumCircuit], most: int
) -> tuple[list[QuantumCircuit], list[Problem]]:
    """Give the circuits, and what is given in the place of some."""
    if isinstance(run_input, QuantumCircuit):
        return [run_input], []
    if not isinstance(run_input, Iterable) or isinstance(run_input, str | bytes):
        what = f"is a {type(run_input).__name__}; give a QuantumCircuit or a list of them"
        return [], [Problem(where="run_input", what=what)]
    items = list(run_input)
    problems = [
        Problem(where=f"run_input, item {index}", what=f"is a {type(item).__name__}; give a QuantumCircuit")
        for index, item in enumerate(items)
        if not isinstance(item, QuantumCircuit)
    ]
    if not items:
        problems.append(Problem(where="run_input", what="holds no circuit; give at least one"))
    if len(items) > most:
        what = f"holds {len(items)} circuits, and a job may have {most}; send several jobs"
        return [], [Problem(where="run_input", what=what)]
    return [item for item in items if isinstance(item, QuantumCircuit)], problems
