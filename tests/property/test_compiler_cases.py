"""Bindings and points of a sweep are made together, and each is what it would be alone; what is known is kept."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from qubitd.compiler.block import Cases
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.verify import Verify
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack
from qubitd.core.program import Chunk, Program
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.drivers.cluster.capacity import ClusterCapacity, most_usage
from qubitd.drivers.cluster.wiring import cluster_wiring
from qubitd.drivers.cluster.work import Workbench
from qubitd.drivers.rack import ClusterInstrument
from qubitd.drivers.rack_file import load_rack

FILES = {name: load_device(name) for name in ("line5", "classroom5")}
ANGLES = st.floats(-10, 10)
AXES = (
    SweepAxis(names=("q0.sx.amplitude", "q1.frequency"), values=np.array([[0.1, 0.2, 0.3], [5.9e9, 6.1e9, 6.0e9]])),
    SweepAxis(names=("q0.sx.duration",), values=np.array([[40e-9, 48e-9]])),
    SweepAxis(names=("q0_q1.cz.phase_first",), values=np.array([[0.3, -0.5]])),
    SweepAxis(names=("q0.readout.frequency",), values=np.array([[7.0e9, 7.1e9]])),
)


@st.composite
def circuits(draw: st.DrawFn, *, gates: tuple[str, ...]) -> CircuitBuilder:
    columns, rows = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    builder = CircuitBuilder(name="c", num_qubits=2, num_clbits=2).add("sx", 0).add("sx", 1)
    param = ANGLES | st.integers(0, columns - 1).map(lambda column: FromColumn(column=column))
    for _ in range(draw(st.integers(0, 8))):
        name, qubit = draw(st.sampled_from((*gates, "delay"))), draw(st.integers(0, 1))
        if name == "cz":
            builder.add("cz", 0, 1)
        elif name == "delay":
            builder.delay(qubit, FromColumn(column=columns) if draw(st.booleans()) else draw(st.floats(0, 1e-7)))
        else:
            builder.add(name, qubit, params=[draw(param) for _ in range({"rz": 1, "p": 1, "u": 3}.get(name, 0))])
    builder.measure(0, 0).measure(1, 1)
    angles = st.lists(ANGLES, min_size=columns, max_size=columns)
    return builder.bind([[*draw(angles), draw(st.floats(0, 1e-6))] for _ in range(rows)])


def assert_same(left: Program, right: Program) -> None:
    assert (left.duration, left.num_clbits, left.name) == (right.duration, right.num_clbits, right.name)
    for rows, others in ((left.plays, right.plays), (left.acquisitions, right.acquisitions)):
        for name in rows.__slots__:
            if name != "envelope":
                assert_array_equal(getattr(rows, name), getattr(others, name), err_msg=name)
    digests = ([p.tables.envelopes[i].digest for i in p.plays.envelope.tolist()] for p in (left, right))
    assert next(digests) == next(digests)


def alone(device: str, batch: CircuitBatch, sweep: Sweep) -> list[Program]:
    """Each program compiled on its own."""
    file = FILES[device]
    return [
        next(iter(compile_circuits(file.device, file.snapshot().with_values(point), pack_one(batch, i)).programs()))
        for i in range(batch.num_bindings)
        for point in sweep.points()
    ]


def pack_one(batch: CircuitBatch, index: int) -> CircuitBatch:
    bound = batch.bound()
    return CircuitBatch(operations=bound.operations, circuits=bound.circuits[index : index + 1])


@settings(max_examples=25)
@given(circuits(gates=("rz", "sx", "x", "cz")), st.permutations(AXES), st.integers(0, 3), st.data())
def test_programs_of_a_grid_are_what_each_would_be_alone(
    circuit: CircuitBuilder, axes: list[SweepAxis], count: int, data: st.DataObject
) -> None:
    has_cz = any(step.name == "cz" for step in circuit)
    sweep = Sweep(axes=tuple(axis for axis in axes[:count] if has_cz or not axis.names[0].startswith("q0_q1")))
    batch = pack([circuit])
    file = FILES["line5"]
    compiled = compile_circuits(file.device, file.snapshot(), batch, sweep)
    programs = list(compiled.programs())
    assert len(programs) == compiled.num_programs
    for program, other in zip(programs, alone("line5", batch, sweep), strict=True):
        assert_same(program, other)
    first = data.draw(st.integers(0, len(programs)))
    for program, other in zip(programs[first:], compiled.programs(first=first), strict=True):
        assert_same(program, other)


@settings(max_examples=25)
@given(st.lists(st.tuples(*[st.sampled_from((0.0, 0.3, 1.0))] * 3), min_size=2, max_size=6, unique=True))
def test_a_case_takes_no_more_than_another_that_differs_in_phases_only_may(rows: list[tuple[float, ...]]) -> None:
    circuit = CircuitBuilder(name="c", num_qubits=2, num_clbits=1).add("sx", 0).add("sx", 1)
    for column in range(3):
        circuit.add("rz", column % 2, params=(FromColumn(column=column),)).add("sx", 0).add("x", 1).add("cz", 0, 1)
    circuit.measure(0, 0)
    file, rack = FILES["line5"], load_rack()
    (instrument,) = rack.instruments.values()
    assert isinstance(instrument, ClusterInstrument)
    workbench = Workbench(cluster_wiring(rack, instrument))
    (block,) = compile_circuits(file.device, file.snapshot(), pack([circuit.bind(rows)])).blocks()
    assert isinstance(block, Cases)
    assert block.differ_in_phases_only
    alone = [Chunk(programs=(p,), first_program=0, first_shot=0, shots=1, reset=0) for p in block]
    for one, other in itertools.permutations(alone, 2):
        most = most_usage(one, workbench.work_of(one))
        taken = ClusterCapacity(workbench=workbench).usage(other)
        for limit, usage in zip(most, taken, strict=True):
            assert (limit.sequencer, limit.memory) == (usage.sequencer, usage.memory)
            assert usage.used <= limit.used


@settings(max_examples=15)
@given(circuits(gates=("rz", "sx", "p", "u")))
def test_composite_gates_are_bound_as_if_they_were_written_out(circuit: CircuitBuilder) -> None:
    file, batch = FILES["classroom5"], pack([circuit])
    programs = list(compile_circuits(file.device, file.snapshot(), batch).programs())
    for program, other in zip(programs, alone("classroom5", batch, Sweep()), strict=True):
        assert_same(program, other)


def test_bound_and_plain_circuits_keep_their_order() -> None:
    def bound(*delays: float) -> CircuitBuilder:
        builder = CircuitBuilder(name="bound", num_qubits=1, num_clbits=1)
        return builder.delay(0, FromColumn(column=0)).measure(0, 0).bind([[delay] for delay in delays])

    plain = [CircuitBuilder(name=f"plain {i}", num_qubits=1, num_clbits=1).measure(0, 0) for i in range(4)]
    batch = pack([plain[0], plain[1], bound(1e-7, 2e-7, 3e-7), plain[2], bound(0), plain[3]])
    file = FILES["line5"]
    compiled = compile_circuits(file.device, file.snapshot(), batch)
    names = ["plain 0", "plain 1", "bound", "bound", "bound", "plain 2", "bound", "plain 3"]
    assert [program.name for program in compiled.programs()] == names
    for first in range(9):
        assert [program.name for program in compiled.programs(first=first)] == names[first:]


def test_many_bindings_are_made_in_several_blocks_that_share_what_is_alike() -> None:
    circuit = CircuitBuilder(name="c", num_qubits=1, num_clbits=1)
    for _ in range(300):
        circuit.add("rz", 0, params=(FromColumn(column=0),)).add("sx", 0)
    angles = np.linspace(-3, 3, 200)
    file = FILES["line5"]
    compiled = compile_circuits(file.device, file.snapshot(), pack([circuit.measure(0, 0).bind(angles[:, np.newaxis])]))
    blocks = list(compiled.blocks())
    programs = list(itertools.chain.from_iterable(blocks))
    assert len(programs) == 200
    assert 1 < len(blocks) < 10
    assert len({id(program.plays.amplitude) for program in blocks[0]}) == 1
    assert_array_equal(programs[150].plays.phase[:-1] > 0, True)
    Verify()(*programs)
