"""What the scope of a readout module has room for: one trace per run, started once per shot, 16384 ns long."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from qubitd.core.program import Chunk
from qubitd.drivers.cluster.assembly import ClusterAssembly
from qubitd.drivers.errors import CapacityError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

R0, R1 = 7.45e9, 7.25e9
CONTROLLER = open_rack(load_rack())


def late(make_program: ProgramBuilder, delay: int, *more: tuple[str, int, int, float, float]) -> Chunk:
    """The second qubit is read some time after the first."""
    acquisitions = [("q0.readout", 0, 400, R0, 0.0), ("q1.readout", delay, 400, R1, 0.0), *more]
    program = make_program(
        lines=("q0.readout", "q1.readout"), envelopes=[], plays=[], acquisitions=acquisitions, duration=40_000
    )
    return Chunk(programs=(program,), first_program=0, first_shot=0, shots=10, reset=210_000, raw=True)


def test_a_trace_as_long_as_the_scope_fits(make_program: ProgramBuilder) -> None:
    chunk = late(make_program, 16_384 - 400)
    assert all(usage.fits for usage in CONTROLLER.capacity.usage(chunk))
    assembly = CONTROLLER.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    assert assembly.scopes[0].samples == 16_384


def test_a_chunk_that_wants_no_traces_takes_nothing_of_the_scope(make_program: ProgramBuilder) -> None:
    chunk = replace(late(make_program, 30_000), raw=False)
    assert not any("scope" in usage.sequencer for usage in CONTROLLER.capacity.usage(chunk))


def test_a_trace_longer_than_the_scope_is_refused(make_program: ProgramBuilder) -> None:
    with pytest.raises(CapacityError, match=r"slot6\.scope.*16385"):
        CONTROLLER.assemble(late(make_program, 16_385 - 400))


def test_a_trace_that_is_started_twice_in_a_shot_is_refused(make_program: ProgramBuilder) -> None:
    with pytest.raises(CapacityError, match=r"slot6\.scope.*acquisitions in one trace"):
        CONTROLLER.assemble(late(make_program, 10_000, ("q0.readout", 12_000, 400, R0, 0.0)))


def test_two_programs_do_not_share_a_trace(make_program: ProgramBuilder) -> None:
    chunk = late(make_program, 10_000)
    with pytest.raises(CapacityError, match=r"slot6\.scope.*scope traces"):
        CONTROLLER.assemble(replace(chunk, programs=(*chunk.programs, *chunk.programs)))
