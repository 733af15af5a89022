"""Whatever a job asks for, the compiler's memory is bounded: each limit holds at its edge and is named beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike

from qubitd.compiler import check, chunk, envelope_table, flatten
from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.core import envelope
from qubitd.core.capacity import Usage
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.envelope import Square, make_envelope
from qubitd.core.errors import InvalidCalibrationError, InvalidCircuitError, InvalidDeviceError
from qubitd.core.program import Chunk, Program
from qubitd.core.sweep import Sweep, SweepAxis

FILE = load_device("line5")
SNAPSHOT = FILE.snapshot()


class Endless:
    """A controller that holds everything."""

    def usage(self, chunk: Chunk) -> Sequence[Usage]:
        assert chunk.programs
        return ()

    def pause(self, reset: int, *, feeds: bool) -> int:
        return reset


def sweep(name: str, values: ArrayLike) -> Sweep:
    return Sweep(axes=(SweepAxis(names=(name,), values=np.atleast_2d(np.asarray(values))),))


def flip() -> CircuitBuilder:
    return CircuitBuilder(name="flip", num_qubits=1, num_clbits=1).add("x", 0).measure(0, 0)


def programs(*builders: CircuitBuilder) -> list[Program]:
    return list(compile_circuits(FILE.device, SNAPSHOT, pack(builders)).programs())


def cut(made: Sequence[Program], *, shots: int = 1) -> list[tuple[int, int]]:
    """(programs, shots) of each chunk."""
    return [
        (len(c.programs), c.shots) for c in Pack(capacity=Endless(), reset=0, run_time=10**18)(zip(made), shots=shots)
    ]


def test_an_envelope_may_have_its_full_length_and_no_tick_more() -> None:
    assert make_envelope("square", length=envelope.MAX_LENGTH, shape={}, where="a") == Square(length=2**17)
    with pytest.raises(InvalidDeviceError, match="is 131073 ticks long; the most is 131072"):
        make_envelope("square", length=envelope.MAX_LENGTH + 1, shape={}, where="a")


def test_a_swept_duration_is_held_against_the_longest_envelope_before_it_is_sampled() -> None:
    with pytest.raises(InvalidCircuitError, match="1000000000 ticks long; the most is 131072"):
        compile_circuits(FILE.device, SNAPSHOT, pack([flip()]), sweep("q0.x.duration", [40e-9, 1.0]))


def test_a_calibrated_duration_is_held_against_it_too() -> None:
    slow = SNAPSHOT.with_values({"q0.x.duration": 1.0})
    with pytest.raises((InvalidCircuitError, InvalidCalibrationError), match="the most is 131072"):
        compile_circuits(FILE.device, slow, pack([flip()]))


def test_a_full_table_of_envelopes_gives_way_to_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope_table, "MAX_ENVELOPES", 6)
    job = compile_circuits(FILE.device, SNAPSHOT, pack([flip()]), sweep("q0.x.beta", np.linspace(0, 1e-9, 20)))
    made = list(job.programs())
    assert max(len(program.tables.envelopes) for program in made) == 6
    assert len({program.tables.generation for program in made}) > 1
    chunks = list(Pack(capacity=Endless(), reset=0)(job.blocks(), shots=1))
    assert sum(len(c.programs) for c in chunks) == 20
    for c in chunks:
        assert len({program.tables.generation for program in c.programs}) == 1


def test_a_new_table_gives_the_same_pulses(monkeypatch: pytest.MonkeyPatch) -> None:
    def samples(program: Program) -> list[str]:
        return [program.tables.envelopes[int(i)].digest for i in program.plays.envelope]

    job = compile_circuits(FILE.device, SNAPSHOT, pack([flip()]), sweep("q0.x.beta", np.linspace(0, 1e-9, 9)))
    whole = list(map(samples, job.programs()))
    monkeypatch.setattr(envelope_table, "MAX_SAMPLES", 1)
    assert list(map(samples, job.programs())) == whole


def test_a_chunk_holds_its_most_programs_and_no_more() -> None:
    (empty,) = programs(CircuitBuilder(name="empty", num_qubits=1, num_clbits=0))
    assert cut([empty] * chunk.MAX_PROGRAMS) == [(4096, 1)]
    assert cut([empty] * (chunk.MAX_PROGRAMS + 1)) == [(4096, 1), (1, 1)]


def test_a_chunk_holds_its_most_plays_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    made = programs(*[flip() for _ in range(5)])
    monkeypatch.setattr(chunk, "MAX_ROWS", 6)
    assert cut(made) == [(2, 1), (2, 1), (1, 1)]
    monkeypatch.setattr(chunk, "MAX_ROWS", 5)
    assert cut(made) == [(1, 1)] * 5
    monkeypatch.setattr(chunk, "MAX_ROWS", 2)
    assert cut(made) == [(1, 1)] * 5


def test_a_chunks_result_is_as_big_as_its_limit_and_no_bigger() -> None:
    (wide,) = programs(CircuitBuilder(name="wide", num_qubits=1, num_clbits=65_536))
    most = chunk.MAX_RESULT_BYTES // 8192
    assert cut([wide], shots=most) == [(1, most)]
    assert cut([wide], shots=most + 1) == [(1, most), (1, 1)]
    assert cut([wide] * (most + 1)) == [(most, 1), (1, 1)]
    assert cut([replace(wide, num_clbits=2**30)] * 2) == [(1, 1), (1, 1)]


def test_a_sweep_of_nonsense_names_a_hundred_problems_at_most() -> None:
    names = tuple(f"q0.no{i}" for i in range(150))
    with pytest.raises(InvalidCircuitError) as refused:
        compile_circuits(
            FILE.device, SNAPSHOT, pack([flip()]), Sweep(axes=(SweepAxis(names=names, values=np.zeros((150, 1))),))
        )
    assert len(refused.value.problems) == check.MAX_PROBLEMS


def test_the_owner_is_told_a_hundred_lines_and_that_there_are_more() -> None:
    def log(circuits: int) -> tuple[str, ...]:
        builders = [CircuitBuilder(name=str(i), num_qubits=1, num_clbits=0) for i in range(circuits)]
        return compile_circuits(FILE.device, SNAPSHOT, pack(builders)).log

    assert len(log(100)) == check.MAX_LOG
    assert len(log(101)) == check.MAX_LOG + 1
    assert log(1000)[-1] == "there is more to say of this kind; it is left out"


def test_a_point_of_a_sweep_is_found_without_walking_to_it() -> None:
    grid = Sweep(
        axes=(
            SweepAxis(names=("a", "b"), values=np.array([[1.0, 2.0], [3.0, 4.0]])),
            SweepAxis(names=("c",), values=np.array([[5.0, 6.0, 7.0]])),
        )
    )
    assert [grid.point(i) for i in range(6)] == list(grid.points())
    assert Sweep().point(0) == {}


def test_the_loops_of_a_job_are_written_out_to_its_most_operations_and_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = CircuitBuilder(name="loop", num_qubits=1, num_clbits=1)
    loop.for_(10).add("x", 0).end().measure(0, 0)
    monkeypatch.setattr(flatten, "MAX_WRITTEN_OUT", 33)
    assert compile_circuits(FILE.device, SNAPSHOT, pack([loop] * 3)).num_programs == 3
    with pytest.raises(InvalidCircuitError, match="job: with its loops and conditions written out has more than 33"):
        compile_circuits(FILE.device, SNAPSHOT, pack([loop] * 4))
