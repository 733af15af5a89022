"""What was worked out about a circuit, or some gates, at one calibration, kept for the next job that has the same.

A key holds all that went in, so nothing kept is ever wrong; what was not asked for lately is forgotten.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from qubitd.core.circuit import Circuit, CircuitBatch, Operation

MOST_ENTRIES = 100_000
"""Entries of all that is kept (`entries_of` for a circuit); what has more is not kept at all."""
_T = TypeVar("_T")


class Memory:
    """Remembers answers about circuits and gates. Threads may share it."""

    def __init__(self, *, most: int = MOST_ENTRIES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()
        self._entries = 0

    def recall(self, question: Hashable, entries: int, answer: Callable[[], _T]) -> _T:
        """Give the answer to a question, worked out now unless it is known.

        Args:
            question: all that the answer depends on.
            entries: of what it is about.
            answer: works it out.
        """
        with self._lock:
            known = self._kept.get(question)
            if known is not None:
                self._kept.move_to_end(question)
                found: _T = known[1]
                return found
        made = answer()
        self._keep(question, entries, made)
        return made

    def _keep(self, question: Hashable, size: int, made: object) -> None:
        with self._lock:
            if size > self._most or question in self._kept:
                return
            self._kept[question] = (size, made)
            self._entries += size
            while self._entries > self._most:
                _, (freed, _) = self._kept.popitem(last=False)
                self._entries -= freed


def entries_of(circuit: Circuit, operations: tuple[Operation, ...]) -> int:
    """Count what a circuit and its table hold: a job may bring a large table, or conditions, for few operations."""
    columns = len(circuit.opcodes) + len(circuit.qubits) + len(circuit.params) + len(circuit.clbits)
    return 16 + columns + len(circuit.controls) + 16 * (len(operations) + len(circuit.conditions))


def entries_of_all(batch: CircuitBatch) -> int:
    """Count the same for all circuits of a batch."""
    circuits = batch.columns
    columns = len(circuits.opcodes) + len(circuits.qubits) + len(circuits.params) + len(circuits.clbits)
    conditions = sum(map(len, circuits.conditions.values()))
    return columns + len(circuits.controls) + 16 * (len(circuits) * (1 + len(batch.operations)) + conditions)


class Structure:
    """All of a circuit but its name, its parameters and its bindings, as a key: clients number their circuits, and send
    the same one again and again with other angles.
    """

    __slots__ = ("_hash", "_parts", "entries")

    def __init__(self, circuit: Circuit, operations: tuple[Operation, ...], entries: int) -> None:
        sizes = (circuit.num_qubits, circuit.num_clbits, len(circuit.params))
        operands = circuit.opcodes.tobytes(), circuit.qubits.tobytes(), circuit.clbits.tobytes()
        self._parts = (sizes, operands, circuit.controls.tobytes(), circuit.conditions, operations)
        self._hash = hash(self._parts)
        self.entries = entries
        """What it holds: `entries_of` the circuit."""

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self._parts == other._parts
