"""What a job would take, without running it: the compiler's account of it, and what the first chunk would upload."""

from __future__ import annotations

import itertools

from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import Compiled
from qubitd.compiler.explain import explain
from qubitd.drivers.controller import Controller
from qubitd.wire.plans import JobPlan, ProgramPlan


def plan_of(
    compiled: Compiled, controller: Controller, *, pack: Pack, shots: int, queue_length: int, revision: int
) -> JobPlan:
    """Say what a compiled job would take.

    Raises:
        ProgramTooLargeError: one shot of one program does not fit the controller.
        DriverError: the controller has no way to play it.
    """
    found = explain(compiled, shots=shots, pack=pack)
    first = itertools.islice(pack(compiled.programs(), shots=shots), 1)
    return JobPlan(
        programs=tuple(
            ProgramPlan(name=p.name, duration=p.duration, num_plays=p.num_plays, success=p.success)
            for p in found.programs
        ),
        memories=found.memories,
        upload_bytes=sum(controller.assemble(chunk).upload_bytes for chunk in first),
        instrument_seconds=found.instrument_seconds,
        queue_length=queue_length,
        revision=revision,
        log=compiled.log,
    )
