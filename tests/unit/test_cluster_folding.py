"""Bindings become loops on a sequencer where their numbers lie on lines, piece by piece; the others are written out."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.errors import ProgramTooLargeError
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.plan import LoopPlan
from qubitd.core.program import Chunk
from qubitd.core.sweep import Sweep
from qubitd.drivers.cluster.assembly import ClusterAssembly
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack
from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import prepare
from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.shotloop import run_fully
from qubitd.server.compiling.toolchain import Toolchain
from qubitd.server.instruments.ceilings import ceilings_of

FILE = load_device("line5")


def drive_loops(angles: list[float]) -> LoopPlan:
    """Give how q0's drive plays a circuit with each of some angles."""
    rack = load_rack()
    tools = Toolchain(FILE.device, open_rack(rack), ceilings=ceilings_of(rack), run_time=10**9, now=lambda: 0)
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).add("sx", 0)
    circuit.add("rz", 0, params=(FromColumn(column=0),)).add("sx", 0).measure(0, 0)
    spec = JobSpec(batch=pack([circuit.bind([[angle] for angle in angles])]), sweep=Sweep(), shots=1)
    plan = tools.explain(spec, FILE.snapshot())
    return next(loops for loops in plan.loops if "q0.drive" in loops.sequencer)


def test_lines_among_random_numbers_are_loops_and_the_rest_is_written_out() -> None:
    rng = np.random.default_rng(5)
    angles: list[float] = []
    for piece in range(60):
        line = rng.uniform(0, 3) + rng.uniform(0.01, 0.1) * np.arange(4)
        angles += (line if piece % 3 else rng.uniform(0, 3, 4)).tolist()
    loops = drive_loops(angles)
    assert list(loops.nests) == [(4,)] * 40
    assert loops.written_out == 80


def test_grids_of_two_by_two_by_two_among_random_numbers_are_loops_as_lines_are() -> None:
    rng = np.random.default_rng(7)
    grid = np.add.outer(np.add.outer([0, 70], [0, 30]), [0, 11]).ravel()
    grids = [grid + rng.integers(300) for _ in range(3)]
    numbers = [3 * np.arange(8), rng.integers(500, size=8), grids[0], rng.integers(500, size=16), *grids[1:]]
    loops = drive_loops((np.concatenate(numbers) * (2 * np.pi / 1000)).tolist())
    assert list(loops.nests) == [(8,), (2, 2, 2), (2, 2, 2), (2, 2, 2)]
    assert loops.written_out == 24


def test_one_line_is_one_loop() -> None:
    loops = drive_loops(np.linspace(0, 3, 100).tolist())
    assert (list(loops.nests), loops.written_out) == ([(100,)], 0)


def test_random_numbers_are_all_written_out() -> None:
    loops = drive_loops(np.random.default_rng(6).uniform(0, 3, 64).tolist())
    assert (list(loops.nests), loops.written_out) == ([], 64)
    assert loops.reason == "their numbers lie on no line once they are rounded"


def test_a_loop_that_the_processor_has_no_time_to_count_is_refused_with_that_reason() -> None:
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).for_(20_000)
    circuit.add("rz", 0, params=(0.1,)).add("sx", 0).end().measure(0, 0)
    job = compile_circuits(FILE.device, FILE.snapshot(), pack([circuit]))
    with pytest.raises(ProgramTooLargeError) as caught:
        list(Pack(capacity=open_rack(load_rack()).capacity, reset=0)(job.blocks(), shots=1))
    assert str(caught.value).endswith(
        "one shot takes 40013 instructions of slot1.seq0 (q0.drive), which holds 16384 (turns that repeat are written "
        "out, since the processor has too little time between them); split the circuit"
    )


@pytest.mark.parametrize("angle", [0.1, 1.0, -0.3, 2 * np.pi / 3])
def test_a_long_loop_in_a_circuit_counts_a_virtual_z_of_any_size(angle: float) -> None:
    """No register holds a billionth of a turn times the number of turns and a fraction: what is whole is carried."""
    turns = 20_000
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1).for_(turns)
    circuit.add("rz", 0, params=(angle,)).add("sx", 0).delay(0, 300e-9).end().measure(0, 0)
    (program,) = compile_circuits(FILE.device, FILE.snapshot(), pack([circuit])).programs()
    chunk = Chunk(programs=(program,), first_program=0, first_shot=0, shots=1, reset=0)
    assembly = open_rack(load_rack()).assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    (load,) = (load for load in assembly.sequencers if load.wired.line == "q0.drive")
    assert load.program.count(b"\n") < 60
    trace = run_fully(prepare(assemble(load.program.decode(), memory=16_384))).trace
    played = trace.operands[trace.op == Op.SET_PH, 0]
    wanted = np.rint(program.plays.phase[program.plays.line == program.lines.index("q0.drive")] / (2 * np.pi) * 1e9)
    assert len(played) == turns
    assert np.array_equal(played, wanted % 1_000_000_000)
