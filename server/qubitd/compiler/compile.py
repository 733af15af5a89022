"""Circuits to programs: checks everything first, then makes the programs one after another in bounded memory.

Programs are in the order circuit, binding, grid point. Programs made twice are equal, so a caller may start again from
any of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from qubitd.compiler.active_reset import actively_begun
from qubitd.compiler.batch_columns import BatchColumns
from qubitd.compiler.block import Block
from qubitd.compiler.calibrated import CalibratedGates, calibrated_gates
from qubitd.compiler.cases import program_blocks
from qubitd.compiler.check import check_batch, check_shots, circuit_name
from qubitd.compiler.columns import blocks
from qubitd.compiler.decouple import Decouple, circuits_of, decoupling_problems
from qubitd.compiler.dynamic_circuits import DynamicCircuits, dynamic_circuits, feed_problems
from qubitd.compiler.dynamic_programs import dynamic_problems
from qubitd.compiler.flatten import Flattened, flatten_batch
from qubitd.compiler.herald import herald_problems, heralded
from qubitd.compiler.own_envelopes import own_envelopes
from qubitd.compiler.pipeline import Pipeline
from qubitd.compiler.raw import raw_problems
from qubitd.compiler.swept import check_sweep
from qubitd.core.circuit import Circuit, CircuitBatch, Operation
from qubitd.core.device import Device
from qubitd.core.errors import InvalidCalibrationError, InvalidCircuitError, Problem
from qubitd.core.feedforward import FeedForward
from qubitd.core.job import Decoupling, InitialReset, JobSpec, MeasLevel, Scheduling
from qubitd.core.program import Program
from qubitd.core.properties import gate_ticks
from qubitd.core.register_grid import EXACT, RegisterGrid
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep
from qubitd.core.ticks import NEAREST, to_seconds, to_ticks

MAX_DECOUPLED = 4_000_000
"""Operations of a job with its decoupling pulses: they are held until it ends."""
_NO_TRACE = {
    InitialReset.NONE: (
        "averages shots that are not alike if each begins where the last one ended; ask for a reset before each"
    ),
    InitialReset.ACTIVE: (
        "takes one measurement of each qubit, and an active initial reset measures them before; "
        "ask for initial_reset 'passive'"
    ),
}
"""Why there is no trace of shots that begin so."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compiled:
    """A checked job, whose programs are made when they are asked for."""

    gathered: BatchColumns = field(repr=False)
    """The circuits as they are played: with heralds, if the job asks for them."""
    scheduling: Scheduling
    sweep: Sweep
    """With the values that are played."""
    reset: int
    """Ticks of waiting before each program: the longest passive reset of any qubit, unless the reset is active, or the
    delay between shots that was asked for; 0 without any reset."""
    log: tuple[str, ...]
    """What the job's owner should know, such as rounded delays."""
    gates: CalibratedGates = field(repr=False)
    """The calibration that it is pinned to."""
    dynamic: DynamicCircuits = field(repr=False)
    """Which of its circuits look at outcomes while they run."""

    @property
    def batch(self) -> CircuitBatch:
        """The circuits as they are played."""
        return self.gathered.batch

    @property
    def num_programs(self) -> int:
        """Circuits x bindings x grid points."""
        return self.batch.num_bindings * self.sweep.num_points

    def programs(self, *, first: int = 0) -> Iterator[Program]:
        """Make the programs in order, from `first` on."""
        return itertools.chain.from_iterable(self.blocks(first=first))

    def blocks(self, *, first: int = 0) -> Iterator[Block]:
        """The same, as many at a time as are made together in bounded memory."""
        pipeline = Pipeline(self.gates, self.gathered, self.scheduling)
        return program_blocks(pipeline, self.sweep, self.dynamic, first=first)


def compile_circuits(
    device: Device,
    snapshot: Snapshot,
    batch: CircuitBatch,
    sweep: Sweep | None = None,
    *,
    feedforward: FeedForward | None = None,
    grid: RegisterGrid = EXACT,
) -> Compiled:
    """Check circuits against a device and a calibration; their programs are made later.

    Args:
        device: the chip.
        snapshot: the calibration.
        batch: the circuits.
        sweep: over parameters of the calibration.
        feedforward: what the controller can do with outcomes; None for nothing.
        grid: of the controller's registers.

    Raises:
        InvalidCircuitError: with every problem of the batch, or else of the sweep.
        InvalidCalibrationError: no qubit has a `reset.duration`.
    """
    spec = JobSpec(batch=batch, sweep=sweep or Sweep(), shots=1)
    return _compile(device, snapshot, spec, (), feedforward, grid)


def compile_job(
    device: Device,
    snapshot: Snapshot,
    spec: JobSpec,
    *,
    feedforward: FeedForward | None = None,
    grid: RegisterGrid = EXACT,
) -> Compiled:
    """Check all that a job asks for; as `compile_circuits`, and its number of shots too."""
    return _compile(device, snapshot, spec, check_shots(device, spec.shots), feedforward, grid)


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


def _compile(
    device: Device,
    snapshot: Snapshot,
    spec: JobSpec,
    problems: tuple[Problem, ...],
    feedforward: FeedForward | None,
    grid: RegisterGrid,
) -> Compiled:
    gates = _gates(device, snapshot, spec)
    gathered = BatchColumns(spec.batch, device.num_qubits)
    found = check_batch(gates, gathered)
    problems += found.problems
    culprits = {problem.circuit for problem in problems}
    if None in culprits:
        raise InvalidCircuitError(problems)
    options = () if problems else _option_problems(gates, spec)
    batch = heralded(spec.batch) if spec.herald and not (problems or options) else spec.batch
    is_active = spec.initial_reset is InitialReset.ACTIVE
    batch = actively_begun(batch) if is_active and not (problems or options) else batch
    front = () if batch is spec.batch else _in_front(batch, spec.batch)
    rounds, initial = spec.reset_rounds, spec.initial_reset
    flat = flatten_batch(batch, rounds=rounds, initial=initial, but=culprits, front=front, gates=device.gates)
    problems += (*options, *flat.problems, *feed_problems(gates, batch, flat, feedforward))
    if problems:
        raise InvalidCircuitError(problems)
    dynamic = dynamic_circuits(flat, feedforward)
    if flat.batch is not gathered.batch:
        gathered = BatchColumns(flat.batch, device.num_qubits)
    pipeline = Pipeline(gates, gathered, spec.scheduling)
    swept = check_sweep(pipeline, spec.sweep, grid)
    problems = swept.problems + dynamic_problems(pipeline, dynamic)
    if problems:
        raise InvalidCircuitError(problems)
    waits = spec.initial_reset in (InitialReset.AUTO, InitialReset.PASSIVE)
    wait = gates.gate_memory.recall(passive_reset, 1, lambda: passive_reset(device, snapshot)) if waits else 0
    rep_delay = to_ticks(spec.rep_delay, what="rep_delay", tolerance=NEAREST)
    return Compiled(
        gathered=_decoupled(gates, gathered, spec.dd, spec.scheduling),
        scheduling=spec.scheduling,
        sweep=swept.sweep,
        reset=max(rep_delay, wait),
        log=(*found.log, *swept.log, *_unused_delay(rep_delay, wait)),
        gates=gates,
        dynamic=dynamic,
    )


def _in_front(begun: CircuitBatch, sent: CircuitBatch) -> list[int]:
    """Count the operations that were put in front of each circuit."""
    longer = np.diff(begun.columns.bounds.opcodes) - np.diff(sent.columns.bounds.opcodes)
    found: list[int] = longer.tolist()
    return found


def _gates(device: Device, snapshot: Snapshot, spec: JobSpec) -> CalibratedGates:
    """Give the gates as the job plays them: those of everybody, unless it brings envelopes of its own."""
    if not spec.envelopes:
        return calibrated_gates(device, snapshot)
    return CalibratedGates(device, snapshot, own_envelopes(device, spec.envelopes))


def _unused_delay(rep_delay: int, reset: int) -> tuple[str, ...]:
    if not 0 < rep_delay < reset:
        return ()
    wait = f"the passive reset of {to_seconds(reset):g} s, for which every shot waits"
    return (f"rep_delay: {to_seconds(rep_delay):g} s is within {wait}; an active one does without that wait",)


def _decoupling_problems(gates: CalibratedGates, spec: JobSpec, flat: Flattened) -> tuple[Problem, ...]:
    swept = frozenset(spec.sweep.names)
    what = "looks at outcomes while it runs, which goes without dynamical decoupling; leave dd out"
    dynamic = (Problem(where=circuit_name(i, spec.batch.circuits[i]), what=what, circuit=i) for i in flat.guards)
    found = (*decoupling_problems(gates.device, swept), *dynamic)
    if spec.initial_reset is not InitialReset.ACTIVE:
        return found
    what = "fixes pulses before it is known how an active initial reset goes; ask for a passive one, or leave dd out"
    return (*found, Problem(where="dd", what=what))


def _decoupled(
    gates: CalibratedGates, gathered: BatchColumns, kind: Decoupling | None, scheduling: Scheduling
) -> BatchColumns:
    """Fill the idle stretches of each binding of each circuit, as it is scheduled at the calibration in force."""
    if kind is None:
        return gathered
    x, device = gates.device.gates["x"], gates.device
    batch = gathered.batch.bound()
    pulse = np.array([gate_ticks(device, gates.snapshot, x, (i,)) for i in range(device.num_qubits)], dtype=np.int64)
    decouple = Decouple(kind=kind, pulse=pulse)
    pipeline = Pipeline(gates, BatchColumns(batch, device.num_qubits), scheduling)
    table: dict[Operation, int] = {}
    circuits: list[Circuit] = []
    operations = 0
    for block in blocks(batch.columns, lines=len(gates.lines)):
        prepared = pipeline.prepare(block)
        numbers = pipeline.numbers(prepared, {})
        length = pipeline.lengths(prepared, numbers)
        columns = decouple(prepared.columns, prepared.wires(), pipeline.schedule(prepared, numbers), length)
        circuits += circuits_of(columns, batch.circuits[block.start : block.stop], table)
        operations += len(columns)
        if operations > MAX_DECOUPLED:
            what = f"makes more than {MAX_DECOUPLED} operations of these circuits; send them in several jobs"
            raise InvalidCircuitError([Problem(where="dd", what=what)])
    return BatchColumns(CircuitBatch(operations=tuple(table), circuits=tuple(circuits)), device.num_qubits)


def _option_problems(gates: CalibratedGates, spec: JobSpec) -> tuple[Problem, ...]:
    found = herald_problems(gates, spec.batch) if spec.herald else ()
    if spec.meas_level is MeasLevel.RAW and spec.initial_reset in _NO_TRACE:
        found += (Problem(where="meas_level 0", what=_NO_TRACE[spec.initial_reset]),)
    if spec.meas_level is not MeasLevel.RAW and spec.dd is None:
        return found
    rounds, initial = spec.reset_rounds, spec.initial_reset
    flat = flatten_batch(spec.batch, rounds=rounds, initial=initial, gates=gates.device.gates)
    if spec.meas_level is MeasLevel.RAW:
        found += raw_problems(gates, spec.batch, flat)
    return found if spec.dd is None else found + _decoupling_problems(gates, spec, flat)
