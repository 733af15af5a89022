"""The columns of a batch, block by block, for all passes that look at them: check, sweep, preparation.

Those of a small block are kept until another is asked for. Most jobs are one such block, so nothing is put side by side
or told apart twice.
"""

from __future__ import annotations

from functools import cached_property

from qubitd.compiler.columns import Columns, Ints, fits_a_block, gather
from qubitd.compiler.gate_table import Kinds, kinds_of
from qubitd.compiler.memory import MOST_ENTRIES, Structure, entries_of
from qubitd.core.circuit import CircuitBatch, CircuitBounds


class Gathered:
    """Some circuits side by side."""

    def __init__(self, columns: Columns, bounds: CircuitBounds) -> None:
        self.columns = columns
        self.bounds = bounds
        """Where each of them begins in the columns as they are, whatever its operations ask for."""

    @cached_property
    def kinds(self) -> Kinds:
        """The distinct operations; the qubits must have been found to be within the device."""
        return kinds_of(self.columns)


class BatchColumns:
    """The columns of one batch."""

    def __init__(self, batch: CircuitBatch, num_qubits: int) -> None:
        self.batch = batch
        self._num_qubits = num_qubits
        self._kept: tuple[range, Gathered] | None = None
        self._structure: tuple[int, Structure | None] | None = None

    def of(self, block: range, *, opcode: Ints | None = None) -> Gathered:
        """Put circuits side by side, without their bindings; they must fit the table of operations.

        Their opcodes may be known (`opcodes_of`).
        """
        if self._kept is not None and self._kept[0] == block:
            return self._kept[1]
        found = side_by_side(self.batch, block, self._num_qubits, opcode=opcode)
        self._kept = (block, found) if fits_a_block(found.columns) else None
        return found

    def structure(self, index: int) -> Structure | None:
        """Give the structure of one circuit; None if it is so large that nothing is remembered of it."""
        if self._structure is None or self._structure[0] != index:
            circuit, operations = self.batch.circuits[index], self.batch.operations
            entries = entries_of(circuit, operations)
            is_small = entries <= MOST_ENTRIES
            self._structure = index, Structure(circuit, operations, entries) if is_small else None
        return self._structure[1]


def side_by_side(batch: CircuitBatch, block: range, num_qubits: int, *, opcode: Ints | None = None) -> Gathered:
    """Give circuits side by side, whose operations are in the table; arguments as for `gather`."""
    return Gathered(gather(batch, block, num_qubits, opcode=opcode), batch.columns.bounds.of(block))
