"""Kernels become weights: counted as written, set only where they change, refused where no mean can be made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qubitd.core.program import BOXCAR, Chunk
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.errors import UnplayableProgramError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

CONTROLLER = open_rack(load_rack())
RISING, FALLING = np.linspace(0.25, 1, 400), np.linspace(1, 0.25, 400)
ENVELOPES = [RISING, FALLING, np.linspace(-1, 1, 400), 1.5 * RISING, RISING * 1j, np.ones(200)]


def chunk(make: ProgramBuilder, *kernels: int) -> Chunk:
    """One acquisition of 400 ns for each kernel."""
    acquisitions = [("q0.readout", 1000 * i, 400, 7.45e9, 0.0) for i in range(len(kernels))]
    program = make(
        lines=("q0.readout",),
        envelopes=[envelope.astype(np.complex128) for envelope in ENVELOPES],
        acquisitions=acquisitions,
        duration=1000 * len(kernels),
    )
    rows = replace(program.acquisitions, kernel=np.array(kernels, dtype=np.int32))
    return Chunk(programs=(replace(program, acquisitions=rows),), first_program=0, first_shot=0, shots=5, reset=0)


def load_of(chunk: Chunk) -> SequencerLoad:
    assembly = CONTROLLER.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    (load,) = assembly.sequencers
    return load


def acquisitions_of(load: SequencerLoad) -> list[str]:
    """What is said about weights and acquisitions, in order."""
    lines = load.program.decode().splitlines()
    return [line.rpartition(",")[0] for line in lines if line.startswith("acquire") or line.endswith(",R3")]


def test_one_weight_is_chosen_once(make_program: ProgramBuilder) -> None:
    load = load_of(chunk(make_program, 0, BOXCAR, 0))
    assert acquisitions_of(load) == [
        "move 0",
        "acquire_weighed 0,R1,R3,R3",
        "acquire 0,R1",
        "acquire_weighed 0,R1,R3,R3",
    ]
    assert [weight.samples.tolist() for weight in load.weights] == [RISING.astype("<f4").tolist()]
    assert load.integration == 400


def test_several_weights_are_chosen_anew_where_they_change(make_program: ProgramBuilder) -> None:
    load = load_of(chunk(make_program, 1, 1, BOXCAR, 0, 0, 1))
    weighed = "acquire_weighed 0,R1,R3,R3"
    assert acquisitions_of(load) == [
        *("move 1", weighed, weighed, "acquire 0,R1"),
        *("move 0", weighed, weighed, "move 1", weighed),
    ]
    assert len(load.weights) == 2


@pytest.mark.parametrize("kernels", [(BOXCAR,), (0,), (0, 0), (0, 1, 0), (1, BOXCAR, 1)])
def test_instructions_of_weights_are_counted_as_written(make_program: ProgramBuilder, kernels: tuple[int, ...]) -> None:
    asked = chunk(make_program, *kernels)
    (usage,) = (usage for usage in CONTROLLER.capacity.usage(asked) if usage.memory == "instructions")
    assert usage.used == len(load_of(asked).program.decode().splitlines())


def test_a_window_that_is_only_weighed_sets_no_length(make_program: ProgramBuilder) -> None:
    assert load_of(chunk(make_program, 0)).integration == 0
    assert load_of(chunk(make_program, BOXCAR)).weights == ()


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (2, "weights that add up to nothing, are complex, or exceed 1"),
        (3, "weights that add up to nothing, are complex, or exceed 1"),
        (4, "weights that add up to nothing, are complex, or exceed 1"),
        (5, "weights that are not as long as the window"),
    ],
)
def test_weights_of_which_no_mean_can_be_made_are_refused(
    make_program: ProgramBuilder, kernel: int, words: str
) -> None:
    with pytest.raises(UnplayableProgramError, match=words):
        load_of(chunk(make_program, 0, kernel))
