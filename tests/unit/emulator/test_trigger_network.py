"""The trigger network of the emulated Cluster: a readout's bit decides what other sequencers do, when, and in which
shots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.emulator.cluster import performance, stepwise
from qubitd.emulator.cluster.triggers import LATEST, SOONEST, arrival, conflicts
from qubitd.emulator.errors import SlowRunError
from qubitd.emulator.events import EventTable
from qubitd.emulator.loopback import Loopback
from qubitd.emulator.outcomes import Outcomes
from qubitd.emulator.patience import nothing

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Bench

SLOTS = {1: "QCM-RF", 6: "QRM-RF"}
FULL = 32_768
THRESHOLD = "acq.0.th_acq.discr_threshold"
TRIGGER = "acq.0.th_acq_trg_map"
READ_AT, LENGTH = 104, 400
END = READ_AT + LENGTH
"""ns from the shot's beginning to the last sample that is integrated."""
ACT = END + LATEST
CONFLICT = "TRIGGER NETWORK CONFLICT"

READOUT = """
    move 0,R1
    move {shots},R0
    set_mrk 2
    set_awg_gain {gain},{gain}
    wait_sync 4
shot: upd_param {at}
    play 0,0,4
    acquire 0,R1,{rest}
    add R1,1,R1
    loop R0,@shot
    stop
"""
LISTEN = """
    move 0,R1
    move {shots},R0
    wait_sync 4
shot: upd_param {at}
    acquire 0,R1,{rest}
    add R1,1,R1
    loop R0,@shot
    stop
"""
ACTOR = """
    move {shots},R0
    set_mrk 1
    set_awg_gain 8192,8192
    wait_sync 4
shot: upd_param 4
    latch_rst 4
    set_latch_en 1,{until}
{body}
    loop R0,@shot
    stop
"""
PERIOD = 4000


class Desk:
    """A readout whose bit is 1 if its tone is above a quarter of full scale, an actor, and one that listens to it."""

    def __init__(self, bench: Bench, *, shots: int = 3) -> None:
        self.bench, self.shots = bench, shots
        bench.ask("*CLS;SLOT1:LO0:ENA 1;:SLOT1:LO1:ENA 1;:SLOT6:LO1:ENA 1")
        self.running = ["6.0", "6.5"]
        self.readout("6.0", address=1)
        self.listen(ACT)

    def readout(self, where: str, *, address: int, gain: float = 0.5, at: int = READ_AT - 4, inv: bool = False) -> None:
        program = READOUT.format(shots=self.shots, gain=round(gain * FULL), at=at, rest=PERIOD - at - 4)
        self._load(where, program, waves=[np.ones(LENGTH)], bins=True)
        self._configure(where, {THRESHOLD: 0.25 * LENGTH, f"{TRIGGER}.en": True, f"{TRIGGER}.addr": address})
        self.bench.configure(where, {f"{TRIGGER}.inv": inv})
        if where not in self.running:
            self.running.append(where)

    def listen(self, at: int) -> None:
        program = LISTEN.format(shots=self.shots, at=at, rest=PERIOD - at)
        self._load("6.5", program, bins=True)
        self._configure("6.5", {"acq.0.th_acq.non_weighed_integration_len": 40})

    def act(self, body: str, *, until: int = ACT - 4, where: str = "1.0", spent: int = 40) -> None:
        """Do something at `until` + 4 that takes `spent` ns."""
        text = f"{body}\n set_cond 0,0,0,0\n wait {PERIOD - until - 4 - spent}"
        program = ACTOR.format(shots=self.shots, until=until - 4, body=text)
        self._load(where, program, waves=[np.ones(40), np.full(40, 0.5)])
        self._configure(where, {})
        if where not in self.running:
            self.running.append(where)

    def run(self) -> list[str]:
        return self.bench.run(*self.running)

    def heard(self) -> list[float]:
        """Amplitude that came from the actor in every shot."""
        return [round(float(point.real), 6) for point in self.bench.points("6.5", 40)[: self.shots]]

    def bits(self, where: str = "6.0") -> NDArray[np.bool_]:
        return np.asarray(self.bench.bins(where)["threshold"][: self.shots] == 1)

    def _load(self, where: str, program: str, *, waves: Sequence[NDArray[np.float64]] = (), bins: bool = False) -> None:
        head = f"SLOT{where[0]}:SEQ{where[2]}:"
        self.bench.ask(f'{head}AWG:WLIS:WAV:DEL "all"')
        if bins:
            self.bench.ask(f'{head}ACQ:ALIS:ACQ:DEL "all"')
        self.bench.upload(where, program, waves=waves, bins=self.shots if bins else 0)

    def _configure(self, where: str, changes: dict[str, object]) -> None:
        length = {"acq.0.th_acq.non_weighed_integration_len": LENGTH} if where[0] == "6" else {}
        self.bench.configure(where, {"seq_proc.sync_en": True, **length, **changes})


@pytest.fixture
def desk(make_bench: Callable[..., Bench]) -> Desk:
    return Desk(make_bench(SLOTS))


@pytest.fixture(params=["laid out", "stepwise"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of execution."""
    if request.param == "stepwise":
        monkeypatch.setattr(performance, "score_with_conditions", lambda *_: None)
    return str(request.param)


PLAY_IF = "set_cond 1,1,0,40\nplay 0,0,40"
PLAY_IF_NOT = "set_cond 1,1,1,40\nplay 0,0,40"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("gain", "inv", "body", "heard"),
    [
        (0.5, False, PLAY_IF, 0.25),
        (0.1, False, PLAY_IF, 0.0),
        (0.5, True, PLAY_IF, 0.0),
        (0.1, True, PLAY_IF, 0.25),
        (0.5, False, PLAY_IF_NOT, 0.0),
        (0.1, False, PLAY_IF_NOT, 0.25),
    ],
)
def test_a_bit_decides_whether_a_pulse_is_played(desk: Desk, gain: float, inv: bool, body: str, heard: float) -> None:
    desk.readout("6.0", address=1, gain=gain, inv=inv)
    desk.act(body)
    assert {state.split(";")[0] for state in desk.run()} == {"OKAY"}
    assert desk.heard() == [heard] * 3
    assert desk.bits().all() == (gain > 0.25)


@pytest.mark.parametrize(("below", "bit"), [(0, False), (1, True)])
def test_a_sum_at_the_threshold_is_0(desk: Desk, below: int, bit: bool) -> None:
    """The window misses the first 4 ns of the tone."""
    desk.readout("6.0", address=1, gain=0.25)
    desk.bench.configure("6.0", {THRESHOLD: 0.25 * (LENGTH - 4) - below * 2.0**-22})
    desk.run()
    assert desk.bits().tolist() == [bit] * 3


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("operator", "truth"),
    [(0, [0, 1, 1, 1]), (1, [1, 0, 0, 0]), (2, [0, 0, 0, 1]), (3, [1, 1, 1, 0]), (4, [0, 1, 1, 0]), (5, [1, 0, 0, 1])],
)
def test_six_operators_join_two_bits(desk: Desk, operator: int, truth: list[int]) -> None:
    for number, expected in enumerate(truth):
        desk.readout("6.0", address=1, gain=0.1 + 0.3 * (number & 1))
        desk.readout("6.1", address=15, gain=0.1 + 0.3 * (number >> 1), at=READ_AT + LENGTH)
        desk.listen(ACT + 600)
        desk.act(f"set_cond 1,{1 | 1 << 14},{operator},40\nplay 0,0,40", until=ACT + 600 - 4)
        desk.run()
        assert desk.heard() == [0.25 * expected] * 3


def test_a_condition_is_false_until_the_trigger_may_have_come_and_certain_when_it_must_have(desk: Desk) -> None:
    heard = {}
    for at in (END + SOONEST - 1, END + SOONEST, END + LATEST - 1, END + LATEST):
        desk.listen(at)
        desk.act(PLAY_IF, until=at - 4)
        desk.run()
        heard[at - END] = desk.heard()[0]
    assert (heard[363], heard[388]) == (0.0, 0.25)
    assert heard[364] <= heard[387]


@pytest.mark.parametrize(("mask", "tables"), [(1, 1), (2, 3)])
def test_only_a_trigger_that_is_looked_at_leaves_a_run_in_doubt(desk: Desk, mask: int, tables: int) -> None:
    """The second readout's trigger may or may not have come when the actor looks."""
    looks = END + 700
    desk.readout("6.1", address=2, at=READ_AT - 4 + 700 - SOONEST - 6)
    desk.act(f"set_cond 1,{mask},0,40\nplay 0,0,40", until=looks - 4)
    desk.listen(looks)
    desk.run()
    assert len(desk.bench.cluster.played) == tables


def test_a_readout_may_begin_while_a_trigger_arrives(desk: Desk) -> None:
    desk.readout("6.1", address=2, at=END + SOONEST + 6, gain=0.0)
    desk.act(PLAY_IF)
    desk.run()
    assert desk.bench.table.shots == 3
    assert desk.heard() == [0.25] * 3


def test_a_trigger_takes_the_networks_next_slot() -> None:
    assert [arrival(140 + late) for late in (0, 3, 4, 27)] == [504, 507, 532, 532]
    assert max(arrival(end) - end for end in range(200)) == 388
    assert min(arrival(end) - end for end in range(200)) == 364


@pytest.mark.usefixtures("way")
def test_the_else_branch_takes_as_long_as_it_says(desk: Desk) -> None:
    """A false condition replaces the play by a wait of 400 ns and leaves out the gain, which takes no time."""
    desk.readout("6.0", address=1, gain=0.1)
    desk.act("set_cond 1,1,0,400\nset_awg_gain 4096,4096\nplay 0,0,40\nset_cond 0,0,0,0\nplay 0,0,40", spent=440)
    desk.listen(ACT + 400)
    desk.run()
    assert desk.heard() == [0.25] * 3


@pytest.mark.usefixtures("way")
def test_a_padded_complement_takes_the_same_time_whichever_way_it_goes(desk: Desk) -> None:
    padded = "set_cond 1,1,0,4\nset_awg_gain 4096,4096\nplay 0,0,40\nplay 0,0,40\n"
    padded += "set_cond 1,1,1,4\nwait 76\nset_cond 0,0,0,0\nset_awg_gain 8192,8192\nplay 1,1,40"
    for gain in (0.1, 0.5):
        desk.readout("6.0", address=1, gain=gain)
        desk.act(padded, spent=84 + 40)
        desk.listen(ACT + 84)
        desk.run()
        assert desk.heard() == [0.125] * 3


def test_branches_of_different_length_are_executed_shot_by_shot(make_bench: Callable[..., Bench]) -> None:
    """Each 0 lets the actor's shot end 32 ns earlier than each 1, and nobody waits for anybody."""
    desk = Desk(make_bench(SLOTS, digitiser=Loopback(noise=0.4)), shots=12)
    desk.readout("6.0", address=1, gain=0.25)
    desk.act("set_cond 1,1,0,8\nplay 0,0,40\nset_cond 0,0,0,0\nplay 1,1,40", until=ACT + 600, spent=80)
    desk.run()
    tables = desk.bench.cluster.played
    assert len(tables) == 12
    second = [int(table.plays.start[table.plays.port == 0][-1]) for table in tables]
    first = [int(table.acquisitions.start[0]) for table in tables]
    zeros = np.cumsum(~desk.bits())
    assert 0 < zeros[-1] < 12
    assert (np.diff(np.array(second) - np.array(first)) == -32 * np.diff(zeros)).all()


def test_a_run_that_is_followed_shot_by_shot_is_given_up_if_it_takes_too_long(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepwise, "MOST_SECONDS", 0.0)
    desk = Desk(make_bench(SLOTS, digitiser=Loopback(noise=0.4)), shots=12)
    desk.act("set_cond 1,1,0,8\nplay 0,0,40\nset_cond 0,0,0,0\nplay 1,1,40", until=ACT + 600, spent=80)
    assert {state.split(";")[:2] == ["ERROR", "STOPPED"] for state in desk.run()} == {True}
    assert "0 of 12 shots took" in desk.bench.errors()


@pytest.mark.parametrize(("seconds", "given_up"), [(0.1, 21), (50.0, 3), (1.0, 7), (0.08, None)])
def test_the_pace_of_some_shots_tells_how_long_all_will_take(seconds: float, given_up: int | None) -> None:
    """The first takes 5 s."""
    now = 0.0
    pace = stepwise.Pace(1000, clock=lambda: now)
    done = 0
    with pytest.raises(SlowRunError) if given_up else nullcontext():
        for done in range(1, 1001):
            now += 5.0 if done == 1 else seconds
            pace.watch(done)
    assert done == (given_up or 1000)


def test_a_shot_that_takes_too_long_by_itself_is_not_waited_for() -> None:
    now = 0.0
    check = stepwise.Pace(200, clock=lambda: now).go_on(1, nothing)
    check()
    now = 91.0
    with pytest.raises(
        SlowRunError, match=r"1 of 200 shots took 91.0 s, .* Ask for 1 shot at most, or for fewer rounds"
    ):
        check()


def test_what_waits_for_all_others_may_take_any_time_before(make_bench: Callable[..., Bench]) -> None:
    desk = Desk(make_bench(SLOTS, digitiser=Loopback(noise=0.4)), shots=40)
    desk.readout("6.0", address=1, gain=0.25)
    desk.act("")
    uneven = "set_cond 1,1,0,8\nplay 0,0,40\nset_cond 0,0,0,0\nplay 1,1,40\nwait 2000\nwait_sync 4"
    desk.bench.upload("1.0", ACTOR.format(shots=40, until=ACT - 8, body=uneven))
    read = READOUT.format(shots=40, gain=FULL // 4, at=READ_AT - 4, rest=PERIOD - READ_AT)
    for where, text in (("6.0", read), ("6.5", LISTEN.format(shots=40, at=ACT, rest=PERIOD - ACT))):
        desk.bench.upload(where, text.replace("add R1,1,R1", "add R1,1,R1\n wait_sync 4"))
    desk.run()
    heard = np.array(desk.heard())
    table = desk.bench.table
    assert table.shots == 40
    played = table.plays.start[table.plays.port == 0] - table.acquisitions.start[0]
    assert np.diff(played).tolist() == [8, 32]
    assert heard[desk.bits()].mean() > heard[~desk.bits()].mean()


def test_latch_rst_forgets_what_came_before(desk: Desk) -> None:
    desk.act("latch_rst 4\n" + PLAY_IF, until=ACT - 4, spent=44)
    desk.listen(ACT + 4)
    desk.run()
    assert desk.heard() == [0.0] * 3


@pytest.mark.usefixtures("way")
def test_triggers_count_only_while_latches_are_enabled(desk: Desk) -> None:
    desk.act(f"set_latch_en 0,{ACT}\nset_latch_en 1,100\n" + PLAY_IF, until=8, spent=ACT + 140)
    desk.listen(ACT + 112)
    desk.run()
    assert desk.heard() == [0.0] * 3


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("threshold", "invert", "heard"), [(1, False, 0.25), (2, False, 0.25), (3, False, 0.0), (3, True, 0.25)]
)
def test_a_counter_counts_up_to_its_threshold(desk: Desk, threshold: int, invert: bool, heard: float) -> None:
    desk.readout("6.1", address=1, at=READ_AT + LENGTH)
    desk.act(PLAY_IF, until=ACT + 600 - 4)
    desk.bench.configure(
        "1.0", {"seq_proc.trg.0.count_threshold": threshold, "seq_proc.trg.0.threshold_invert": invert}
    )
    desk.listen(ACT + 600)
    desk.run()
    assert desk.heard() == [heard] * 3


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("apart", "threshold", "conflict"), [(251, 0.2, True), (252, 0.2, False), (0, 0.2, True), (100, 1.2, False)]
)
def test_two_triggers_at_a_time_are_a_conflict(desk: Desk, apart: int, threshold: float, conflict: bool) -> None:
    desk.readout("6.1", address=2, at=READ_AT - 4 + apart)
    desk.bench.configure("6.1", {THRESHOLD: threshold * LENGTH})
    desk.act(PLAY_IF)
    states = desk.run()
    assert [CONFLICT in state for state in states] == [False, False, conflict, False]


def test_the_last_trigger_of_a_shot_may_meet_the_first_of_the_next(desk: Desk) -> None:
    desk.readout("6.1", address=2, at=PERIOD - 50)
    for where in ("6.0", "6.1"):
        desk.bench.configure(where, {"acq.0.th_acq.non_weighed_integration_len": 40, THRESHOLD: 10})
    desk.act(PLAY_IF)
    assert sum(CONFLICT in state for state in desk.run()) == 1


def test_a_skipped_acquisition_fills_no_bin_and_sends_no_trigger(desk: Desk) -> None:
    desk.readout("6.0", address=1, gain=0.1)
    desk.act(PLAY_IF_NOT.replace("1,1,1", "1,2,0"), until=ACT + 1000 - 4)
    body = "set_cond 1,1,0,400\nacquire 0,R1,400\nset_cond 0,0,0,0\nadd R1,1,R1"
    program = ACTOR.replace("set_mrk 1", "move 0,R1").format(
        shots=3, until=ACT - 8, body=f"{body}\nwait {PERIOD - ACT - 400}"
    )
    desk.bench.upload("6.2", program, bins=3)
    desk.bench.configure(
        "6.2", {"seq_proc.sync_en": True, f"{TRIGGER}.en": True, f"{TRIGGER}.addr": 2, f"{TRIGGER}.inv": True}
    )
    desk.running.append("6.2")
    desk.listen(ACT + 1000)
    desk.run()
    assert desk.bench.bins("6.2")["count"].tolist() == [0, 0, 0]
    assert desk.heard() == [0.0] * 3


def test_wait_trigger_waits_for_the_trigger_of_its_address(desk: Desk) -> None:
    body = "wait_trigger 1,100\nplay 0,0,40\nwait_sync 4"
    program = ACTOR.format(shots=1, until=20, body=body)
    desk.bench.upload("1.0", program, waves=[np.ones(40)])
    desk.bench.configure("1.0", {})
    desk.running.append("1.0")
    desk.run()
    (table,) = desk.bench.cluster.played
    begun = table.plays.start[table.plays.port == 0] - table.acquisitions.start[0]
    assert begun.tolist() == [LENGTH + arrival(table_end(table)) - table_end(table) + 100]


def table_end(table: EventTable) -> int:
    return int(table.acquisitions.start[0]) + LENGTH


def test_a_trigger_that_never_comes_is_waited_for_without_end(desk: Desk) -> None:
    desk.act("wait_trigger 3,100")
    assert desk.run()[-1].split(";")[1] == "RUNNING"


def test_a_conditional_phase_moves_what_is_played_later(make_bench: Callable[..., Bench]) -> None:
    desk = Desk(make_bench(SLOTS, digitiser=Loopback(noise=0.4)), shots=200)
    desk.readout("6.0", address=1, gain=0.25)
    body = "set_cond 1,1,0,8\nset_ph_delta 500000000\nupd_param 8\nset_cond 0,0,0,0\nplay 0,0,40\nreset_ph\nupd_param 4"
    desk.act(body, spent=52)
    desk.bench.configure("1.0", {"awg.0.mixer.en": True})
    desk.listen(ACT + 8)
    desk.run()
    table = desk.bench.table
    assert table.shots == 200
    turned = table.plays.phase[table.plays.port == 0]
    assert sorted(turned.tolist()) == [0.0, 0.5]
    heard = np.array(desk.heard())
    bits = desk.bits()
    assert heard[bits].mean() == pytest.approx(-0.25, abs=5 * 0.4 / np.sqrt(bits.sum()))
    assert heard[~bits].mean() == pytest.approx(0.25, abs=5 * 0.4 / np.sqrt((~bits).sum()))


@pytest.mark.parametrize(("other", "is_clipped"), [("1,1,1", False), ("1,1,0", True), ("1,2,0", True), ("0,0,0", True)])
def test_outputs_overflow_only_by_what_may_be_played_together(desk: Desk, other: str, is_clipped: bool) -> None:
    """A loud pulse if the first outcome is 1, and another one, on the same output, if it is 0, if it is 1 as well, if
    a second outcome is 1, or in any case."""
    desk.readout("6.0", address=1, gain=0.5)
    desk.readout("6.1", address=2, gain=0.5, at=READ_AT + LENGTH)
    for where, condition in (("1.0", "1,1,0"), ("1.1", other)):
        body = f"set_awg_gain 20000,20000\nset_cond {condition},40\nplay 0,0,40"
        desk.act(body, until=ACT + 600, where=where)
        desk.bench.ask(f"SLOT1:SEQ{where[2]}:CHAN ", b"[[0],[]]")
    assert any("OUTPUT OVERFLOW" in state for state in desk.run()) == is_clipped


def test_an_outcome_of_the_shot_before_counts_until_it_is_cleared(desk: Desk) -> None:
    """Nothing clears the counter, so from the second shot on the first play is seen to happen."""
    desk.act(PLAY_IF, until=200)
    text = ACTOR.format(shots=3, until=196, body=PLAY_IF + f"\nset_cond 0,0,0,0\nwait {PERIOD - 244}")
    desk.bench.upload("1.0", text.replace("latch_rst 4", "wait 4"))
    desk.listen(204)
    desk.run()
    assert [tone > 0.5 for tone in desk.heard()] == [False, True, True]
    assert len(desk.bench.cluster.played) == 3


def test_a_conditional_reset_of_the_counters_is_followed(desk: Desk) -> None:
    desk.act("set_cond 1,1,0,20\nlatch_rst 20\nset_cond 0,0,0,0\n" + PLAY_IF_NOT, spent=60)
    desk.listen(ACT + 20)
    desk.run()
    assert desk.heard() == [0.25] * 3
    assert len(desk.bench.cluster.played) == 3


def test_a_conditional_switch_is_followed(desk: Desk) -> None:
    desk.act("set_cond 1,1,1,20\nset_mrk 0\nupd_param 20\nset_cond 0,0,0,0\nplay 0,0,40", spent=60)
    desk.listen(ACT + 20)
    desk.run()
    assert desk.heard() == [0.25] * 3
    desk.readout("6.0", address=1, gain=0.1)
    desk.listen(ACT + 20)
    desk.run()
    assert desk.heard() == [0.0] * 3


def test_more_outcomes_than_can_be_laid_out_are_followed_one_by_one(desk: Desk) -> None:
    acquire = "acquire 0,R1,260\nadd R1,1,R1\nnop\n"
    program = READOUT.format(shots=3, gain=FULL // 2, at=READ_AT - 4, rest=300)
    rest = f"add R1,1,R1\n{acquire * 12}wait {16_000 - 3_524}"
    desk.bench.ask('SLOT6:SEQ0:ACQ:ALIS:ACQ:DEL "all"')
    desk.bench.ask('SLOT6:SEQ0:AWG:WLIS:WAV:DEL "all"')
    desk.bench.upload("6.0", program.replace("add R1,1,R1", rest), waves=[np.ones(4_000)], bins=39)
    desk.bench.configure("6.0", {"acq.0.th_acq.non_weighed_integration_len": 40, THRESHOLD: 10})
    desk.act(PLAY_IF, until=4_000)
    desk.bench.configure("1.0", {"seq_proc.trg.0.count_threshold": 13})
    text = ACTOR.format(shots=3, until=3_996, body=PLAY_IF + f"\nset_cond 0,0,0,0\nwait {16_000 - 4_044}")
    desk.bench.upload("1.0", text)
    listen = LISTEN.format(shots=3, at=4_004, rest=16_000 - 4_004)
    desk.bench.upload("6.5", listen)
    desk.run()
    assert [tone > 0.5 for tone in desk.heard()] == [True] * 3
    assert len(desk.bench.cluster.played) == 3


BLOCKS = (
    "set_cond 1,{mask},{op},40\nplay {wave},{wave},40\nset_cond 0,0,0,0",
    "set_cond 1,{mask},{op},4\nset_awg_gain 4096,2048\nplay 0,0,40\nplay 1,0,36\nset_cond 1,{mask},{no},4\nwait 72\n"
    "set_cond 0,0,0,0",
    "set_cond 1,{mask},{op},8\nset_ph_delta 125000000\nupd_param 8\nset_cond 0,0,0,0",
    "set_cond 1,{mask},{op},60\nset_freq 40000\nplay {wave},1,60\nset_cond 0,0,0,0",
    "play {wave},0,44",
    "latch_rst 8",
    "set_cond 1,{mask},{op},100\nwait 100\nset_cond 0,0,0,0\nreset_ph\nupd_param 4",
)


@pytest.mark.parametrize("seed", range(6))
def test_both_ways_play_the_same(seed: int, make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """Random programs: every shot that was executed by itself is one that the laid out run has with its outcomes."""
    fast, slow = (random_run(make_bench, seed, shots=shots) for shots in (2000, 30))
    fast.run()
    monkeypatch.setattr(performance, "score_with_conditions", lambda *_: None)
    slow.run()
    (table,) = fast.bench.cluster.played
    tables = slow.bench.cluster.played
    assert (len(tables), table.shots) == (30, 2000)
    bits = np.stack([slow.bits(where) for where in ("6.0", "6.1")], axis=1).tolist()
    differing = [shot for shot, single in enumerate(tables) if rows(single) != rows(with_bits(table, bits[shot]))]
    assert differing == []
    for where in ("6.0", "6.1"):
        share, few = fast.bits(where).mean(), slow.bits(where).mean()
        assert few == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / 30))
    assert fast.bench.points("6.5", 40)[:2000].mean() == pytest.approx(
        slow.bench.points("6.5", 40)[:30].mean(), abs=5 * 0.5 / np.sqrt(30)
    )


def random_run(make_bench: Callable[..., Bench], seed: int, *, shots: int) -> Desk:
    rng = np.random.default_rng(seed)
    desk = Desk(make_bench(SLOTS, digitiser=Loopback(noise=0.4)), shots=shots)
    desk.bench.cluster.rng = np.random.default_rng(seed + shots)
    desk.readout("6.0", address=1, gain=0.2)
    desk.readout("6.1", address=4, gain=0.3, at=READ_AT + LENGTH)
    for slot in ("1.0", "1.1"):
        picked = [BLOCKS[i] for i in rng.integers(len(BLOCKS), size=6)]
        body = "\n".join(
            block.format(
                mask=(mask := int(rng.choice([1, 8, 9]))), op=(op := int(rng.integers(6))), no=op ^ 1, wave=mask % 2
            )
            for block in picked
        )
        spent = sum(_SPENT[BLOCKS.index(block)] for block in picked)
        desk.act(
            f"{body}\nreset_ph\nset_freq 0\nset_awg_gain 8192,8192\nupd_param 4",
            until=ACT + 600,
            where=slot,
            spent=spent + 4,
        )
        desk.bench.configure(slot, {"awg.0.mixer.en": True})
    desk.listen(ACT + 640)
    return desk


_SPENT = (40, 80, 8, 60, 44, 8, 104)


def with_bits(table: EventTable, bits: list[bool]) -> EventTable:
    """Give a table as it is in shots with these outcomes, the readouts being in the order of their windows."""
    senders = np.argsort(table.acquisitions.sequencer + 1000 * ~np.isin(table.acquisitions.sequencer, [48, 49]))
    known = Outcomes(table, lambda row, _: np.full(table.shots, bits[senders.tolist().index(row)]), shots=table.shots)
    for row in np.flatnonzero(table.acquisitions.feeds).tolist():
        known.record(row, np.zeros(table.shots, dtype=np.complex128))
    return _filtered(table, np.array([known.mask(int(c))[0] for c in table.plays.condition], dtype=np.bool_))


def _filtered(table: EventTable, on: NDArray[np.bool_]) -> EventTable:
    plays = replace(table.plays, **{f.name: getattr(table.plays, f.name)[on] for f in fields(table.plays)})
    return replace(table, plays=plays)


def rows(table: EventTable) -> list[tuple[float, ...]]:
    """Give what was played, counted from the first readout."""
    plays = table.plays
    first = table.acquisitions.start.min()
    digests = [waveform.digest for waveform in table.waveforms]
    columns = (plays.start - first, plays.length, plays.port, plays.gain_i, plays.gain_q, plays.frequency)
    listed = zip(
        *(column.tolist() for column in columns),
        np.round(plays.phase, 9).tolist(),
        plays.waveform.tolist(),
        strict=True,
    )
    return sorted((*row, digests[wave]) for *row, wave in listed)


def test_conflicts_are_found_in_the_order_of_time() -> None:
    end = np.array([0, 100, 300, 700])
    sent = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1], [1, 1, 1]], dtype=np.bool_)
    assert conflicts(end, sent).tolist() == [False, True, True, False]
