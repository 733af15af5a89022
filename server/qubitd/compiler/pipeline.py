"""The passes in their order, with the tables that a job's programs share.

A block is either some circuits side by side, or cases (bindings and points of a sweep) of one circuit. Cases share all
that is structure; what has a number of its own in each case has an axis in front.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

import numpy as np

from qubitd.compiler.batch_columns import BatchColumns
from qubitd.compiler.block import Cases
from qubitd.compiler.calibrated import CalibratedGates
from qubitd.compiler.columns import Columns, Floats, Ints, Wires, wires_of
from qubitd.compiler.envelope_table import EnvelopeTable
from qubitd.compiler.expand import Expand, Expanded
from qubitd.compiler.frames import Frames, advance_frames
from qubitd.compiler.gate_table import GateKey, GateTable, kinds_of, where_named
from qubitd.compiler.lower import Lower
from qubitd.compiler.memory import Structure
from qubitd.compiler.numbers import Numbers, Point
from qubitd.compiler.schedule import Schedule, schedule_each, schedule_early, schedule_late
from qubitd.core.circuit import Circuit
from qubitd.core.job import Scheduling
from qubitd.core.program import ProgramColumns
from qubitd.core.ticks import nearest_ticks


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Circuits as far as they do not depend on numbers."""

    expanded: Expanded
    columns: Columns
    wires: Callable[[], Wires]
    """Laid out when they are asked for: compiled loops do without."""
    rows: Ints
    """Row of each operation in the job's table of gates."""
    keys: tuple[GateKey, ...]
    """What rows 1, 2, ... stand for."""
    delays: Ints
    """The operations that are delays."""
    structure: Structure | None = None
    """Of the one circuit, if it may come again."""

    def bound(self, params: Floats) -> Prepared:
        """Give the one circuit with other parameters, shape (parameters,) or (cases, parameters)."""
        expanded = self.expanded.params(params)
        if expanded is self.columns.params or not expanded.shape[-1]:
            return self
        return replace(self, columns=replace(self.columns, params=expanded))


class Pipeline:
    """Makes programs of one job, block by block."""

    def __init__(
        self, gates: CalibratedGates, gathered: BatchColumns, scheduling: Scheduling = Scheduling.ALAP
    ) -> None:
        self.gates = gates
        self.gathered = gathered
        self.batch = gathered.batch
        self.scheduling = scheduling
        self.table = GateTable()
        self.envelopes = EnvelopeTable()

    def prepare(self, block: range) -> Prepared:
        """Put circuits side by side, without their bindings."""
        return self._prepared(block, self.table, None)

    def prepare_cases(self, index: int) -> Prepared:
        """Do what is the same for all bindings of one circuit and at all points of a sweep, once whatever its name."""
        return self._of_structure(index).bound(self.batch.circuits[index].params)

    def pulse_gates(self, index: int) -> tuple[GateKey, ...]:
        """Give what one circuit is made of."""
        return self._of_structure(index).keys

    def _of_structure(self, index: int) -> Prepared:
        structure = self.gathered.structure(index)
        block = range(index, index + 1)
        if structure is None:
            return self._prepared(block, GateTable(), None)
        return self.gates.memory.recall(
            (Prepared, structure), structure.entries, lambda: self._prepared(block, GateTable(), structure)
        )

    def _prepared(self, block: range, table: GateTable, structure: Structure | None) -> Prepared:
        gathered = self.gathered.of(block)
        expanded = Expand(gates=self.gates.device.gates)(gathered.columns)
        columns = expanded.columns
        kinds = gathered.kinds if columns is gathered.columns else kinds_of(columns)
        return Prepared(
            expanded=expanded,
            columns=columns,
            wires=functools.cache(partial(wires_of, columns)),
            rows=table.rows_of(kinds),
            keys=table.keys,
            delays=where_named(columns, "delay"),
            structure=structure,
        )

    def shaping(self, prepared: Prepared) -> frozenset[str]:
        """Name the parameters of gates that do more than fill in a number."""
        return self.gates.numbers(prepared.keys, {}).shaping

    def numbers(self, prepared: Prepared, point: Point) -> Numbers:
        """Give the numbers of the gates. Programs lowered with earlier numbers must be there already.

        Args:
            prepared: circuits with these gates.
            point: values of swept parameters, one number or one for each case; of a shaping one always one number.
        """
        self.envelopes = self.envelopes.with_room()
        fixed = {name: float(found) for name, found in point.items() if not isinstance(found, np.ndarray)}
        return self.gates.numbers(prepared.keys, fixed).at(point, self.envelopes, self.gates.snapshot)

    def lengths(self, prepared: Prepared, numbers: Numbers) -> Ints:
        """Give the ticks that each operation takes, shape (operations,) or (cases, operations)."""
        columns = prepared.columns
        length = numbers.length[prepared.rows]
        if len(prepared.delays):
            ticks = nearest_ticks(columns.params.take(columns.param_start[prepared.delays], axis=-1))
            if ticks.ndim == 2 and (ticks == ticks[0]).all():
                ticks = ticks[0]
            if ticks.ndim == 2:
                length = np.repeat(length[np.newaxis], len(ticks), axis=0)
            length[..., prepared.delays] = ticks
        return length

    def schedule(self, prepared: Prepared, numbers: Numbers) -> Schedule:
        """Say when each operation starts."""
        columns, length = prepared.columns, self.lengths(prepared, numbers)
        if length.ndim == 2:
            return schedule_each(columns, length, self._scheduled)
        if prepared.structure is None:
            return self._scheduled(columns, prepared.wires, length)
        delays = length[prepared.delays]
        question = (Schedule, prepared.structure, self.scheduling, numbers.length.tobytes(), delays.tobytes())
        return self.gates.memory.recall(
            question,
            prepared.structure.entries + len(columns),
            lambda: self._scheduled(columns, prepared.wires, length),
        )

    def frames(self, prepared: Prepared, numbers: Numbers) -> Frames:
        """Sum up virtual Z."""
        return advance_frames(prepared.columns, prepared.wires, prepared.rows, numbers)

    def lower(self, block: range, prepared: Prepared, numbers: Numbers) -> ProgramColumns:
        """Give the program of each circuit of a block."""
        circuits = self.batch.columns
        return self.lowering()(
            circuits.names[block.start : block.stop],
            circuits.num_clbits[block.start : block.stop],
            prepared.columns,
            prepared.rows,
            numbers,
            self.schedule(prepared, numbers),
            self.frames(prepared, numbers),
        )

    def lower_cases(self, circuit: Circuit, prepared: Prepared, numbers: Numbers, *, count: int) -> Cases:
        """Give the program of each case of the one circuit."""
        return self.lowering().cases(
            circuit,
            prepared.columns,
            prepared.rows,
            numbers,
            self.schedule(prepared, numbers),
            self.frames(prepared, numbers),
            count=count,
        )

    def lowering(self) -> Lower:
        """Say what programs speak of."""
        return Lower(lines=self.gates.lines, tables=self.envelopes.tables())

    def _scheduled(self, columns: Columns, wires: Callable[[], Wires], length: Ints) -> Schedule:
        match self.scheduling:
            case Scheduling.ALAP:
                return schedule_late(columns, wires, length)
            case Scheduling.ASAP:
                return schedule_early(columns, length)
            case _:
                assert_never(self.scheduling)
