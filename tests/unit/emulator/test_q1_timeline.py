"""When real-time instructions start, who waits for whom, and when the queue runs dry."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import prepare
from qubitd.emulator.q1.issue import first_late, keeps_ahead, lateness
from qubitd.emulator.q1.shotloop import Run, run, run_fully
from qubitd.emulator.q1.timeline import common_timelines, first_too_short, free_timeline
from qubitd.emulator.q1.trace import Trace


def executed(text: str) -> Run:
    return run_fully(prepare(assemble(text, memory=16_384)))


def trace(text: str) -> Trace:
    return executed(text).trace


def starts(text: str) -> list[int]:
    return [int(start) for start in free_timeline(trace(text)).start]


def test_durations_add_up_and_settings_take_no_time() -> None:
    text = "set_mrk 1\nupd_param 8\nplay 0,0,20\nset_ph 5\nacquire 0,0,100\nacquire_weighed 0,0,0,0,60\nwait 1000\nstop"
    assert starts(text) == [0, 0, 8, 28, 28, 128, 188, 1188]


def test_sequencers_leave_a_synchronisation_together() -> None:
    first = trace("wait 100\nwait_sync 4\nwait 10\nwait_sync 8\nplay 0,0,4\nstop")
    second = trace("wait 60\nwait_sync 20\nwait 300\nwait_sync 4\nplay 0,0,4\nstop")
    timelines = common_timelines([first, second])
    assert timelines is not None
    assert timelines[0].start.tolist() == [0, 100, 104, 114, 428, 432]
    assert timelines[1].start.tolist() == [0, 60, 120, 420, 424, 428]


def test_who_synchronises_alone_waits_for_nobody() -> None:
    timelines = common_timelines([trace("wait 100\nwait_sync 4\nwait 10\nstop")])
    assert timelines is not None
    assert timelines[0].start.tolist() == [0, 100, 104, 114]


def test_unequal_numbers_of_synchronisations_never_end() -> None:
    assert common_timelines([trace("wait_sync 4\nstop"), trace("wait_sync 4\nwait_sync 4\nstop")]) is None


def test_less_than_4_ns_is_noticed_at_the_next_instruction() -> None:
    assert first_too_short(trace("move 3,R0\nnop\nwait 8\nwait R0\nwait 8\nstop")) == 2
    assert first_too_short(trace("move 4,R0\nnop\nwait 8\nwait R0\nwait 8\nstop")) == 3


def test_the_core_falls_behind_when_instructions_are_shorter_than_their_preparation() -> None:
    # 5 settings and a play are 24 ns of the core's time; 10 cycles of head start last for 2 of them at 8 ns each.
    busy = "set_ph 1\n" * 5 + "play 0,0,8\n"
    found = trace("upd_param 4\n" + busy * 10 + "stop")
    at = first_late(found, free_timeline(found))
    assert 0 < at < len(found)
    assert int(lateness(found, free_timeline(found))[at]) == 4


def test_a_long_wait_refills_the_queue() -> None:
    busy = "set_ph 1\n" * 5 + "play 0,0,24\n"
    found = trace("upd_param 4\nwait 100\n" + busy * 10 + "stop")
    assert first_late(found, free_timeline(found)) == len(found)


@pytest.mark.parametrize(("idle", "late"), [(32, False), (33, True)])
def test_the_queue_holds_32_instructions(idle: int, late: bool) -> None:
    # With the queue full, the core is 32 of the shortest waits ahead, however long it has had before: time for so many
    # nops.
    found = trace("wait 10000\n" + "wait 4\n" * 60 + "nop\n" * idle + "wait 4\nstop")
    assert bool((lateness(found, free_timeline(found)) > 0).any()) is late


@pytest.mark.parametrize(("wait", "ahead"), [(40, True), (20, False)])
def test_a_loop_that_loses_a_little_in_each_iteration_runs_dry_in_the_end(wait: int, ahead: bool) -> None:
    text = f"move 1000,R0\nwait 1000\na: set_ph 1\nset_ph 2\nset_ph 3\nplay 0,0,{wait}\nloop R0,@a\nstop"
    short = run(prepare(assemble(text, memory=16_384)))
    assert short.shots == 1000
    assert keeps_ahead(short, free_timeline(short.trace)) is ahead
    full = trace(text)
    assert (first_late(full, free_timeline(full)) == len(full)) is ahead


def test_the_executor_starts_10_cycles_after_the_first_instruction_that_takes_time() -> None:
    found = trace("move 1,R0\nmove 1,R0\nset_ph 1\nnop\nwait 4\nwait 4\nstop")
    assert lateness(found, free_timeline(found)).tolist() == [-48, -40, -40]


def test_any_number_of_settings_may_come_before_the_first_instruction_that_takes_time() -> None:
    found = trace("set_ph 1\n" * 100 + "wait 4\nstop")
    assert first_late(found, free_timeline(found)) == len(found)


def test_an_empty_trace_is_never_late() -> None:
    found = trace("stop")
    assert first_late(found, free_timeline(found)) == 0
    assert np.array_equal(free_timeline(found).start, [0])
