"""`qubitd explain`: what a circuit file would take, from the daemon that would run it; nothing is queued."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from qubitd.cli.chosen_daemon import chosen_backend, note
from qubitd.cli.circuit_file import add_circuit, add_lowering, native_circuit
from qubitd.cli.remote import moment
from qubitd.client import JobPlan
from qubitd.core.errors import InvalidInputError, Problem
from qubitd.core.plan import LoopPlan, StagePlan
from qubitd.provider.qasm import read_circuit

_MOST_PROGRAMS = 10
"""Lines about programs, for people."""
_MOST_OUTCOMES = 8
_MOST_POINTS = 1_000_000
_MOST_LOOPS = 8
"""Of a sequencer that are told."""
_ROUNDED_UP = 0.9995
"""Part of a unit that has three digits of it, and four of the next smaller."""
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_circuit(parser)
    add_lowering(parser)
    parser.add_argument("--shots", type=int, default=1024, metavar="N", help="times it would be run (%(default)s)")
    parser.add_argument(
        "--sweep",
        type=_axis,
        action="append",
        default=[],
        metavar="NAME=FIRST:LAST:POINTS",
        help="values of a parameter of the calibration on a line; each is an axis of a grid (none)",
    )
    parser.add_argument(
        "--expected",
        action="store_true",
        help="also what the calibration predicts that each circuit gives (a simulation)",
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Ask for the plan and print it."""
    circuit, sweep = read_circuit(arguments.file), _grid(arguments.sweep)
    with chosen_backend(arguments) as backend:
        native = native_circuit(
            circuit, backend, arguments.file, measures_all=arguments.measure_all, seed=arguments.seed
        )
        plan = backend.explain(
            native,
            shots=arguments.shots,
            scheduling=arguments.scheduling,
            dd=arguments.dd,
            max_iterations=arguments.max_iterations,
            sweep=sweep or None,
            expected=arguments.expected,
        )
        name = backend.name
    for line in plan.log:
        note(line)
    if arguments.json:
        print(json.dumps(asdict(plan)))
    else:
        print("\n".join(plan_lines(plan, name=name, shots=arguments.shots)))
    return 0


def plan_lines(plan: JobPlan, *, name: str, shots: int) -> Iterator[str]:
    """Write a plan for people."""
    count = len(plan.programs)
    yield f"{name}, revision {plan.revision}: {count} {'program' if count == 1 else 'programs'} of {shots} shots"
    alike = [(program, len([*same])) for program, same in groupby(plan.programs)][:_MOST_PROGRAMS]
    for program, times in alike:
        which = program.name if times == 1 else f"{program.name}, {times} times"
        yield (
            f"{which}: {duration(program.duration)} in each shot, {program.num_plays} pulses; "
            f"fidelity {program.success:.4f} by the Target's errors"
        )
    for program, distribution in zip(plan.programs[:_MOST_PROGRAMS], plan.expected, strict=False):
        yield f"{program.name}: expected {', '.join(_likeliest(distribution))}"
    if untold := count - sum(times for _, times in alike):
        yield f"and {untold} more"
    if plan.stages:
        yield f"stages: {', '.join(map(_stage, plan.stages))}"
    yield f"upload: {plan.upload_bytes} bytes for the first chunk"
    start = f"; expected to start at {moment(plan.expected_start_ns)}" if plan.expected_start_ns else ""
    yield f"queue: {plan.queue_length} {'job' if plan.queue_length == 1 else 'jobs'} would start before it{start}"
    if plan.loops:
        yield "programs of the first chunk as loops on the controller:"
        yield from map(_loops, plan.loops)
    yield "memory of the first chunk:"
    width = max((len(usage.sequencer) for usage in plan.memories), default=0)
    for usage in plan.memories:
        part = usage.used / usage.limit if usage.limit else 0.0
        yield f"  {usage.sequencer:<{width}}  {usage.memory:<19} {usage.used:>8} of {usage.limit:>8}  {part:>6.1%}"


def _likeliest(distribution: Mapping[str, float]) -> Iterator[str]:
    """Say how likely the outcomes are, the likeliest first."""
    ordered = sorted(distribution.items(), key=lambda one: (-one[1], one[0]))
    for bits, probability in ordered[:_MOST_OUTCOMES]:
        yield f"{bits} {probability:.2%}"
    if len(ordered) > _MOST_OUTCOMES:
        yield f"others {sum(probability for _, probability in ordered[_MOST_OUTCOMES:]):.2%}"


def _axis(text: str) -> tuple[str, NDArray[np.float64]]:
    """Read an axis of a sweep."""
    name, _, line = text.partition("=")
    try:
        first, last, points = line.split(":")
        begin, end, count = float(first), float(last), int(points)
    except ValueError:
        what = f"{text!r} is no sweep; write NAME=FIRST:LAST:POINTS, such as q0.x.amplitude=0:0.4:101"
        raise argparse.ArgumentTypeError(what) from None
    if not (math.isfinite(begin) and math.isfinite(end) and 1 <= count <= _MOST_POINTS):
        what = f"{text!r} does not go from one number to another in 1 to {_MOST_POINTS} points"
        raise argparse.ArgumentTypeError(what)
    return name, np.linspace(begin, end, count)


def _grid(axes: Sequence[tuple[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    """Put the axes of a sweep together, each of which has a name of its own."""
    found = dict(axes)
    if len(found) == len(axes):
        return found
    times = Counter(name for name, _ in axes)
    several = ", ".join(name for name, count in times.items() if count > 1)
    raise InvalidInputError(
        [Problem(where="--sweep", what=f"gives values for {several} more than once; leave one out")]
    )


def _loops(plan: LoopPlan) -> str:
    parts = [" x ".join(map(str, turns)) for turns in plan.nests[:_MOST_LOOPS]]
    if untold := len(plan.nests) - len(parts):
        parts.append(f"{untold} more loops")
    if plan.written_out:
        parts.append(f"{plan.written_out} written out, since {plan.reason}")
    return f"  {plan.sequencer}: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """Write a time with three digits in the unit that fits."""
    scale, unit = next((pair for pair in _UNITS if abs(seconds) >= _ROUNDED_UP * pair[0]), _UNITS[-1])
    return f"{seconds / scale:.3g} {unit}"


def _stage(stage: StagePlan) -> str:
    return f"{stage.name} {duration(stage.seconds)}"
