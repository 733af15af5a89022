"""What a job would take, without running it: every program's length and odds, and the first chunk's memories."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from qubitd.core.circuit import Circuit, CircuitBatch, Operation, offsets
from qubitd.core.device import Device
from qubitd.core.program import Chunk
from qubitd.core.properties import target_properties
from qubitd.core.snapshot import Snapshot
from qubitd.core.ticks import to_seconds
from qubitd.drivers.controller import Controller
from qubitd.server.toolchain import Compiled
from qubitd.wire.plans import JobPlan, ProgramPlan

Errors = Mapping[tuple[str, tuple[int, ...]], float]
"""Error of each gate on its operands, where the Target states one."""


def plan_of(compiled: Compiled, device: Device, controller: Controller, *, queue_length: int) -> JobPlan:
    """Go through all chunks of a job and say what they take. The job cannot be run after that."""
    odds = success_by_circuit(compiled.spec.batch, errors_of(device, compiled.snapshot))
    points = compiled.spec.sweep.num_points
    chunks = list(compiled.chunks)
    return JobPlan(
        programs=tuple(_programs(chunks, odds, points)),
        memories=tuple(controller.capacity.usage(chunks[0])),
        upload_bytes=controller.assemble(chunks[0]).upload_bytes,
        instrument_seconds=sum(to_seconds(_ticks(chunk)) for chunk in chunks),
        queue_length=queue_length,
        revision=compiled.snapshot.revision,
        log=compiled.log,
    )


def errors_of(device: Device, snapshot: Snapshot) -> Errors:
    """Give what the Target states of every gate."""
    operations = target_properties(device, snapshot).operations
    return {(o.name, o.operands): o.error for o in operations if o.error is not None}


def success_by_circuit(batch: CircuitBatch, errors: Errors) -> list[float]:
    """Give for each circuit the probability, by the Target's errors, that no operation fails."""
    return [math.exp(_log_success(circuit, batch.operations, errors)) for circuit in batch.circuits]


def _log_success(circuit: Circuit, operations: Sequence[Operation], errors: Errors) -> float:
    starts = offsets(circuit, operations).qubits[:-1]
    total = 0.0
    for opcode in np.unique(circuit.opcodes).tolist():
        operation = operations[opcode]
        first = starts[circuit.opcodes == opcode]
        operands = circuit.qubits[first[:, None] + np.arange(operation.num_qubits)]
        for row, times in zip(*np.unique(operands, axis=0, return_counts=True), strict=True):
            error = errors.get((operation.name, tuple(row.tolist())), 0.0)
            total += times * (math.log1p(-error) if error < 1 else -math.inf)
    return total


def _programs(chunks: Sequence[Chunk], odds: Sequence[float], points: int) -> Iterator[ProgramPlan]:
    for chunk in chunks:
        if chunk.first_shot:
            continue
        for index, program in enumerate(chunk.programs, start=chunk.first_program):
            yield ProgramPlan(
                name=program.name,
                duration=to_seconds(program.duration),
                num_plays=len(program.plays.start),
                success=odds[index // points],
            )


def _ticks(chunk: Chunk) -> int:
    return chunk.shots * sum(program.duration + chunk.reset for program in chunk.programs)
