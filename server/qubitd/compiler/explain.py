"""What a job would take, without running it: time, pulses, memory, and the chance that nothing goes wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from qubitd.compiler.block import Block
from qubitd.compiler.compile import Compiled
from qubitd.compiler.gate_table import NOT_GATES, GateKey
from qubitd.compiler.survey import Survey
from qubitd.core.capacity import Capacity, Usage
from qubitd.core.plan import ProgramPlan
from qubitd.core.program import Program
from qubitd.core.properties import gate_properties
from qubitd.core.ticks import to_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A job as it would be run."""

    programs: tuple[ProgramPlan, ...]
    """In the order circuit, binding, grid point."""
    memories: tuple[Usage, ...]
    """What the first chunk takes."""
    survey: Survey
    """What was found on the way through all programs."""


def explain(
    compiled: Compiled, programs: Iterable[Program], *, look: Callable[[Iterable[Block]], Survey], capacity: Capacity
) -> Explanation:
    """Say what a job would take.

    Args:
        compiled: the job.
        programs: all that it makes, in order.
        look: the `survey` that the job has to pass; it raises what it refuses.
        capacity: of the controller.
    """
    plans: list[ProgramPlan] = []
    found = look((program,) for program in _noted(compiled, programs, plans))
    return Explanation(programs=tuple(plans), memories=tuple(capacity.usage(found.first)), survey=found)


def _noted(compiled: Compiled, programs: Iterable[Program], plans: list[ProgramPlan]) -> Iterator[Program]:
    """Note what each program takes as it goes past."""
    for program, success in zip(programs, _successes(compiled), strict=True):
        plan = ProgramPlan(
            name=program.name,
            duration=to_seconds(program.duration),
            num_plays=len(program.plays.start),
            success=success,
        )
        plans.append(plan)
        yield program


def _successes(compiled: Compiled) -> Iterator[float]:
    """Give the chance of each program: all bindings and points of a circuit have the same."""
    errors = {
        GateKey(name=row.name, operands=row.operands): row.error
        for row in gate_properties(compiled.gates.device, compiled.gates.snapshot)
        if row.error is not None and row.name not in NOT_GATES
    }
    for index, circuit in enumerate(compiled.batch.circuits):
        times = circuit.num_bindings * compiled.sweep.num_points
        yield from itertools.repeat(_success(compiled, index, errors), times)


def _success(compiled: Compiled, index: int, errors: dict[GateKey, float]) -> float:
    kinds = compiled.gathered.of(range(index, index + 1)).kinds
    times = np.bincount(kinds.of, minlength=len(kinds.gates))
    good = np.array([1 - errors.get(gate, 0.0) for gate in kinds.gates])
    return float(np.prod(good**times))
