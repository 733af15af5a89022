"""Circuits to programs: checks everything first, then makes the programs one after another in bounded memory.

Programs are in the order circuit, binding, grid point. Programs made twice are equal, so a caller may start again from
any of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from qubitd.compiler.calibrated import CalibratedGates, calibrated_gates
from qubitd.compiler.cases import program_blocks
from qubitd.compiler.check import check_batch, check_shots
from qubitd.compiler.columns import blocks
from qubitd.compiler.decouple import Decouple, circuits_of, decoupling_problems
from qubitd.compiler.herald import herald_problems, heralded
from qubitd.compiler.pipeline import Pipeline
from qubitd.compiler.raw import raw_problems
from qubitd.compiler.swept import check_sweep
from qubitd.core.circuit import Circuit, CircuitBatch, Operation
from qubitd.core.device import Device
from qubitd.core.errors import InvalidCalibrationError, InvalidCircuitError, Problem
from qubitd.core.job import Decoupling, JobSpec, MeasLevel, Scheduling
from qubitd.core.program import Program
from qubitd.core.properties import gate_ticks
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep
from qubitd.core.ticks import to_ticks

MAX_DECOUPLED = 4_000_000
"""Operations of a job with its decoupling pulses: they are held until it ends."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compiled:
    """A checked job, whose programs are made when they are asked for."""

    batch: CircuitBatch
    """As it is played: with heralds, if the job asks for them."""
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
        return self.batch.num_bindings * self.sweep.num_points

    def programs(self, *, first: int = 0) -> Iterator[Program]:
        """Make the programs in order, from `first` on."""
        return itertools.chain.from_iterable(self.blocks(first=first))

    def blocks(self, *, first: int = 0) -> Iterator[tuple[Program, ...]]:
        """The same, as many at a time as are made together in bounded memory."""
        return program_blocks(Pipeline(self.gates, self.batch, self.scheduling), self.sweep, first=first)


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
        batch=_decoupled(gates, batch, spec.dd, spec.scheduling),
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
    """Fill the idle stretches of each binding of each circuit, as it is scheduled at the calibration in force."""
    if kind is None:
        return batch
    batch = batch.bound()
    x, device = gates.device.gates["x"], gates.device
    pulse = np.array([gate_ticks(device, gates.snapshot, x, (i,)) for i in range(device.num_qubits)], dtype=np.int64)
    decouple = Decouple(kind=kind, pulse=pulse)
    pipeline = Pipeline(gates, batch, scheduling)
    table: dict[Operation, int] = {}
    circuits: list[Circuit] = []
    operations = 0
    for block in blocks(batch.circuits, lines=len(gates.lines)):
        prepared = pipeline.prepare(block)
        numbers = pipeline.numbers(prepared, {})
        length = pipeline.lengths(prepared, numbers)
        columns = decouple(prepared.columns, prepared.wires, pipeline.schedule(prepared, numbers), length)
        circuits += circuits_of(columns, prepared.circuits, table)
        operations += len(columns)
        if operations > MAX_DECOUPLED:
            what = f"makes more than {MAX_DECOUPLED} operations of these circuits; send them in several jobs"
            raise InvalidCircuitError([Problem(where="dd", what=what)])
    return CircuitBatch(operations=tuple(table), circuits=tuple(circuits))
