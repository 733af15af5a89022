"""What goes wrong on the emulated Cluster is flagged in the instrument's words, and stays with the sequencer it belongs
to."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.emulator.errors import InvalidTableError
from qubitd.emulator.events import EventTable
from qubitd.emulator.outcomes import Decide, needs_no_decision
from qubitd.emulator.patience import GoOn, nothing
from qubitd.emulator.q1 import core

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Bench

WAVE = np.full(400, 0.5)
SYNC = {"seq_proc.sync_en": True}


def flagged(bench: Bench, where: str, program: str, *, bins: int = 4) -> str:
    bench.upload(where, program, waves=[WAVE], bins=bins if where.startswith("6") else 0)
    (state,) = bench.run(where)
    return state


@pytest.mark.parametrize(
    ("program", "flag"),
    [
        ("play 5,0,20\nstop", "AWG WAVE PLAYBACK INDEX INVALID PATH 0"),
        ("play 0,5,20\nstop", "AWG WAVE PLAYBACK INDEX INVALID PATH 1"),
        ("acquire 1,0,20\nstop", "ACQ INDEX INVALID"),
        ("acquire 0,4,20\nstop", "ACQ BIN INDEX INVALID"),
        ("acquire_weighed 0,0,3,4,20\nstop", "ACQ WEIGHT PLAYBACK INDEX INVALID PATH 0"),
        ("acquire_weighed 0,0,3,3,20\nstop", "ACQ WEIGHT PLAYBACK INDEX INVALID PATH 1"),
        ("wait 10", "SEQUENCE PROCESSOR Q1 ILLEGAL INSTRUCTION"),
        ("illegal\nstop", "SEQUENCE PROCESSOR Q1 ILLEGAL INSTRUCTION"),
        ("set_cond 1,1,6,100\nplay 0,0,20\nstop", "SEQUENCE PROCESSOR RT EXEC ILLEGAL INSTRUCTION"),
        ("set_scope_en 1\nstop", "SEQUENCE PROCESSOR RT EXEC ILLEGAL INSTRUCTION"),
        ("move 3,R0\nnop\nwait R0\nwait 100\nstop", "SEQUENCE PROCESSOR RT EXEC COMMAND UNDERFLOW"),
        (
            "upd_param 4\n" + ("set_ph 1\n" * 5 + "play 0,0,8\n") * 10 + "stop",
            "SEQUENCE PROCESSOR RT EXEC COMMAND UNDERFLOW",
        ),
    ],
)
def test_a_fault_is_flagged(bench: Bench, program: str, flag: str) -> None:
    state = flagged(bench, "6.0", program)
    assert state.startswith("ERROR;STOPPED;")
    assert flag in state.split(";")[4].split(",")


def test_nothing_is_kept_of_what_comes_behind_a_fault(bench: Bench) -> None:
    """Ten thousand rounds are half a megabyte of instructions that were executed."""
    program = "move 3,R1\nmove 10000,R0\nwait R1\nagain: set_ph R0\nwait 100\nloop R0,@again\nstop"
    flagged(bench, "6.0", "move 3,R1\nnop\nwait R1\nstop")
    tracemalloc.start()
    try:
        assert "RT EXEC COMMAND UNDERFLOW" in flagged(bench, "6.0", program)
        gc.collect()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000 < peak


def test_acquiring_without_a_digitiser_is_illegal(bench: Bench) -> None:
    state = flagged(bench, "4.0", "wait 20\nacquire 0,0,20\nplay 0,0,400\nstop")
    assert state == "ERROR;STOPPED;;;SEQUENCE PROCESSOR RT EXEC ILLEGAL INSTRUCTION,;"
    assert bench.cluster.played == ()


def test_different_weights_for_the_two_quadratures_are_not_executed(bench: Bench) -> None:
    program = "acquire_weighed 0,0,0,0,100\nacquire_weighed 0,1,0,1,100\nstop"
    bench.upload("6.0", program, weights=[np.ones(20), np.zeros(20)], bins=4)
    assert "RT EXEC ILLEGAL INSTRUCTION" in bench.run("6.0")[0]
    assert bench.bins("6.0")["count"].tolist() == [1, 0, 0, 0]


def test_an_underflow_stops_what_comes_after_it(bench: Bench) -> None:
    bench.ask("SLOT4:SEQ0:CHAN ", b"[[0],[]]")
    program = "play 0,0,100\nmove 0,R0\nnop\nwait R0\nplay 0,0,100\nstop"
    assert "UNDERFLOW" in flagged(bench, "4.0", program)
    assert bench.table.plays.start.tolist() == [0]


def test_a_loop_that_runs_dry_after_many_shots_stops_there(bench: Bench) -> None:
    bench.ask("SLOT4:SEQ0:CHAN ", b"[[0],[]]")
    loop = "move 1000,R0\nwait 1000\na: set_ph 1\nset_ph 2\nset_ph 3\nplay 0,0,20\nloop R0,@a\nstop"
    assert "UNDERFLOW" in flagged(bench, "4.0", loop)
    assert 10 < len(bench.table.plays.start) < 200


def test_bins_that_do_not_exist_lose_their_points_and_no_others(bench: Bench) -> None:
    program = "move 6,R0\nmove 0,R1\na: reset_ph\nacquire 0,R1,2000\nadd R1,1,R1\nloop R0,@a\nstop"
    assert "ACQ BIN INDEX INVALID" in flagged(bench, "6.0", program)
    assert bench.bins("6.0")["count"].tolist() == [1, 1, 1, 1]


def test_flags_do_not_stick_to_the_next_run(bench: Bench) -> None:
    assert flagged(bench, "6.0", "play 5,0,20\nstop").startswith("ERROR")
    bench.ask("SLOT6:SEQ0:PROG ", b"play 0,0,20\nstop")
    assert bench.run("6.0") == ["OKAY;STOPPED;;;;"]


def test_outputs_driven_beyond_full_scale_together_are_flagged(bench: Bench) -> None:
    program = "set_mrk 2\nset_awg_gain {0},0\nplay 0,0,400\nstop"
    bench.upload("6.0", program.format(16384), waves=[np.ones(400)])
    bench.upload("6.1", program.format(16384), waves=[np.ones(400)])
    bench.upload("6.2", "stop")
    bench.ask("SLOT6:SEQ2:CHAN ", b"[[],[]]")
    assert bench.run("6.0", "6.1", "6.2") == ["OKAY;STOPPED;;;;"] * 3
    bench.upload("6.1", program.format(16400))
    assert bench.run("6.0", "6.1", "6.2") == ["ERROR;STOPPED;;;OUTPUT OVERFLOW,;"] * 2 + ["OKAY;STOPPED;;;;"]


def test_tones_that_never_add_up_do_not_overflow(bench: Bench) -> None:
    # Half a turn apart: the sum of the peaks is beyond full scale, the signal is not.
    program = "set_mrk 2\nset_ph {0}\nset_awg_gain 20000,0\nplay 0,0,400\nstop"
    for where, phase in (("6.0", 0), ("6.1", 500_000_000)):
        bench.upload(where, program.format(phase), waves=[np.ones(400)])
        bench.configure(where, {"awg.0.mixer.en": True, "awg.0.nco.freq_hz": 10e6})
    assert bench.run("6.0", "6.1") == ["OKAY;STOPPED;;;;"] * 2


class Loud:
    """A digitiser that is driven beyond its range on path 0."""

    def run(
        self,
        table: EventTable,
        rng: np.random.Generator,
        decide: Decide = needs_no_decision,
        go_on: GoOn = nothing,
    ) -> NDArray[np.complex128]:
        return np.full((len(table.acquisitions.start), table.shots), 1.5 - 0.5j)


class Broken:
    """A digitiser that cannot follow."""

    def run(
        self,
        table: EventTable,
        rng: np.random.Generator,
        decide: Decide = needs_no_decision,
        go_on: GoOn = nothing,
    ) -> NDArray[np.complex128]:
        raise InvalidTableError(column="plays.start", row=0, limit="sorted", value=-1)


def test_a_fault_of_the_emulator_itself_is_an_error_and_no_data(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench({6: "QRM-RF"}, digitiser=Broken())
    bench.upload("6.0", "acquire 0,0,2000\nstop", bins=1)
    bench.errors()
    assert bench.run("6.0") == ["ERROR;STOPPED;;;UNKNOWN,;"]
    assert bench.errors().startswith('-310,"System error; plays.start[0]')
    assert bench.bins("6.0")["count"].tolist() == [0]


def test_a_clipping_digitiser_is_flagged_and_clips(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench({6: "QRM-RF"}, digitiser=Loud())
    bench.upload("6.0", "acquire 0,0,2000\nstop", bins=1)
    assert bench.run("6.0") == ["WARNING;STOPPED;ACQ BINNING DONE,;ACQ BINNING OUT OF RANGE,;;"]
    assert bench.points("6.0", 1024).tolist() == [1 - 0.5j]
    assert b"#11\x01" in bench.ask("SLOT6:SEQ0:ACQ:ALIS?")
    bench.ask('SLOT6:SEQ0:ACQ:ALIS:ACQ:DATA:DEL "acq"')
    assert b"#11\x01" not in bench.ask("SLOT6:SEQ0:ACQ:ALIS?")


@pytest.mark.parametrize(
    ("sequencers", "period", "fits"),
    [(1, 300, True), (1, 296, False), (3, 600, True), (3, 592, False), (5, 900, True), (5, 896, False)],
)
def test_acquisitions_that_follow_too_fast_for_too_long_are_flagged(
    bench: Bench, sequencers: int, period: int, fits: bool
) -> None:
    program = f"move 4000,R0\na: reset_ph\nacquire 0,0,{period}\nloop R0,@a\nstop"
    names = [f"6.{number}" for number in range(sequencers)]
    for name in names:
        bench.upload(name, program, bins=1)
        bench.configure(name, {"acq.0.th_acq.non_weighed_integration_len": 200})
    states = bench.run(*names)
    assert all(("ACQ BINNING FIFO ERROR" in state) is not fits for state in states)


@pytest.mark.parametrize(("count", "fits"), [(8, True), (9, False)])
def test_a_burst_of_acquisitions_may_wait_to_be_binned(bench: Bench, count: int, fits: bool) -> None:
    state = flagged(bench, "6.0", "acquire 0,0,4\n" * count + "stop")
    assert ("ACQ BINNING FIFO ERROR" in state) is not fits


def test_sequencers_wait_for_one_that_has_not_started(bench: Bench) -> None:
    for where in ("1.0", "6.0"):
        bench.upload(where, "wait_sync 4\nwait 100\nstop")
        bench.configure(where, SYNC)
    bench.ask("SLOT1:SEQ0:ARM;:SLOT6:SEQ0:ARM;:SLOT1:SEQ0:START")
    assert bench.state("1.0") == "OKAY;RUNNING;;;;"
    bench.ask("SLOT6:SEQ0:START")
    assert [bench.state("1.0"), bench.state("6.0")] == ["OKAY;STOPPED;;;;"] * 2


def test_an_idle_member_of_the_synchronisation_stalls_the_others(bench: Bench) -> None:
    for where in ("1.0", "6.0", "6.5"):
        bench.configure(where, SYNC)
    for where in ("1.0", "6.0"):
        bench.upload(where, "wait_sync 4\nwait 100\nstop")
    assert bench.run("1.0", "6.0") == ["OKAY;RUNNING;;;;"] * 2
    bench.ask("SLOT1:SEQ0:STOP;:SLOT6:SEQ0:STOP")
    assert bench.state("1.0") == "ERROR;STOPPED;;;FORCED STOP,;"
    bench.configure("6.5", {"seq_proc.sync_en": False})
    assert bench.run("1.0", "6.0") == ["OKAY;STOPPED;;;;"] * 2


def test_a_member_that_synchronises_less_often_stalls_the_others_after_it_stopped(bench: Bench) -> None:
    bench.upload("4.0", "wait_sync 4\nplay 0,0,400\nstop", waves=[WAVE])
    bench.upload("4.1", "wait_sync 4\nplay 0,0,400\nwait_sync 4\nplay 0,0,400\nstop", waves=[WAVE])
    for where, channels in (("4.0", b"[[0],[]]"), ("4.1", b"[[1],[]]")):
        bench.configure(where, SYNC)
        bench.ask(f"SLOT4:SEQ{where[-1]}:CHAN ", channels)
    assert bench.run("4.0", "4.1") == ["OKAY;STOPPED;;;;", "OKAY;RUNNING;;;;"]
    assert bench.table.plays.start.tolist() == [4, 4]
    assert bench.state("4.1") == "OKAY;RUNNING;;;;"


def test_a_sequencer_that_does_not_synchronise_waits_for_nobody(bench: Bench) -> None:
    bench.upload("1.0", "wait_sync 4\nwait 100\nstop")
    assert bench.run("1.0") == ["OKAY;STOPPED;;;;"]


@pytest.mark.parametrize(
    "program",
    [
        "a: wait 100\njmp @a",
        "move 0,R0\na: wait 100\nloop R0,@a\nstop",
        "a: add R0,1,R0\nnop\nset_ph R0\nwait 100\njmp @a",
    ],
)
def test_a_program_that_never_ends_runs_until_it_is_stopped(
    bench: Bench, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "_BUDGET", 10_000)
    bench.upload("6.0", program)
    bench.upload("6.1", "wait_sync 4\nstop")
    for where in ("6.0", "6.1"):
        bench.configure(where, SYNC)
    assert bench.run("6.0", "6.1") == ["OKAY;RUNNING;;;;"] * 2
    bench.ask("SLOT6:SEQ0:STOP;:SLOT6:SEQ1:STOP")
    assert bench.state("6.0") == "ERROR;STOPPED;;;FORCED STOP,;"
