"""The verifier refuses any program that overlaps, leaves its time, or is too loud, whoever made it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.compiled import loops_in_c, loops_in_numpy

from qubitd.compiler.block import Cases
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.errors import InvalidProgramError
from qubitd.compiler.verify import MAX_PROBLEMS, Ceilings, Verify
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.program import Program, SampledEnvelope

FILE = load_device("line5")
FEEDLINE = tuple(f"q{i}.readout" for i in range(5))
RACK = Ceilings(amplitude={"q0.flux": 0.5}, feedlines=(FEEDLINE,))


@pytest.fixture(scope="module", autouse=True, params=["NumPy", "C"])
def _loops(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    is_numpy = request.param == "NumPy"
    with loops_in_numpy() if is_numpy else loops_in_c(tmp_path_factory.mktemp("cache")):
        yield


def made(**values: float) -> Program:
    builder = CircuitBuilder(name="bell", num_qubits=5, num_clbits=2).add("sx", 0).add("sx", 0).add("cz", 0, 1)
    batch = pack([builder.measure(0, 0).measure(1, 1)])
    snapshot = FILE.snapshot().with_values({name.replace("__", "."): value for name, value in values.items()})
    (program,) = compile_circuits(FILE.device, snapshot, batch).programs()
    return program


def plays(program: Program, **changes: Any) -> Program:
    """Change entries of columns of plays: `start={1: 30}`."""
    columns = {name: getattr(program.plays, name).copy() for name in changes}
    for name, entries in changes.items():
        for i, value in entries.items():
            columns[name][i] = value
    return replace(program, plays=replace(program.plays, **columns))


def problems(program: Program, ceilings: Ceilings = RACK) -> list[str]:
    with pytest.raises(InvalidProgramError) as refused:
        Verify(ceilings=ceilings)(program)
    return [str(problem) for problem in refused.value.problems]


def test_what_the_compiler_makes_passes() -> None:
    Verify(ceilings=RACK)(made())


def test_plays_on_one_line_must_not_overlap() -> None:
    assert problems(plays(made(), start={1: 39})) == [
        "program 'bell', q0.drive at 39 ns: starts before the play at 0 ns on the same line ends at 40 ns"
    ]


def test_acquisitions_must_not_overlap() -> None:
    program = made()
    rows = replace(program.acquisitions, line=np.zeros(2, dtype=np.uint16) + program.acquisitions.line[0])
    assert "starts before the acquisition at 350 ns" in problems(replace(program, acquisitions=rows))[0]


def test_a_kernel_is_as_long_as_its_window() -> None:
    program = made()
    rows = replace(program.acquisitions, kernel=np.array([-1, 0], dtype=np.int32))
    assert problems(replace(program, acquisitions=rows)) == [
        "program 'bell', q1.readout at 350 ns: is 480 ns long, its kernel 40 ns"
    ]


def test_a_kernel_that_is_none_is_found() -> None:
    program = made()
    rows = replace(program.acquisitions, kernel=np.array([-1, -2], dtype=np.int32))
    assert "q1.readout at 350 ns: is 480 ns long, its kernel" in problems(replace(program, acquisitions=rows))[0]


def test_an_envelope_that_is_no_number_is_above_every_limit() -> None:
    program = made()
    first = SampledEnvelope(samples=np.full(40, np.nan, dtype=np.complex128), digest="nothing")
    tables = replace(program.tables, envelopes=(first, *program.tables.envelopes[1:]))
    assert "amplitude nan is above the line's limit of 1" in problems(replace(program, tables=tables))[0]


def test_rows_out_of_order_are_found() -> None:
    assert "stands out of order" in problems(plays(made(), start={0: 40, 1: 0}))[0]
    assert "stands out of order" in problems(plays(made(), line={0: 5}))[0]


@pytest.mark.parametrize(("column", "value"), [("start", -1), ("start", 912), ("start", 2**63 - 1)])
def test_a_play_outside_the_program_is_found(column: str, value: int) -> None:
    program = plays(made(), **{column: {0: value}})
    assert any("which is not within the program's 950 ns" in problem for problem in problems(program))


def test_a_length_that_is_not_its_envelopes_is_found() -> None:
    assert "is 39 ns long, its envelope 40 ns" in problems(plays(made(), length={0: 39}))[0]


@pytest.mark.parametrize("column", ["amplitude", "phase", "frequency"])
def test_numbers_are_finite(column: str) -> None:
    assert "not finite" in problems(plays(made(), **{column: {0: np.nan}}))[0]


def test_a_phase_without_a_carrier_is_found() -> None:
    assert problems(plays(made(), frequency={1: 0.0}, phase={1: 0.5}))[0] == (
        "program 'bell', q0.drive at 40 ns: has a phase of 0.5 rad and no carrier that could have it"
    )


def test_a_classical_bit_out_of_range_is_found() -> None:
    assert "writes classical bit 1 of 1" in problems(replace(made(), num_clbits=1))[0]


def test_amplitudes_beyond_full_scale_are_found() -> None:
    program = plays(made(), amplitude={1: -1.003})
    assert problems(program, Ceilings()) == [
        "program 'bell', q0.drive at 40 ns: amplitude 1.000952988 is above the line's limit of 1; "
        "lower the gate's amplitude"
    ]


def test_a_ceiling_holds_on_its_line_alone_and_exactly() -> None:
    loud = made(q0_q1__cz__amplitude=-0.5)
    Verify(ceilings=RACK)(loud)
    (problem,) = problems(made(q0_q1__cz__amplitude=-0.501))
    assert problem.startswith("program 'bell', q0.flux at 80 ns: amplitude 0.501 is above the line's limit of 0.5")
    Verify(ceilings=Ceilings(amplitude={"q1.flux": 0.1}))(loud)


def test_tones_on_one_feedline_sum_to_full_scale_at_most() -> None:
    Verify(ceilings=RACK)(made(q0__readout__amplitude=0.75, q1__readout__amplitude=0.25))
    (problem,) = problems(made(q0__readout__amplitude=0.75, q1__readout__amplitude=0.26))
    assert "q4.readout at 150 ns: amplitudes sum to 1.01; one output gives at most 1" in problem


def test_tones_after_one_another_do_not_sum() -> None:
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=2).measure(0, 0).add("barrier", 0, 1).measure(1, 1)
    snapshot = FILE.snapshot().with_values({"q0.readout.amplitude": 0.9, "q1.readout.amplitude": 0.9})
    (program,) = compile_circuits(FILE.device, snapshot, pack([builder])).programs()
    Verify(ceilings=RACK)(program)


def test_a_tone_may_start_where_another_ends() -> None:
    program = plays(made(q0__readout__amplitude=0.9, q1__readout__amplitude=0.9), start={3: 470, 4: -10})
    program = replace(program, plays=replace(program.plays, start=program.plays.start + 10), duration=2000)
    tones = np.flatnonzero(program.plays.frame == -1)[1:]
    assert program.plays.start[tones].tolist() == [480, 0]
    Verify(ceilings=RACK)(program)


def test_an_empty_program_is_fine() -> None:
    (empty,) = compile_circuits(
        FILE.device, FILE.snapshot(), pack([CircuitBuilder(name="a", num_qubits=1, num_clbits=0)])
    ).programs()
    Verify(ceilings=RACK)(empty)


def test_all_offences_come_at_once() -> None:
    program = plays(made(q0_q1__cz__amplitude=0.6), start={1: 39}, amplitude={0: np.inf})
    assert len(problems(program)) == 4


def test_programs_are_checked_together_and_each_is_named() -> None:
    good, late = made(), plays(made(), start={1: 39})
    found = list(Verify(ceilings=RACK).problems(good, replace(late, name="late"), good))
    assert [problem.where for problem in found] == ["program 'late', q0.drive at 39 ns"]


def test_no_programs_have_no_problems() -> None:
    Verify(ceilings=RACK)()


def test_loud_feedlines_are_told_program_by_program() -> None:
    loud = made(q0__readout__amplitude=0.6, q1__readout__amplitude=0.6)
    found = [p.where for p in Verify(ceilings=RACK).problems(loud, made(), replace(loud, name="other"))]
    assert [where.split(",")[0] for where in found] == ["program 'bell'", "program 'other'"]


def test_a_long_list_of_offences_is_cut() -> None:
    late = plays(made(), start={1: 39})
    with pytest.raises(InvalidProgramError) as refused:
        Verify()(*[late] * 200)
    assert len(refused.value.problems) == MAX_PROBLEMS


def test_cases_that_differ_in_more_than_how_large_numbers_are_are_looked_at_one_by_one() -> None:
    program = made()
    cases = Cases(
        lines=program.lines,
        tables=program.tables,
        name=program.name,
        num_clbits=5,
        durations=np.full(2, program.duration),
        plays=program.plays,
        acquisitions=replace(program.acquisitions, clbit=np.array([[0, -4], [0, 1]], dtype=np.int32)),
    )
    with pytest.raises(InvalidProgramError, match="writes classical bit -4 of 5"):
        Verify(ceilings=RACK).check(cases)
