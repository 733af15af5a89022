"""The loops in C give what those in NumPy give, to the last bit; where none can be compiled, that is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from tests.compiled import loops_in_c, loops_in_numpy

from qubitd.cli.__main__ import main
from qubitd.compiler import native as compiler_loops
from qubitd.compiler.block import Block, Cases
from qubitd.compiler.calibrated import _kept
from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_job
from qubitd.compiler.device_file import load_device
from qubitd.compiler.errors import InvalidProgramError
from qubitd.compiler.native import PASSES
from qubitd.compiler.verify import Ceilings, Verify
from qubitd.core import native
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import InvalidInputError
from qubitd.core.job import JobSpec, Scheduling
from qubitd.core.native import NativeError, NativeSource, cache_directory
from qubitd.core.program import Chunk, Program, ProgramColumns
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.drivers.cluster.assembly import ClusterAssembly
from qubitd.drivers.cluster.native import LINES
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

FILES = {name: load_device(name) for name in ("line5", "classroom5")}
GATES = {
    "line5": ("rz", "sx", "x", "sy", "id", "cz"),
    "classroom5": ("p", "u", "sx", "sy", "cx", "rz", "x"),
}
PARAMETERS = {"rz": 1, "p": 1, "u": 3}
PAIRS = {"cz": ((0, 1), (2, 1), (3, 4)), "cx": ((0, 1), (1, 2), (3, 4))}
ANGLES = st.floats(-20, 20) | st.sampled_from([0.0, np.pi, 1e4, -1e9])
DELAYS = st.sampled_from([0.0, 3e-9, 65_535e-9, 65_540e-9, 262_141e-9, 3e-3])


@pytest.fixture(scope="module", autouse=True)
def _loops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with loops_in_c(tmp_path_factory.mktemp("cache")):
        yield


@st.composite
def circuits(draw: st.DrawFn, device: str, *, name: str) -> CircuitBuilder:
    builder = CircuitBuilder(name=name, num_qubits=5, num_clbits=5)
    for _ in range(draw(st.integers(0, 25))):
        gate, qubit = draw(st.sampled_from((*GATES[device], "delay", "barrier", "measure"))), draw(st.integers(0, 4))
        if gate == "measure":
            builder.measure(qubit, draw(st.integers(0, 4)))
        elif gate == "barrier":
            builder.add("barrier", *draw(st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True)))
        elif gate == "delay":
            builder.delay(qubit, draw(DELAYS))
        elif gate in PAIRS:
            builder.add(gate, *draw(st.sampled_from(PAIRS[gate])))
        else:
            qubit -= gate == "sy" and qubit == 4  # the classroom's has none
            builder.add(gate, qubit, params=[draw(ANGLES) for _ in range(PARAMETERS.get(gate, 0))])
    return builder


@st.composite
def jobs(draw: st.DrawFn) -> tuple[str, JobSpec]:
    device = draw(st.sampled_from(sorted(FILES)))
    made = [draw(circuits(device, name=f"c{number}")) for number in range(draw(st.integers(1, 5)))]
    return device, JobSpec(batch=pack(made), sweep=Sweep(), shots=1, scheduling=draw(st.sampled_from(Scheduling)))


def blocks(device: str, spec: JobSpec) -> tuple[list[Block], int]:
    file = FILES[device]
    _kept.clear()
    compiled = compile_job(file.device, file.snapshot(), spec)
    return list(compiled.blocks()), compiled.reset


def without(work: Callable[..., Any], *arguments: object) -> Any:
    with loops_in_numpy():
        return work(*arguments)


def assembled(device: str, spec: JobSpec) -> list[ClusterAssembly]:
    made, reset = blocks(device, spec)
    controller = open_rack(load_rack())  # one that remembers nothing
    chunks = Pack(capacity=controller.capacity, reset=reset)(made, shots=1)
    found = [controller.assemble(chunk) for chunk in chunks]
    return [one for one in found if isinstance(one, ClusterAssembly)]


def assert_equal_programs(left: Sequence[Program], right: Sequence[Program]) -> None:
    assert [(p.name, p.duration, p.num_clbits) for p in left] == [(p.name, p.duration, p.num_clbits) for p in right]
    for one, other in zip(left, right, strict=True):
        for rows, others in ((one.plays, other.plays), (one.acquisitions, other.acquisitions)):
            for name in rows.__slots__:
                mine, theirs = getattr(rows, name), getattr(others, name)
                assert mine.dtype == theirs.dtype
                assert_array_equal(mine, theirs, err_msg=name)


@settings(max_examples=40)
@given(jobs())
def test_programs_are_the_same(job: tuple[str, JobSpec]) -> None:
    (left, reset), (right, other) = blocks(*job), without(blocks, *job)
    assert reset == other
    for block in left:
        Verify().check(block)
    assert_equal_programs([p for block in left for p in block], [p for block in right for p in block])


@settings(max_examples=25)
@given(jobs())
def test_text_exertion_and_readout_are_the_same(job: tuple[str, JobSpec]) -> None:
    for one, other in zip(assembled(*job), without(assembled, *job), strict=True):
        for mine, theirs in zip(one.sequencers, other.sequencers, strict=True):
            assert mine.program.decode().splitlines() == theirs.program.decode().splitlines()
            assert (mine.digest, mine.exertion, mine.bins) == (theirs.digest, theirs.exertion, theirs.bins)
        for readout, another in zip(one.readouts, other.readouts, strict=True):
            assert_array_equal(readout.rotation, another.rotation)


@settings(max_examples=25)
@given(st.data())
def test_what_cannot_be_played_is_told_in_the_same_words(data: st.DataObject) -> None:
    builder = CircuitBuilder(name="bell", num_qubits=5, num_clbits=5).add("sx", 0).add("cz", 0, 1)
    builder.add("rz", 0, params=(0.3,)).add("sx", 0).measure(0, 0).measure(1, 1)
    made, reset = blocks("line5", JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1))
    (program,) = (program for block in made for program in block)
    column = data.draw(st.sampled_from(["start", "length", "amplitude", "phase", "frequency"]))
    row = data.draw(st.integers(0, len(program.plays.line) - 1))
    wrong = [-50, 3, 10**6] if column in ("start", "length") else [2.0, -1e9, 3e9, np.nan]
    values = getattr(program.plays, column).copy()
    values[row] += data.draw(st.sampled_from(wrong))
    broken = replace(program, plays=replace(program.plays, **{column: values}))
    chunk = Chunk(programs=(broken,), first_program=0, first_shot=0, shots=1, reset=reset)

    def told() -> list[str]:
        try:
            open_rack(load_rack()).assemble(chunk)
        except InvalidInputError as error:
            return [str(problem) for problem in error.problems]
        return []

    assert told() == without(told)


@settings(max_examples=40)
@given(jobs(), st.data())
def test_a_broken_program_is_told_in_the_same_words(job: tuple[str, JobSpec], data: st.DataObject) -> None:
    made = [program for block in blocks(*job)[0] for program in block]
    index = data.draw(st.integers(0, len(made) - 1))
    rows = data.draw(st.sampled_from(["plays", "acquisitions"]))
    table = getattr(made[index], rows)
    assume(len(table.line))
    column = data.draw(st.sampled_from(sorted({"start", "length", "amplitude", "phase", "clbit"} & {*table.__slots__})))
    values = getattr(table, column).copy()
    values[data.draw(st.integers(0, len(values) - 1))] += data.draw(st.sampled_from([0, 1, -1, 20, -3]))
    made[index] = replace(made[index], **{rows: replace(table, **{column: values})})
    ceilings = Ceilings(amplitude={"q0.drive": 0.9}, feedlines=(("q0.readout", "q1.readout"),))

    def told() -> list[str]:
        return [str(problem) for problem in Verify(ceilings=ceilings).problems(*made)]

    assert told() == without(told)


@settings(max_examples=60)
@given(st.data())
def test_a_scan_with_a_broken_point_is_told_in_the_same_words(data: st.DataObject) -> None:
    builder = CircuitBuilder(name="scan", num_qubits=5, num_clbits=5).add("x", 0).add("cz", 0, 1).measure(0, 0)
    swept = data.draw(st.sampled_from(["q0.x.amplitude", "q0.frequency", "q0.x.duration"]))
    values = {"q0.x.amplitude": (0.1, 0.5, 0.2), "q0.frequency": (4e9, 5e9, 6e9), "q0.x.duration": (40e-9,) * 3}[swept]
    sweep = Sweep(axes=(SweepAxis(names=(swept,), values=np.array([values])),))
    ((cases,), _) = blocks("line5", JobSpec(batch=pack([builder.measure(1, 1)]), sweep=sweep, shots=1))
    assert isinstance(cases, Cases)
    column = data.draw(st.sampled_from(["start", "length", "amplitude", "phase", "frequency"]))
    numbers = getattr(cases.plays, column).copy()
    if data.draw(st.booleans()):
        numbers = np.broadcast_to(numbers, (3, numbers.shape[-1])).copy()
    numbers.flat[data.draw(st.integers(0, numbers.size - 1))] += data.draw(st.sampled_from([0, 1, -1, 20]))
    durations = cases.durations + np.array(data.draw(st.sampled_from([(0, 0, 0), (0, 0, 1), (-100,) * 3])))
    changed: dict[str, Any] = {column: numbers}
    broken = replace(cases, durations=durations, plays=replace(cases.plays, **changed))
    ceilings = Ceilings(amplitude={"q0.drive": 0.9}, feedlines=(("q0.readout", "q1.readout"),))

    def told() -> list[str]:
        try:
            Verify(ceilings=ceilings).check(broken)
        except InvalidProgramError as error:
            return [str(problem) for problem in error.problems]
        return []

    assert told() == without(told)
    each = [str(problem) for problem in Verify(ceilings=ceilings).problems(*broken)]
    assert told() == each


def test_an_operand_that_is_not_on_the_device_is_not_followed() -> None:
    one, far = np.zeros(1, dtype=np.int64), np.array([5], dtype=np.int64)
    start, arity = np.arange(2, dtype=np.int64), np.ones(1, dtype=np.int64)
    assert compiler_loops.starts(arity, far) is None
    assert compiler_loops.codes(one, arity, far, start, num_qubits=5, width=1, kinds=1) is None
    assert compiler_loops.codes(far, arity, one, start, num_qubits=5, width=1, kinds=1) is None
    assert compiler_loops.wires(one, far, start, num_qubits=5, wires=5) is None


@pytest.mark.parametrize("of", ["play_bounds", "acquisition_bounds"])
@pytest.mark.parametrize("bounds", [(1, 2, 2), (-1, 1, 2), (0, 10**6, 2), (0, -5, 2)])
def test_rows_that_belong_to_no_program_are_not_vouched_for(of: str, bounds: tuple[int, ...]) -> None:
    builders = [CircuitBuilder(name=name, num_qubits=5, num_clbits=5).add("sx", 0).measure(0, 0) for name in "ab"]
    (block,) = blocks("line5", JobSpec(batch=pack(builders), sweep=Sweep(), shots=1))[0]
    assert isinstance(block, ProgramColumns)
    facts = np.array([len(one.samples) for one in block.tables.envelopes]), np.ones(len(block.tables.envelopes))

    def vouched(block: ProgramColumns) -> bool:
        plays, acquisitions = (block.plays, block.play_bounds), (block.acquisitions, block.acquisition_bounds)
        each = block.durations, block.num_clbits
        return compiler_loops.loudest(*each, *plays, *acquisitions, *facts, lines=len(block.lines)) is not None

    assert vouched(block)
    own = np.array(bounds, dtype=np.int64)
    own[-1] = getattr(block, of)[-1]
    changed: dict[str, Any] = {of: own}
    assert not vouched(replace(block, **changed))


def test_a_scan_without_points_is_not_vouched_for() -> None:
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=5).add("x", 0).measure(0, 0)
    axis = SweepAxis(names=("q0.readout.threshold",), values=np.array([[0.1, 0.2]]))
    (block,) = blocks("line5", JobSpec(batch=pack([builder]), sweep=Sweep(axes=(axis,)), shots=1))[0]
    assert isinstance(block, Cases)
    facts = np.array([len(one.samples) for one in block.tables.envelopes]), np.ones(len(block.tables.envelopes))
    rows = np.array([block.num_clbits]), block.plays, block.play_bounds, block.acquisitions, block.acquisition_bounds
    each = [compiler_loops.loudest(block.durations[:n], *rows, *facts, lines=len(block.lines)) for n in (2, 0)]
    assert [one is not None for one in each] == [True, False]


@pytest.mark.parametrize(("kind", "gap"), [(4, 0), (4, -5), (9, 4)])
def test_an_event_that_cannot_be_written_is_left_to_numpy(kind: int, gap: int) -> None:
    assert LINES.library is not None
    kinds, gaps, text = np.array([kind], dtype=np.int8), np.array([gap]), np.empty(4096, dtype=np.uint8)
    event = native.address(kinds, np.int8), native.address(gaps, np.int64)
    nothing = [None] * 8
    into = native.address(text, np.uint8), len(text)
    arguments = (1, *event, b"a", 1, *nothing, 0, 0, 0, *nothing[:7], *into)
    assert LINES.library.qubitd_events_text(*arguments) == -2


def test_an_array_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="an array of int32 with strides"):
        native.address(np.zeros(3, dtype=np.int32), np.int64)
    with pytest.raises(TypeError, match=r"with strides \(16,\) where int64 in a row is meant"):
        native.address(np.zeros(6, dtype=np.int64)[::2], np.int64)


def test_the_command_says_where_they_are_and_compiles_them_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert main(["accelerate"]) == 0
        told = capsys.readouterr().out
        assert str(PASSES.path) in told
        assert str(LINES.path) in told
        monkeypatch.setattr(native, "_compiler", lambda: pytest.fail("a compiler was looked for"))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NativeSource:
    """The passes, as another process finds them that has compiled nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return NativeSource(package=PASSES.package, name=PASSES.name, functions=PASSES.functions)


def test_without_a_library_none_is_used(source: NativeSource) -> None:
    assert source.library is None


def test_a_damaged_library_is_not_used(source: NativeSource, caplog: pytest.LogCaptureFixture) -> None:
    source.path.parent.mkdir(parents=True)
    source.path.write_bytes(b"nothing")
    assert source.library is None
    assert "compiled loops cannot be loaded" in caplog.text


def test_a_machine_without_a_compiler_is_told_what_to_install(
    source: NativeSource, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(NativeError, match="no C compiler is here"):
        source.build()
    assert main(["accelerate"]) == 1
    assert "no C compiler is here (cc, gcc, clang)" in capsys.readouterr().err


@pytest.mark.parametrize(("compiler", "what"), [("/bin/false", "failed: "), ("/nowhere/cc", "did not end: ")])
def test_a_compiler_that_fails_leaves_nothing_behind(
    source: NativeSource, monkeypatch: pytest.MonkeyPatch, compiler: str, what: str
) -> None:
    monkeypatch.setattr(native, "_compiler", lambda: compiler)
    with pytest.raises(NativeError, match=what):
        source.build()
    assert [path for path in cache_directory().rglob("*") if path.is_file()] == []


def test_numpy_alone_can_be_asked_for(source: NativeSource) -> None:
    source.build()
    program = "from qubitd.compiler.native import PASSES; print(PASSES.library is None)"
    command = [sys.executable, "-c", program]
    for wish, is_numpy in (("", "False"), ("1", "True")):
        environment = {**os.environ, native.OFF: wish}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == is_numpy


def test_what_can_be_made_again_is_kept_where_each_platform_keeps_it(tmp_path: Path) -> None:
    assert cache_directory({"XDG_CACHE_HOME": str(tmp_path)}, "linux") == tmp_path / "qubitd"
    assert cache_directory({"XDG_CACHE_HOME": "relative"}, "linux") == Path.home() / ".cache/qubitd"
    assert cache_directory({"LOCALAPPDATA": "/local"}, "win32") == Path("/local/qubitd")
    assert cache_directory({}, "darwin") == Path.home() / "Library/Caches/qubitd"
