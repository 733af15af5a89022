"""Values for a circuit's parameters, given to `run`: every distinct expression becomes one column, computed at once for
all rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ParameterExpression, QuantumCircuit

from qubitd.core.bindings import Bindings

Floats = NDArray[np.float64]


class BindingError(Exception):
    """Why values do not fit a circuit; the message goes into a problem of the job."""


def value_rows(circuit: QuantumCircuit, values: Any) -> Floats:
    """Give the values of a circuit's parameters, shape (rows, parameters), columns as in `circuit.parameters`.

    Args:
        circuit: with parameters.
        values: as Qiskit's primitives take them: an array whose last axis is the circuit's parameters, or a mapping
            from parameters, vectors or names to arrays.

    Raises:
        BindingError: they do not fit.
    """
    # Costly to import, and seldom needed.
    from qiskit.primitives.containers.bindings_array import BindingsArray

    try:
        if isinstance(values, (Mapping, BindingsArray)):
            values = BindingsArray.coerce(values).as_array(circuit.parameters)
        rows = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (ValueError, TypeError, KeyError) as error:
        names = ", ".join(parameter.name for parameter in circuit.parameters)
        raise BindingError(f"parameter_values do not fit its parameters {names} ({error})") from error
    if rows.shape[-1] != circuit.num_parameters:
        raise BindingError(f"parameter_values have {rows.shape[-1]} columns for {circuit.num_parameters} parameters")
    if not rows.size:
        raise BindingError("parameter_values hold no row")
    if not np.isfinite(rows).all():
        raise BindingError("parameter_values hold a value that is not a finite number")
    return rows.reshape(-1, circuit.num_parameters)


def bind(circuit: QuantumCircuit, rows: Floats, params: Sequence[Any]) -> tuple[Floats, Bindings]:
    """Turn a circuit's flat parameters into numbers and columns.

    Args:
        circuit: that they are from.
        rows: as `value_rows` gives them.
        params: numbers and expressions.

    Raises:
        BindingError: a row makes an expression something else than a finite number.
    """
    place = {parameter: i for i, parameter in enumerate(circuit.parameters)}
    numbers = np.zeros(len(params))
    columns: dict[ParameterExpression, int] = {}
    free: list[tuple[int, int]] = []
    for position, param in enumerate(params):
        if isinstance(param, ParameterExpression) and param.parameters:
            free.append((position, columns.setdefault(param, len(columns))))
        else:
            numbers[position] = float(param)
    table = [_evaluated(expression, rows, place) for expression in columns]
    return numbers, Bindings(
        positions=np.array([position for position, _ in free], dtype=np.uint32),
        columns=np.array([column for _, column in free], dtype=np.uint32),
        values=np.column_stack(table) if table else np.zeros((len(rows), 1)),
    )


def _evaluated(expression: ParameterExpression, rows: Floats, place: dict[Any, int]) -> Floats:
    """Evaluate an expression for every row; at once if it is a sum of parameters times numbers."""
    used = list(expression.parameters)
    if len(used) == 1 and expression == used[0]:
        return rows[:, place[used[0]]]
    slopes = _slopes(expression, used)
    if slopes:
        total = np.full(len(rows), float(expression.bind(dict.fromkeys(used, 0.0)).numeric()))
        for parameter, slope in zip(used, slopes, strict=True):
            total += slope * rows[:, place[parameter]]
        return total
    chosen = rows[:, [place[parameter] for parameter in used]].tolist()
    return np.array([_number(expression, dict(zip(used, row, strict=True))) for row in chosen])


def _slopes(expression: ParameterExpression, used: Sequence[Any]) -> list[float]:
    """Give the slope along each parameter, where all are the same everywhere; else nothing."""
    try:
        slopes = [expression.gradient(parameter) for parameter in used]
    except RuntimeError:  # Qiskit derives no sign
        return []
    return [float(slope) for slope in slopes] if all(isinstance(slope, (int, float)) for slope in slopes) else []


def _number(expression: ParameterExpression, values: dict[Any, float]) -> float:
    given = ", ".join(f"{parameter.name} = {value:.9g}" for parameter, value in values.items())
    try:
        value = expression.bind(values).numeric()
    except (ZeroDivisionError, ValueError, TypeError, RuntimeError) as error:
        raise BindingError(f"{expression} has no value for {given} ({error})") from error
    if isinstance(value, complex) or not math.isfinite(value):
        raise BindingError(f"{expression} is {value} for {given}; it must be a finite number")
    return float(value)
