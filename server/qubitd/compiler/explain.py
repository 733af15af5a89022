"""What a job would take, without running it: time, pulses, memory, and the chance that nothing goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qubitd.compiler.chunk import Pack
from qubitd.compiler.columns import gather
from qubitd.compiler.compile import Compiled
from qubitd.compiler.gate_table import GateKey, distinct_gates, gate_operations
from qubitd.core.capacity import Usage
from qubitd.core.circuit import Circuit
from qubitd.core.properties import target_properties
from qubitd.core.ticks import to_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramPlan:
    """One program of a job."""

    name: str
    duration: float
    """Seconds, without the passive reset."""
    num_plays: int
    num_acquisitions: int
    success: float
    """Probability, by the Target's errors, that no operation fails; one without an error counts as perfect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A job as it would be run."""

    programs: tuple[ProgramPlan, ...]
    """In the order circuit, binding, grid point."""
    memories: tuple[Usage, ...]
    """What the first chunk takes."""
    chunk_shots: int
    """Shots of the first chunk."""
    chunk_programs: int
    """Programs of the first chunk."""
    instrument_seconds: float
    """Time that all shots take with their passive resets."""


def explain(compiled: Compiled, *, shots: int, pack: Pack) -> Explanation:
    """Say what a job would take.

    Args:
        compiled: the job.
        shots: of each program.
        pack: how it would be cut into chunks.

    Raises:
        ProgramTooLargeError: one shot of the first program does not fit the controller.
    """
    success = _successes(compiled)
    points = compiled.sweep.num_points
    plans: list[ProgramPlan] = []
    ticks = 0
    for i, program in enumerate(compiled.programs()):
        ticks += program.duration + compiled.reset
        plans.append(
            ProgramPlan(
                name=program.name,
                duration=to_seconds(program.duration),
                num_plays=len(program.plays.start),
                num_acquisitions=len(program.acquisitions.start),
                success=success[i // points],
            )
        )
    chunk = next(pack(compiled.programs(), shots=shots))
    return Explanation(
        programs=tuple(plans),
        memories=tuple(pack.capacity.usage(chunk)),
        chunk_shots=chunk.shots,
        chunk_programs=len(chunk.programs),
        instrument_seconds=to_seconds(ticks * shots),
    )


def _successes(compiled: Compiled) -> Sequence[float]:
    """Give the chance of each circuit."""
    properties = target_properties(compiled.gates.device, compiled.gates.snapshot)
    errors = {
        GateKey(name=row.name, operands=row.operands): row.error
        for row in properties.operations
        if row.error is not None
    }
    return [_success(compiled, circuit, errors) for circuit in compiled.batch.circuits]


def _success(compiled: Compiled, circuit: Circuit, errors: dict[GateKey, float]) -> float:
    columns = gather([circuit], compiled.batch.operations, compiled.gates.device.num_qubits)
    kinds = distinct_gates(columns, gate_operations(columns))
    times = np.bincount(kinds.of, minlength=len(kinds.gates))
    good = np.array([1 - errors.get(gate, 0.0) for gate in kinds.gates])
    return float(np.prod(good**times))
