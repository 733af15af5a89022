"""Where something is wrong in a circuit: by the operation as it was sent, whatever the compiler put in front of it."""

from __future__ import annotations

from qubitd.core.errors import Problem


def problem_at(index: int, name: str, op: int, operation: str, what: str, *, front: int = 0) -> Problem:
    """Say what is wrong with an operation.

    Args:
        index: of the circuit in its job.
        name: of the circuit.
        op: position of the operation in the circuit as it is compiled.
        operation: its name, and what it acts on.
        what: is wrong, the limit, and what to do.
        front: operations that were put in front of the circuit, heralds and resets, which nobody sent.
    """
    circuit = f"circuit {index} ({name!r})"
    if op < front:
        return Problem(where=f"{circuit}, {operation} before it begins", what=what, circuit=index)
    where = f"{circuit}, operation {op - front} ({operation})"
    return Problem(where=where, what=what, circuit=index, operation=op - front)
