"""A chunk is worked out once, whether it is counted or written, and never taken for another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.program import Chunk, Program
from qubitd.drivers.cluster import work
from qubitd.drivers.cluster.driver import ClusterController
from qubitd.drivers.cluster.work import Workbench
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

FILE = load_device("line5")


def programs(count: int, pulses: int = 3) -> tuple[Program, ...]:
    """Programs of one shape that no loop can play: their angles follow no line."""
    rng = np.random.default_rng(1)
    batch = pack([circuit(rng.uniform(0, 1, pulses)) for _ in range(count)])
    return tuple(compile_circuits(FILE.device, FILE.snapshot(), batch).programs())


def circuit(angles: NDArray[np.float64]) -> CircuitBuilder:
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=1)
    for angle in angles.tolist():
        builder.add("rz", 0, params=(angle,)).add("sx", 0)
    return builder.measure(0, 0)


def chunk(*made: Program, reset: int = 1000, shots: int = 1) -> Chunk:
    return Chunk(programs=made, first_program=0, first_shot=0, shots=shots, reset=reset)


@pytest.fixture
def bench() -> Workbench:
    controller = open_rack(load_rack())
    assert isinstance(controller, ClusterController)
    return controller._assembler.workbench


def test_the_same_programs_are_worked_out_once_for_any_number_of_shots(bench: Workbench) -> None:
    made = programs(2)
    assert bench.work_of(chunk(*made)) is bench.work_of(chunk(*made, shots=500))


def test_other_programs_or_another_reset_are_worked_out_anew(bench: Workbench) -> None:
    first, second = programs(2)
    found = bench.work_of(chunk(first, second))
    for other in (chunk(first), chunk(second, first), chunk(first, replace(second)), chunk(first, second, reset=2000)):
        assert bench.work_of(other) is not found


def test_the_two_chunks_that_came_last_are_kept(bench: Workbench) -> None:
    made = programs(3)
    found = [bench.work_of(chunk(program)) for program in made]
    assert bench.work_of(chunk(made[1])) is found[1]
    assert bench.work_of(chunk(made[0])) is not found[0]


def test_the_work_of_a_big_chunk_is_let_go(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOST_ROWS", 7)
    (program,) = programs(1)
    found = bench.work_of(chunk(program))
    assert bench.work_of(chunk(program)) is found
    bench.work_of(chunk(*programs(2)))
    assert bench.work_of(chunk(program)) is not found


def test_programs_that_are_alike_are_packed_in_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    worked_out = Workbench._worked_out

    def counted(self: Workbench, made: Chunk) -> work.ChunkWork:
        tried.append(len(made.programs))
        return worked_out(self, made)

    monkeypatch.setattr(Workbench, "_worked_out", counted)
    groups = list(Pack(capacity=open_rack(load_rack()).capacity, reset=1000)([programs(60, pulses=1500)], shots=1))
    assert [len(group.programs) for group in groups] == [5] * 12
    assert tried == [1, 2, *[5] * 12]
