"""Lines that jobs have in common are worked out once, and none is taken for another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.program import Chunk, Program, ProgramTables
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.cluster.driver import ClusterController
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

FILE = load_device("line5")


def bell(angle: float) -> Program:
    circuit = CircuitBuilder(name="bell", num_qubits=5, num_clbits=2)
    circuit.add("rz", 0, params=(0.3,)).add("sx", 0).add("rz", 1, params=(angle,)).add("sx", 1)
    circuit.add("cz", 0, 1).add("rz", 1, params=(math.pi / 2,)).add("sx", 1)
    (program,) = compile_circuits(FILE.device, FILE.snapshot(), pack([circuit.measure(0, 0).measure(1, 1)])).programs()
    return program


def chunk(program: Program, *, reset: int = 1000, shots: int = 10) -> Chunk:
    return Chunk(programs=(program,), first_program=0, first_shot=0, shots=shots, reset=reset)


@pytest.fixture
def controller() -> ClusterController:
    return new()


def new() -> ClusterController:
    controller = open_rack(load_rack())
    assert isinstance(controller, ClusterController)
    return controller


def loads(controller: ClusterController, made: Chunk) -> dict[str, SequencerLoad]:
    controller.check(made)
    assembly = controller.assemble(made)
    assert isinstance(assembly, ClusterAssembly)
    return {load.wired.line: load for load in assembly.sequencers}


def test_only_the_lines_in_which_jobs_differ_are_worked_out_again(controller: ClusterController) -> None:
    first, second = (loads(controller, chunk(bell(angle))) for angle in (0.1, 0.2))
    assert {line for line in first if first[line] is not second[line]} == {"q1.drive"}
    assert first["q1.drive"].program != second["q1.drive"].program


def told(made: dict[str, SequencerLoad]) -> dict[str, tuple[object, ...]]:
    return {line: (load.digest, load.exertion, load.nco_frequency, load.integration) for line, load in made.items()}


def drive_detuned(frequency: NDArray[Any]) -> NDArray[Any]:
    return np.where((frequency > 0) & (frequency < 7e9), frequency + 1e6, frequency)


def with_plays(column: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Chunk], Chunk]:
    def changed(made: Chunk) -> Chunk:
        (program,) = made.programs
        before = getattr(program.plays, column)
        on_baseband = program.plays.frequency == 0  # where there is no phase
        after = np.where(on_baseband, before, change(before)) if column == "phase" else change(before)
        plays = replace(program.plays, **{column: after})
        return replace(made, programs=(replace(program, plays=plays),))

    return changed


def with_other_samples(made: Chunk) -> Chunk:
    (program,) = made.programs
    envelopes = tuple(
        replace(envelope, samples=envelope.samples * 0.5, digest=envelope.digest + "half")
        for envelope in program.tables.envelopes
    )
    return replace(made, programs=(replace(program, tables=ProgramTables(envelopes=envelopes)),))


@pytest.mark.parametrize(
    "change",
    [
        with_plays("amplitude", lambda amplitude: amplitude * 0.9),
        with_plays("phase", lambda phase: np.where(phase != 0, phase + 0.1, phase)),
        with_plays("frequency", drive_detuned),
        with_plays("start", lambda start: start + 4),
        with_other_samples,
        lambda made: replace(made, reset=2000),
        lambda made: replace(made, shots=20),
        lambda made: replace(made, programs=(replace(made.programs[0], duration=made.programs[0].duration + 40),)),
    ],
    ids=["amplitude", "phase", "frequency", "start", "samples", "reset", "shots", "duration"],
)
def test_what_changed_becomes_what_it_would_in_a_new_controller(
    controller: ClusterController, change: Callable[[Chunk], Chunk]
) -> None:
    made = chunk(bell(0.1))
    before = told(loads(controller, made))
    found, expected = loads(controller, change(made)), loads(new(), change(made))
    assert told(found) == told(expected)
    assert told(found) != before
    assert controller.capacity.usage(change(made)) == new().capacity.usage(change(made))


@pytest.mark.parametrize(("more", "remembered"), [(0, True), (1, False)])
def test_lines_of_jobs_with_many_samples_are_not_remembered(
    controller: ClusterController, more: int, remembered: bool
) -> None:
    program = bell(0.1)
    envelopes = program.tables.envelopes
    rest = 16_384 - sum(len(envelope.samples) for envelope in envelopes) + more
    long = replace(envelopes[0], samples=np.zeros(rest, dtype=np.complex128), digest="long")
    made = chunk(replace(program, tables=ProgramTables(envelopes=(*envelopes, long))))
    again = replace(made, programs=(replace(made.programs[0]),))
    first, second = loads(controller, made), loads(controller, again)
    assert [first[line] is second[line] for line in first] == [remembered] * len(first)
    assert told(first) == told(second)
