"""Big jobs are looked at in another process, which may die at any time."""

from __future__ import annotations

import operator
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import psutil
import pytest

from qubitd.compiler.device_file import load_device
from qubitd.compiler.result import readout_of
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import InvalidCircuitError, OffGridError, Problem
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.drivers.cluster.assembly import ClusterAssembly
from qubitd.drivers.errors import CeilingError
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack
from qubitd.server.compiling.compile_process import NICENESS, CompileProcess, Kit
from qubitd.server.compiling.compiled_job import Part
from qubitd.server.compiling.helper_process import ATTEMPTS, Long
from qubitd.server.compiling.toolchain import Toolchain
from qubitd.server.errors import CommitConflictError, HelperProcessError, HelperTooLongError
from qubitd.server.instruments.ceilings import ceilings_of
from qubitd.server.instruments.rack import chunk_time
from qubitd.server.running.job_run import span_of
from qubitd.server.telemetry.spending import Activity
from qubitd.wire.specs import encode_spec

FILE = load_device("line5")
SNAPSHOT = FILE.snapshot()
RACK = load_rack()


@pytest.fixture(scope="module")
def helper() -> Iterator[CompileProcess]:
    process = CompileProcess(Kit(device=FILE.device, rack=RACK))
    yield process
    process.close()


def rabi(gate: str = "x") -> JobSpec:
    builder = CircuitBuilder(name="rabi", num_qubits=5, num_clbits=1).add(gate, 0).measure(0, 0)
    axis = SweepAxis(names=("q0.x.amplitude",), values=np.linspace(0, 0.5, 11)[None])
    return JobSpec(batch=pack([builder]), sweep=Sweep(axes=(axis,)), shots=100)


def data(spec: JobSpec) -> bytes:
    return bytes(encode_spec(spec).SerializeToString())


def test_it_finds_what_the_daemon_would_find(helper: CompileProcess) -> None:
    here = Toolchain(FILE.device, open_rack(RACK), ceilings=ceilings_of(RACK), run_time=chunk_time(RACK), now=lambda: 0)
    there = helper.validate(data(rabi()), SNAPSHOT)
    assert there.instrument_seconds == here.validate(data(rabi()), SNAPSHOT).instrument_seconds
    assert there.compiled is None
    plan = helper.explain(rabi(), SNAPSHOT)
    assert replace(plan, stages=()) == replace(here.explain(rabi(), SNAPSHOT), stages=())


def test_it_refuses_as_the_daemon_would(helper: CompileProcess) -> None:
    with pytest.raises(InvalidCircuitError, match="line5 has no gate 'h'") as refused:
        helper.validate(data(rabi("h")), SNAPSHOT)
    assert refused.value.problems[0].operation == 0


def test_it_makes_the_chunks_that_the_daemon_would_make(helper: CompileProcess) -> None:
    job = replace(rabi(), shots=90_000)
    expected = Toolchain(
        FILE.device, open_rack(RACK), ceilings=ceilings_of(RACK), run_time=chunk_time(RACK), now=lambda: 0
    ).compile(data(job), SNAPSHOT)
    made = helper.compile(data(job), SNAPSHOT)
    assert made.spec.shots == 90_000
    played = list(made.spec.sweep.points())
    assert played == list(expected.spec.sweep.points()) != list(job.sweep.points())
    spans = []
    for n, (there, ours) in enumerate(zip(made.parts, expected.parts, strict=True)):
        if n == 1 and helper.process_id is not None:
            os.kill(helper.process_id, signal.SIGKILL)
        assert (there.chunk.first_program, there.chunk.first_shot) == (ours.chunk.first_program, ours.chunk.first_shot)
        assert set(there.spent) == {Activity.COMPILE, Activity.ASSEMBLE}
        assert set(ours.spent) == {Activity.COMPILE}
        assert there.assemble().duration == ours.assemble().duration
        assert there.assemble().upload_bytes == ours.assemble().upload_bytes
        spans.append(there.chunk.shots)
    assert len(spans) > 2
    assert sum(spans) % 90_000 == 0


def random_turns(count: int, *, shots: int) -> JobSpec:
    """So many that all of them do not fit one sequencer's program."""
    circuit = CircuitBuilder(name="turn", num_qubits=1, num_clbits=1).add("sx", 0)
    circuit.add("rz", 0, params=(FromColumn(column=0),)).add("sx", 0).measure(0, 0)
    angles = np.random.default_rng(1).random((count, 1)).tolist()
    return JobSpec(batch=pack([circuit.bind(angles)]), sweep=Sweep(), shots=shots)


@pytest.mark.parametrize(
    ("job", "parts"),
    [(rabi(), 1), (replace(rabi(), shots=90_000), 8), (random_turns(2500, shots=10), 2)],
    ids=["whole", "shots", "programs"],
)
def test_a_validated_job_brings_its_first_part_and_its_successor_makes_the_others(
    helper: CompileProcess, job: JobSpec, parts: int
) -> None:
    looking = CompileProcess(Kit(device=FILE.device, rack=RACK), successor=helper)
    validated = looking.validate(data(job), SNAPSHOT)
    looking.close()
    assert validated.compiled is not None
    expected = helper.compile(data(job), SNAPSHOT)
    assert list(validated.compiled.spec.sweep.points()) == list(expected.spec.sweep.points())
    made, again = list(validated.compiled.parts), list(expected.parts)
    assert [span_of(part.chunk) for part in made] == [span_of(part.chunk) for part in again]
    assert [digests(part) for part in made] == [digests(part) for part in again]
    assert len(made) == parts
    assert {len(program.plays.start) for part in made for program in part.chunk.programs} == {0}
    here = Toolchain(FILE.device, open_rack(RACK), ceilings=ceilings_of(RACK), run_time=chunk_time(RACK), now=lambda: 0)
    for ours, theirs in zip(here.compile(data(job), SNAPSHOT).parts, made, strict=True):
        assert list(map(readout_of, theirs.chunk.programs)) == list(map(readout_of, ours.chunk.programs))


def digests(part: Part) -> list[str]:
    assembly = part.assemble()
    assert isinstance(assembly, ClusterAssembly)
    return [load.digest for load in assembly.sequencers]


def test_a_first_part_of_many_pulses_is_made_again_when_its_job_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Toolchain(FILE.device, open_rack(RACK), ceilings=ceilings_of(RACK), run_time=chunk_time(RACK), now=lambda: 0)
    job = data(random_turns(2500, shots=10))
    kept = here.validate(job, SNAPSHOT).compiled
    assert kept is not None
    rows = sum(len(one.plays.start) + len(one.acquisitions.start) for one in next(kept.parts).chunk.programs)
    monkeypatch.setattr("qubitd.server.compiling.compiled_job.MOST_KEPT_ROWS", rows - 1)
    assert here.validate(job, SNAPSHOT).compiled is None


def test_it_stands_back_behind_everything_else(helper: CompileProcess) -> None:
    helper.validate(data(rabi()), SNAPSHOT)
    assert helper.process_id is not None
    assert psutil.Process(helper.process_id).nice() == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


def test_it_is_started_again_if_it_was_killed(helper: CompileProcess) -> None:
    helper.validate(data(rabi()), SNAPSHOT)
    before = helper.process_id
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert helper.validate(data(rabi()), SNAPSHOT).instrument_seconds > 0
    assert helper.process_id not in (None, before)


class Deadly:
    """Ends any process in which it arrives."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return os.abort, ()


def test_work_that_kills_it_is_given_up(helper: CompileProcess) -> None:
    with pytest.raises(HelperProcessError, match=f"ended {ATTEMPTS} times over this one"):
        helper.do(operator.is_, Deadly())
    assert helper.validate(data(rabi()), SNAPSHOT).instrument_seconds > 0


def both(_tools: Toolchain, first: Long, second: Long) -> tuple[Long, Long]:
    return first, second


def test_an_answer_that_cannot_be_read_is_not_the_next_one_s(
    helper: CompileProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def loads(data: bytes, *, buffers: Iterator[bytes]) -> None:
            next(buffers)
            raise MemoryError(len(data))

        patch.setattr(pickle, "loads", loads)
        with pytest.raises(MemoryError):
            helper.do(both, Long(b"one"), Long(b"two"))
    first, second = helper.do(both, Long(b"three"), Long(b"four"))
    assert (first.data, second.data) == (b"three", b"four")


def test_work_that_comes_to_no_end_is_ended(helper: CompileProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    helper.validate(data(rabi()), SNAPSHOT)
    child = psutil.Process(helper.process_id)
    child.suspend()
    with monkeypatch.context() as patch:
        patch.setattr(helper, "_longest", 0.1)
        with pytest.raises(HelperTooLongError, match=r"not done with this one within 0\.1 s"):
            helper.validate(data(rabi()), SNAPSHOT)
    assert not child.is_running()
    assert helper.validate(data(rabi()), SNAPSHOT).instrument_seconds > 0


def test_nothing_is_compiled_after_the_end() -> None:
    process = CompileProcess(Kit(device=FILE.device, rack=RACK))
    process.validate(data(rabi()), SNAPSHOT)
    child = psutil.Process(process.process_id)
    process.close()
    psutil.wait_procs([child], timeout=10)
    with pytest.raises(HelperProcessError, match="the daemon is stopping"):
        process.validate(data(rabi()), SNAPSHOT)


@pytest.mark.parametrize(
    "error",
    [
        InvalidCircuitError([Problem(where="here", what="wrong", circuit=1)]),
        OffGridError(what="a", seconds=1.0, tolerance=0.5),
        CommitConflictError(names=["a"], base=1, newest=2),
    ],
)
def test_an_error_crosses_to_another_process_whole(error: Exception) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert (str(there), vars(there)) == (str(error), vars(error))


def test_a_line_that_would_change_too_fast_is_refused_before_it_is_loaded() -> None:
    line = RACK.lines["q0.drive"]
    weak = replace(line, ceiling=replace(line.ceiling, slew=0.001))
    rack = replace(RACK, lines={**RACK.lines, "q0.drive": weak})
    tools = Toolchain(
        FILE.device, open_rack(rack), ceilings=ceilings_of(rack), run_time=chunk_time(rack), now=lambda: 0
    )
    with pytest.raises(CeilingError, match=r"line q0\.drive: slew of .* exceeds the ceiling of 0\.001"):
        tools.validate(data(rabi()), SNAPSHOT)
    with pytest.raises(CeilingError):
        tools.explain(rabi(), SNAPSHOT)
