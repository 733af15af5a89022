"""Kernels become weights: counted as written, set only where they change, refused where no mean can be made of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qubitd.core.program import BOXCAR, Chunk
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.cluster.modules import MAX_WEIGHT_SAMPLES, MAX_WEIGHTS
from qubitd.drivers.errors import CapacityError, UnplayableProgramError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

CONTROLLER = open_rack(load_rack())
RISING, FALLING = np.linspace(0.25, 1, 400), np.linspace(1, 0.25, 400)
ENVELOPES = [RISING, FALLING, np.linspace(-1, 1, 400), 1.5 * RISING, RISING * 1j, np.ones(200)]


def chunk(make: ProgramBuilder, *kernels: int, lengths: Sequence[int] = ()) -> Chunk:
    """One acquisition for each kernel, of 400 ns unless told otherwise."""
    of_each = lengths or [400] * len(kernels)
    acquisitions = [("q0.readout", 20_000 * i, length, 7.45e9, 0.0) for i, length in enumerate(of_each)]
    program = make(
        lines=("q0.readout",),
        envelopes=[envelope.astype(np.complex128) for envelope in ENVELOPES],
        acquisitions=acquisitions,
        duration=20_000 * len(kernels),
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


def test_the_longest_window_needs_no_weights_and_shorter_ones_are_weighed_with_ones(
    make_program: ProgramBuilder,
) -> None:
    asked = chunk(make_program, BOXCAR, BOXCAR, 0, BOXCAR, lengths=[200, 480, 400, 200])
    assembly = CONTROLLER.assemble(asked)
    assert isinstance(assembly, ClusterAssembly)
    load = load_of(asked)
    weighed = "acquire_weighed 0,R1,R3,R3"
    assert acquisitions_of(load) == ["move 0", weighed, "acquire 0,R1", "move 1", weighed, "move 0", weighed]
    assert load.integration == 480
    assert [weight.samples.tolist() for weight in load.weights] == [[1.0] * 200, RISING.astype("<f4").tolist()]
    assert assembly.readouts[0].norm.tolist() == pytest.approx([200, 480, RISING.sum(), 200])


@pytest.mark.parametrize(("spare", "fits"), [(1, True), (0, True), (-1, False)])
def test_weight_memory_is_met_at_its_limit(make_program: ProgramBuilder, spare: int, fits: bool) -> None:
    """All but the longest of these windows are weighed; 4 ns is the least that one can have more."""
    lengths = [MAX_WEIGHT_SAMPLES - 4096 - 4 * spare, 4096, 16_384]
    asked = chunk(make_program, BOXCAR, BOXCAR, BOXCAR, lengths=lengths)
    (usage,) = (usage for usage in CONTROLLER.capacity.usage(asked) if usage.memory == "weight samples")
    assert (usage.used, usage.limit) == (MAX_WEIGHT_SAMPLES - 4 * spare, MAX_WEIGHT_SAMPLES)
    if fits:
        CONTROLLER.assemble(asked)
    else:
        with pytest.raises(CapacityError, match="needs 16388 weight samples, it holds 16384"):
            CONTROLLER.assemble(asked)


@pytest.mark.parametrize("count", [MAX_WEIGHTS - 1, MAX_WEIGHTS, MAX_WEIGHTS + 1])
def test_the_number_of_weights_is_met_at_its_limit(make_program: ProgramBuilder, count: int) -> None:
    asked = chunk(make_program, *[BOXCAR] * (count + 1), lengths=[4 * i for i in range(1, count + 2)])
    (usage,) = (usage for usage in CONTROLLER.capacity.usage(asked) if usage.memory == "weights")
    assert (usage.used, usage.fits) == (count, count <= MAX_WEIGHTS)
    if usage.fits:
        assert len(load_of(asked).weights) == count
    else:
        with pytest.raises(CapacityError, match=f"needs {count} weights, it holds {MAX_WEIGHTS}"):
            CONTROLLER.assemble(asked)


def test_long_windows_of_many_lengths_are_counted_without_being_written_out(make_program: ProgramBuilder) -> None:
    longest = 2**24 - 4
    of_each = [longest - 4 * i for i in range(40)]
    rows = [("q0.readout", 2**24 * i, length, 7.45e9, 0.0) for i, length in enumerate(of_each)]
    program = make_program(
        lines=("q0.readout",), envelopes=[np.ones(4, dtype=np.complex128)], acquisitions=rows, duration=2**24 * 40
    )
    asked = Chunk(programs=(program,), first_program=0, first_shot=0, shots=1, reset=0)
    tracemalloc.start()
    (usage,) = (usage for usage in CONTROLLER.capacity.usage(asked) if usage.memory == "weight samples")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert usage.used == sum(of_each[1:])
    assert peak < 2**24
