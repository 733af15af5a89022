"""Circuits to programs: checks everything first, then makes the programs one after another in bounded memory.

Programs are in the order circuit, binding, grid point. Programs made twice are equal, so a caller may start again from
any of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np

from qubitd.compiler.calibrated import CalibratedGates, calibrated_gates
from qubitd.compiler.check import check_batch, check_shots
from qubitd.compiler.columns import Columns, Ints, Wires, blocks, gather, wires_of
from qubitd.compiler.decouple import Decouple, circuits_of, decoupling_problems
from qubitd.compiler.expand import Expand
from qubitd.compiler.frames import Frames, advance_frames
from qubitd.compiler.gate_table import GateTable, mask_of
from qubitd.compiler.herald import herald_problems, heralded
from qubitd.compiler.lower import Lower
from qubitd.compiler.numbers import EnvelopeTable, Numbers, tabulate
from qubitd.compiler.raw import raw_problems
from qubitd.compiler.schedule import Schedule, schedule_early, schedule_late
from qubitd.compiler.swept import check_sweep
from qubitd.core.circuit import Circuit, CircuitBatch, Operation
from qubitd.core.device import Device
from qubitd.core.errors import InvalidCalibrationError, InvalidCircuitError, Problem
from qubitd.core.job import Decoupling, JobSpec, MeasLevel, Scheduling
from qubitd.core.program import Program
from qubitd.core.properties import gate_ticks
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep
from qubitd.core.ticks import nearest_ticks, to_ticks

MAX_DECOUPLED = 4_000_000
"""Operations of a job with its decoupling pulses: they are held until it ends."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compiled:
    """A checked job, whose programs are made when they are asked for."""

    batch: CircuitBatch
    """A circuit for each binding, as it is played: with heralds, if the job asks for them."""
    scheduling: Scheduling
    sweep: Sweep
    """With the values that are played. (What a driver rounds to its registers comes on top.)"""
    reset: int
    """Ticks of passive reset before each program: the longest of any qubit."""
    log: tuple[str, ...]
    """What the job's owner should know, such as rounded delays."""
    gates: CalibratedGates = field(repr=False)
    """The calibration that it is pinned to."""

    @property
    def num_programs(self) -> int:
        """Circuits x bindings x grid points."""
        return len(self.batch.circuits) * self.sweep.num_points

    def programs(self, *, first: int = 0) -> Iterator[Program]:
        """Make the programs in order, from `first` on."""
        return itertools.chain.from_iterable(self.blocks(first=first))

    def blocks(self, *, first: int = 0) -> Iterator[tuple[Program, ...]]:
        """The same, as many at a time as are made together in bounded memory."""
        return _blocks(self, first)


def compile_circuits(device: Device, snapshot: Snapshot, batch: CircuitBatch, sweep: Sweep | None = None) -> Compiled:
    """Check circuits against a device and a calibration; their programs are made later.

    Raises:
        InvalidCircuitError: with every problem of the batch, or else of the sweep.
        InvalidCalibrationError: no qubit has a `reset.duration`.
    """
    return _compile(device, snapshot, JobSpec(batch=batch, sweep=sweep or Sweep(), shots=1), ())


def compile_job(device: Device, snapshot: Snapshot, spec: JobSpec) -> Compiled:
    """Check all that a job asks for; as `compile_circuits`, and its number of shots too."""
    return _compile(device, snapshot, spec, check_shots(device, spec.shots))


def passive_reset(device: Device, snapshot: Snapshot) -> int:
    """Give the ticks of waiting after which all qubits are in 0: the longest `reset.duration` of any.

    Raises:
        InvalidCalibrationError: no qubit has one.
        OffGridError: one is off the grid.
    """
    names = [name for qubit in device.qubits if (name := f"{qubit}.reset.duration") in snapshot]
    if not names:
        what = f"no qubit has one at revision {snapshot.revision}, so the wait between shots is unknown"
        raise InvalidCalibrationError([Problem(where="reset.duration", what=what)])
    return max(to_ticks(snapshot.value(name), what=name) for name in names)


def _compile(device: Device, snapshot: Snapshot, spec: JobSpec, problems: tuple[Problem, ...]) -> Compiled:
    gates = calibrated_gates(device, snapshot)
    found = check_batch(gates, spec.batch)
    if problems or found.problems:
        raise InvalidCircuitError((*problems, *found.problems))
    problems = herald_problems(gates, spec.batch) if spec.herald else ()
    problems += raw_problems(gates, spec.batch) if spec.meas_level is MeasLevel.RAW else ()
    problems += _decoupling_problems(gates, spec) if spec.dd is not None else ()
    batch = heralded(spec.batch) if spec.herald and not problems else spec.batch
    swept = check_sweep(gates, batch, spec.sweep)
    if problems or swept.problems:
        raise InvalidCircuitError((*problems, *swept.problems))
    return Compiled(
        batch=_decoupled(gates, batch.bound(), spec.dd, spec.scheduling),
        scheduling=spec.scheduling,
        sweep=swept.sweep,
        reset=passive_reset(device, snapshot),
        log=(*found.log, *swept.log),
        gates=gates,
    )


def _decoupling_problems(gates: CalibratedGates, spec: JobSpec) -> tuple[Problem, ...]:
    swept = frozenset(name for axis in spec.sweep.axes for name in axis.names)
    return decoupling_problems(gates.device, spec.batch.circuits, spec.batch.operations, swept)


def _decoupled(
    gates: CalibratedGates, batch: CircuitBatch, kind: Decoupling | None, scheduling: Scheduling
) -> CircuitBatch:
    """Fill the idle stretches of each circuit, as it is scheduled at the calibration in force."""
    if kind is None:
        return batch
    x, device = gates.device.gates["x"], gates.device
    pulse = np.array([gate_ticks(device, gates.snapshot, x, (i,)) for i in range(device.num_qubits)], dtype=np.int64)
    decouple = Decouple(kind=kind, pulse=pulse)
    pipeline = Pipeline(gates, batch, scheduling)
    table: dict[Operation, int] = {}
    circuits: list[Circuit] = []
    operations = 0
    for block in blocks(batch.circuits, lines=len(gates.lines)):
        prepared = pipeline.prepare(block)
        numbers = pipeline.numbers({})
        length = pipeline.lengths(prepared, numbers)
        columns = decouple(prepared.columns, prepared.wires, pipeline.schedule(prepared, numbers), length)
        circuits += circuits_of(columns, prepared.circuits, table)
        operations += len(columns)
        if operations > MAX_DECOUPLED:
            what = f"makes more than {MAX_DECOUPLED} operations of these circuits; send them in several jobs"
            raise InvalidCircuitError([Problem(where="dd", what=what)])
    return CircuitBatch(operations=tuple(table), circuits=tuple(circuits))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Circuits as far as they do not depend on numbers."""

    circuits: Sequence[Circuit]
    columns: Columns
    wires: Wires
    rows: Ints
    """Row of each operation in the job's table of gates."""


class Pipeline:
    """The passes in their order, with the tables that a job's programs share."""

    def __init__(self, gates: CalibratedGates, batch: CircuitBatch, scheduling: Scheduling = Scheduling.ALAP) -> None:
        self.gates = gates
        self.batch = batch
        self.scheduling = scheduling
        self.table = GateTable()
        self.envelopes = EnvelopeTable()

    def prepare(self, block: range) -> Prepared:
        """Do what is the same at all points of a sweep."""
        circuits = self.batch.circuits[block.start : block.stop]
        columns = gather(circuits, self.batch.operations, self.gates.device.num_qubits)
        columns = Expand(gates=self.gates.device.gates)(columns)
        return Prepared(circuits=circuits, columns=columns, wires=wires_of(columns), rows=self.table.rows_of(columns))

    def numbers(self, point: Mapping[str, float]) -> Numbers:
        """Give the numbers of all gates met so far. Programs lowered with earlier numbers must be there already."""
        self.envelopes = self.envelopes.with_room()
        return tabulate(self.gates.at(self.table.keys, point), self.envelopes, self.gates.lines)

    def lengths(self, prepared: Prepared, numbers: Numbers) -> Ints:
        """Give the ticks that each operation takes."""
        columns = prepared.columns
        length = numbers.length[prepared.rows]
        delays = np.flatnonzero(mask_of(columns, "delay"))
        length[delays] = nearest_ticks(columns.params[columns.param_start[delays]])
        return length

    def schedule(self, prepared: Prepared, numbers: Numbers) -> Schedule:
        """Say when each operation starts."""
        columns, length = prepared.columns, self.lengths(prepared, numbers)
        match self.scheduling:
            case Scheduling.ALAP:
                return schedule_late(columns, prepared.wires, length)
            case Scheduling.ASAP:
                return schedule_early(columns, length)
            case _:
                assert_never(self.scheduling)

    def frames(self, prepared: Prepared, numbers: Numbers) -> Frames:
        """Sum up virtual Z."""
        return advance_frames(prepared.columns, prepared.wires, prepared.rows, numbers)

    def lower(self, prepared: Prepared, numbers: Numbers) -> Iterator[Program]:
        """Give the program of each circuit."""
        lower = Lower(lines=self.gates.lines, tables=self.envelopes.tables())
        return lower(
            prepared.circuits,
            prepared.columns,
            prepared.rows,
            numbers,
            self.schedule(prepared, numbers),
            self.frames(prepared, numbers),
        )


def _blocks(compiled: Compiled, first: int) -> Iterator[tuple[Program, ...]]:
    pipeline = Pipeline(compiled.gates, compiled.batch, compiled.scheduling)
    points = compiled.sweep.num_points
    circuits = compiled.batch.circuits[first // points :]
    if points == 1:
        point = next(compiled.sweep.points())
        for block in blocks(circuits, lines=len(compiled.gates.lines)):
            prepared = pipeline.prepare(range(block.start + first, block.stop + first))
            yield tuple(pipeline.lower(prepared, pipeline.numbers(point)))
        return
    for i in range(first // points, len(compiled.batch.circuits)):
        prepared = pipeline.prepare(range(i, i + 1))
        skipped = first % points if i == first // points else 0
        for point in itertools.islice(compiled.sweep.points(), skipped, None):
            yield tuple(pipeline.lower(prepared, pipeline.numbers(point)))
