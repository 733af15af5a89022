"""The emulated Cluster by its answers: identity, uploads, states, front end, what it plays and acquires."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qubitd.emulator.clock import RealClock
from qubitd.emulator.cluster import performance
from qubitd.emulator.cluster.profile import Profile

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Bench

S = "SLOT6:SEQ0:"
HALF = np.full(200, 0.5)
ONES = np.ones(1000)
READ = """
    move 0,R1
    move {shots},R0
    set_mrk 2
    wait_sync 4
shot: reset_ph
    set_awg_gain 16384,16384
    upd_param 100
    play 0,0,4
    acquire 0,R1,1996
    add R1,1,R1
    loop R0,@shot
    set_mrk 0
    upd_param 4
    stop
"""
MODULATED = {
    "seq_proc.sync_en": True,
    "awg.0.mixer.en": True,
    "awg.0.nco.freq_hz": 80e6,
    "acq.0.demod.en": True,
    "acq.0.th_acq.non_weighed_integration_len": 400,
}


def contents(answer: bytes) -> list[bytes]:
    found: list[bytes] = []
    while answer:
        digits = int(answer[1:2])
        size = int(answer[2 : 2 + digits])
        found.append(answer[2 + digits : 2 + digits + size])
        answer = answer[2 + digits + size :]
    return found


def readout(bench: Bench, *, shots: int = 3, program: str = READ, bins: int = 100) -> None:
    bench.upload("6.0", program.format(shots=shots), waves=[ONES], bins=bins)
    bench.configure("6.0", MODULATED)


def test_the_frame_describes_itself_and_its_modules(bench: Bench) -> None:
    assert bench.text("*IDN?").startswith("Qblox,Cluster MM,")
    assert bench.text("SLOT6:*IDN?").startswith("Qblox,Cluster QRM,")
    assert bench.ask("*IDN?", port=6).startswith(b"Qblox,Cluster QRM,")
    (description,) = contents(bench.ask("*DESC?"))
    modules = json.loads(description)["modules"]
    assert {slot: (m["model"], m["is_rf"]) for slot, m in modules.items()} == {
        "1": ("cluster_qcm", True),
        "4": ("cluster_qcm", False),
        "6": ("cluster_qrm", True),
    }
    assert json.loads(contents(bench.ask("*MODS?"))[0]).keys() == {"SLOT 1", "SLOT 4", "SLOT 6"}
    assert json.loads(contents(bench.ask("*DESC?", port=6))[0])["is_qrm"]
    assert bench.text("BP:MOD?") == str(0b101001)
    assert bench.text("STAT:GEN:STATE?") == "OKAY;"


def test_errors_go_to_the_port_on_which_the_message_came(bench: Bench) -> None:
    bench.ask("SLOT6:FOO")
    assert bench.ask("SYST:ERR:COUN?", port=6) == b"0"
    assert bench.errors() == '-113,"Undefined header; SLOT6:FOO"'
    bench.ask("FOO", port=6)
    assert bench.errors() == '0,"No error"'
    assert bench.ask("SYST:ERR?", port=6).startswith(b"-113")


def test_an_empty_slot_and_a_seventh_sequencer_do_not_exist(bench: Bench) -> None:
    bench.ask("SLOT2:SEQ0:ARM")
    bench.ask("SLOT6:SEQ6:ARM")
    assert (
        bench.errors() == '-241,"Hardware missing; slot 2 holds no module",'
        '-114,"Header suffix out of range; sequencer 6; slot 6 has 0 to 5"'
    )


def test_a_program_that_does_not_assemble_is_told_with_its_log(bench: Bench) -> None:
    bench.ask(f"{S}PROG ", b"play 0,0,3")
    assert bench.errors() == '-285,"Program syntax error; Assembly failed."'
    assert bench.text("SLOT6:STAT:ASSEM:SUCC?") == "0"
    assert b"value: 3 out of range (4,65535)" in bench.ask("SLOT6:STAT:ASSEM:LOG?")
    bench.ask(f"{S}ARM")
    assert bench.errors() == '-221,"Settings conflict; slot 6 sequencer 0 holds no program"'
    bench.ask(f"{S}PROG ", b"stop")
    assert bench.text("SLOT6:STAT:ASSEM:SUCC?") == "1"
    assert contents(bench.ask("SLOT6:STAT:ASSEM:LOG?")) == [b"assembler finished successfully\n"]


@pytest.mark.parametrize(("where", "limit"), [("6.0", 12_288), ("4.0", 16_384), ("1.0", 16_384)])
def test_program_memory_is_that_of_the_module(bench: Bench, where: str, limit: int) -> None:
    bench.upload(where, "nop\n" * limit)
    assert bench.errors() == '0,"No error"'
    bench.upload(where, "nop\n" * (limit + 1))
    assert "Assembly failed" in bench.errors()


def test_a_waveform_is_created_filled_read_and_deleted(bench: Bench) -> None:
    bench.upload("6.0", "stop", waves=[HALF, ONES])
    head = f"{S}AWG:WLIS"
    assert bench.text(f"{head}:SIZE?") == "2"
    assert bench.text(f'{head}:WAV:LENG? "w1"') == "1000"
    assert bench.text(f'{head}:WAV:IND? "w1"') == "1"
    assert bench.text(f"{head}:WAV:NAME? 1") == '"w1"'
    assert np.frombuffer(contents(bench.ask(f'{head}:WAV:DATA? "w0"'))[0], "<f4").tolist() == HALF.tolist()
    assert len(contents(bench.ask(f'{head}:WAV:DATA? "w0",10,20'))[0]) == 80
    listed = contents(bench.ask(f"{head}?"))
    assert [listed[0], listed[1], listed[2]] == [b"\x02\0\0\0", b"w0", b"\0\0\0\0"]
    bench.ask(f'{head}:WAV:DEL "w0"')
    assert bench.text(f"{head}:SIZE?") == "1"
    bench.ask(f'{head}:WAV:DEL "all"')
    assert bench.text(f"{head}:SIZE?") == "0"
    assert bench.errors() == '0,"No error"'


def test_giving_an_index_that_is_taken_moves_its_holder(bench: Bench) -> None:
    bench.upload("6.0", "stop", waves=[HALF, ONES])
    bench.ask(f'{S}AWG:WLIS:WAV:IND "w1",0')
    assert bench.text(f'{S}AWG:WLIS:WAV:IND? "w0"') == "1"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ('AWG:WLIS:WAV:NEW "w0",10,0', -221),
        ('AWG:WLIS:WAV:NEW "x",15000,0', -225),
        ('AWG:WLIS:WAV:NEW "x",0,0', -222),
        ('AWG:WLIS:WAV:NEW "",10,0', -220),
        ('AWG:WLIS:WAV:NEW "x",10', -109),
        ('AWG:WLIS:WAV:IND "w0",1024', -222),
        ('AWG:WLIS:WAV:IND "x",0', -220),
        ("AWG:WLIS:WAV:NAME? 5", -220),
        ('AWG:WLIS:WAV:DATA "w0",1', -161),
        ('ACQ:ALIS:ACQ:NEW "acq",131073', -225),
        ('ACQ:ALIS:ACQ:DATA:DEL "x"', -220),
        ("CONF 5", -161),
    ],
)
def test_uploads_have_limits(bench: Bench, command: str, code: int) -> None:
    bench.upload("6.0", "stop", waves=[np.zeros(2000)])
    bench.ask(S + command)
    assert bench.errors().startswith(f"{code},")


def test_samples_are_as_many_as_announced_and_within_full_scale(bench: Bench) -> None:
    bench.ask(f'{S}AWG:WLIS:WAV:NEW "a",2,0')
    for samples in ([0.5], [0.5, 1.1], [0.5, np.nan]):
        bench.ask(f'{S}AWG:WLIS:WAV:DATA "a",', np.array(samples, dtype="<f4").tobytes())
    assert [error.split(",")[0] for error in bench.errors().split('",')] == ["-220", "-222", "-222"]


def test_memories_are_full_at_their_limit_and_not_before(make_bench: Callable[..., Bench]) -> None:
    profile = Profile(waveforms=2, waveform_samples=100, weights=2, weight_samples=50, acquisitions=2, bins=10)
    bench = make_bench({6: "QRM-RF"}, profile=profile)
    for command in ('AWG:WLIS:WAV:NEW "{}",50,0', 'ACQ:WLIS:WEI:NEW "{}",25,0', 'ACQ:ALIS:ACQ:NEW "{}",5'):
        for name in ("a", "b"):
            bench.ask(S + command.format(name))
        assert bench.errors() == '0,"No error"'
        bench.ask(S + command.format("c").replace("50", "1").replace("25", "1").replace("5", "1"))
        assert bench.errors().startswith("-225,")


def test_what_a_sequencer_holds_cannot_be_changed_while_it_is_armed(bench: Bench) -> None:
    bench.upload("6.0", "stop", waves=[HALF], weights=[HALF], bins=5)
    bench.ask(f"{S}ARM")
    assert bench.state("6.0") == "OKAY;ARMED;;;;"
    changes = (
        'AWG:WLIS:WAV:NEW "x",1,0',
        'AWG:WLIS:WAV:DEL "all"',
        'AWG:WLIS:WAV:IND "w0",1',
        'ACQ:WLIS:WEI:DEL "all"',
        'ACQ:ALIS:ACQ:NEW "x",1',
        'ACQ:ALIS:ACQ:DEL "all"',
        'ACQ:ALIS:ACQ:DATA:DEL "all"',
    )
    for change in changes:
        bench.ask(S + change)
    for change, block in (
        ("PROG ", b"stop"),
        ("CONF ", b"{}"),
        ("CHAN ", b"[[0],[1]]"),
        ("ACQ:CHAN ", b"[[0],[1]]"),
        ('AWG:WLIS:WAV:DATA "w0",', b""),
    ):
        bench.ask(S + change, block)
    errors = bench.errors().split('",')
    assert len(errors) == len(changes) + 5
    assert all(error.startswith("-221,") and "ARMED" in error for error in errors)


def test_a_started_sequencer_counts_as_running_until_somebody_asks(bench: Bench) -> None:
    bench.upload("6.0", "wait 100\nstop")
    bench.ask(f"{S}ARM")
    bench.ask(f"{S}START")
    bench.ask(f"{S}PROG ", b"stop")
    assert "RUNNING" in bench.errors()
    assert bench.state("6.0") == "OKAY;STOPPED;;;;"


def test_only_an_armed_sequencer_starts(bench: Bench) -> None:
    bench.upload("6.0", "stop")
    bench.ask(f"{S}START")
    assert bench.errors() == '-211,"Trigger ignored; slot 6 sequencer 0 is IDLE, not ARMED"'


def test_stopping_an_armed_sequencer_disarms_it(bench: Bench) -> None:
    bench.upload("6.0", "stop")
    bench.ask(f"{S}ARM")
    bench.ask(f"{S}STOP")
    assert bench.state("6.0") == "OKAY;STOPPED;DISARMED,;;;"
    bench.ask(f"{S}CLR:FLAGS")
    assert bench.state("6.0") == "OKAY;STOPPED;;;;"


def test_stopping_an_idle_sequencer_changes_nothing(bench: Bench) -> None:
    bench.ask(f"{S}STOP")
    assert bench.state("6.0") == "OKAY;IDLE;;;;"


def test_points_are_those_of_what_was_played(bench: Bench) -> None:
    readout(bench)
    assert bench.run("6.0") == ["OKAY;STOPPED;ACQ BINNING DONE,;;;"]
    bins = bench.bins("6.0")
    assert bins["count"].tolist() == [1, 1, 1] + [0] * 97
    assert bins["valid"].tolist() == [1, 1, 1] + [0] * 97
    assert bins["path0"][:3].tolist() == [round(0.5 * 400 * 2**22)] * 3
    assert np.allclose(bench.points("6.0", 400)[:3], 0.5 + 0.5j)


def test_one_table_stands_for_all_shots(bench: Bench) -> None:
    readout(bench, shots=100)
    bench.run("6.0")
    table = bench.table
    assert (table.shots, table.duration) == (100, 2100)
    assert table.plays.start.tolist() == [100]
    assert table.plays.length.tolist() == [1000]
    assert table.plays.frequency.tolist() == [80e6]
    assert table.plays.phase.tolist() == [0.0]
    assert table.outputs[table.plays.port[0]].name == "slot6.out0"
    assert table.acquisitions.start.tolist() == [104]
    assert np.allclose(table.acquisitions.phase, 0.32)
    assert bench.cluster.clock.now() == 4 + 100 * 2100 + 4


def test_loops_of_different_lengths_are_played_in_full(bench: Bench) -> None:
    loop = "move {0},R0\na: reset_ph\nset_mrk 2\nplay 0,0,300\nloop R0,@a\nstop"
    bench.upload("6.0", loop.format(5), waves=[HALF])
    bench.upload("6.1", loop.format(9), waves=[HALF])
    bench.run("6.0", "6.1")
    assert bench.table.shots == 1
    assert bench.table.plays.start.tolist() == sorted([*range(0, 1500, 300), *range(0, 2700, 300)])


def test_a_first_shot_with_a_bin_of_its_own_is_no_even_count(bench: Bench) -> None:
    readout(bench, shots=20, program=READ.replace("add R1,1,R1", "move 7,R1"), bins=8)
    bench.run("6.0")
    assert bench.bins("6.0")["count"].tolist() == [1, 0, 0, 0, 0, 0, 0, 19]


def test_sequencers_that_reach_a_synchronised_loop_at_different_times_share_it(bench: Bench) -> None:
    loop = "a: wait_sync 4\nreset_ph\nupd_param 8\nwait {1}\nplay 0,0,300\nloop R0,@a\nstop"
    for where, before, within in (("6.0", 1000, 500), ("6.1", 40, 20)):
        bench.upload(where, ("wait {0}\nset_mrk 2\nmove 50,R0\n" + loop).format(before, within), waves=[HALF])
        bench.configure(where, {"seq_proc.sync_en": True})
    bench.run("6.0", "6.1")
    assert (bench.table.shots, bench.table.duration) == (50, 812)
    assert bench.table.plays.start.tolist() == [32, 512]


def test_a_loop_that_takes_no_time_is_no_shot_loop(bench: Bench) -> None:
    bench.upload("6.0", "move 50,R0\na: set_ph 1\nloop R0,@a\nset_mrk 2\nplay 0,0,300\nstop", waves=[HALF])
    bench.run("6.0")
    assert (bench.table.shots, bench.table.plays.start.tolist()) == (1, [0])


def test_what_happens_only_in_the_middle_of_a_loop_is_played(bench: Bench) -> None:
    # First, second and last shot are alike; only the counter, which decides, tells that others are not.
    loop = (
        "move 100,R0\nmove 0,R1\na: reset_ph\nset_mrk 2\nupd_param 100\nadd R1,1,R1\nnop\n"
        "jlt R1,50,@no\njge R1,60,@no\nplay 0,0,300\njmp @end\nno: wait 300\nend: nop\nloop R0,@a\nstop"
    )
    bench.upload("6.0", loop, waves=[HALF])
    bench.run("6.0")
    assert bench.table.shots == 1
    assert bench.table.plays.start.tolist() == [100 + 400 * shot for shot in range(49, 59)]


def test_a_waveform_that_the_next_shot_cuts_off_is_played_in_full(bench: Bench) -> None:
    # The last shot's is cut off as well, by what comes after the loop: all shots are alike, but they touch.
    loop = "move 10,R0\nset_mrk 2\na: reset_ph\nupd_param 8\nplay 0,0,100\nloop R0,@a\n"
    bench.upload("6.0", loop + "reset_ph\nupd_param 8\nplay 0,0,300\nstop", waves=[HALF])
    bench.run("6.0")
    assert bench.table.shots == 1
    assert bench.table.plays.length.tolist() == [108] * 10 + [200]


@pytest.mark.parametrize("points", [1, 7, 1000])
def test_points_are_asked_for_a_few_shots_at_a_time(bench: Bench, points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, "_POINTS_AT_ONCE", points)
    readout(bench, shots=50)
    bench.run("6.0")
    assert bench.bins("6.0")["count"].tolist() == [1] * 50 + [0] * 50
    assert np.allclose(bench.points("6.0", 400)[:50], 0.5 + 0.5j)


@pytest.mark.parametrize("tail", ["play 0,0,100", "acquire 0,0,100"])
def test_what_reaches_into_the_next_shot_is_played_in_full(bench: Bench, tail: str) -> None:
    bench.upload(
        "6.0", f"move 10,R0\na: set_mrk 2\nreset_ph\nupd_param 8\n{tail}\nloop R0,@a\nstop", waves=[HALF], bins=1
    )
    bench.run("6.0")
    assert bench.table.shots == 1
    assert len(bench.table.plays.start) + len(bench.table.acquisitions.start) == 10


def test_bins_that_restart_with_each_shot_average(bench: Bench) -> None:
    readout(bench, shots=50, program=READ.replace("reset_ph", "reset_ph\n    move 0,R1"))
    bench.run("6.0")
    bins = bench.bins("6.0")
    assert bins["count"].tolist() == [50] + [0] * 99
    assert bins["path0"][0] == 50 * round(0.5 * 400 * 2**22)


def test_data_stay_until_they_are_deleted(bench: Bench) -> None:
    readout(bench)
    bench.run("6.0")
    bench.run("6.0")
    assert bench.bins("6.0")["count"][:3].tolist() == [2, 2, 2]
    bench.ask(f'{S}ACQ:ALIS:ACQ:DATA:DEL "acq"')
    assert bench.bins("6.0")["count"].sum() == 0
    assert bench.text(f'{S}ACQ:ALIS:ACQ:BIN? "acq"') == "100"


def test_a_list_of_acquisitions_is_blocks_one_after_the_other(bench: Bench) -> None:
    readout(bench, bins=5)
    count, name, index, *scopes, bins = contents(bench.ask(f"{S}ACQ:ALIS?"))
    assert (count, name, index) == (b"\1\0\0\0", b"acq", b"\0\0\0\0")
    assert scopes == [b"", b"\0", b"\0\0\0\0"] * 2
    assert len(bins) == 5 * 32


@pytest.mark.parametrize(("angle", "bit"), [(0, 1), (170, 0), (45, 0), (-45, 1)])
def test_the_bit_is_the_rotated_sum_beyond_the_threshold(bench: Bench, angle: float, bit: int) -> None:
    readout(bench)
    rotation = np.exp(1j * np.deg2rad(angle))
    bench.configure(
        "6.0",
        {
            "acq.0.th_acq.rotation_matrix_a11": rotation.real,
            "acq.0.th_acq.rotation_matrix_a12": -rotation.imag,
            # The sum of 400 samples of 0.5 is 200 on both paths.
            "acq.0.th_acq.discr_threshold": 199.0,
        },
    )
    bench.run("6.0")
    assert bench.bins("6.0")["threshold"][:3].tolist() == [bit] * 3


def test_a_sum_at_the_threshold_is_not_beyond_it(bench: Bench) -> None:
    readout(bench)
    bench.configure("6.0", {"acq.0.th_acq.discr_threshold": 200.0, "awg.0.nco.freq_hz": 0.0})
    bench.run("6.0")
    assert bench.bins("6.0")["threshold"][0] == 0


def test_a_weight_multiplies_the_samples_of_both_quadratures(bench: Bench) -> None:
    program = READ.replace("acquire 0,R1,", "acquire_weighed 0,R1,R2,R3,").replace("move 0,R1", "move 0,R1\nmove 1,R3")
    weight = np.linspace(0, 1, 301)
    # Two entries of the same samples are the same weight.
    bench.upload("6.0", program.format(shots=2), waves=[ONES], weights=[weight, weight], bins=4)
    bench.configure("6.0", MODULATED)
    assert bench.run("6.0") == ["OKAY;STOPPED;ACQ BINNING DONE,;;;"]
    bins = bench.bins("6.0")
    assert np.allclose(bins["path0"][:2] / 2**22, 0.5 * weight.sum(), rtol=1e-6)
    assert np.allclose(bins["path1"][:2] / 2**22, 0.5 * weight.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    "damage",
    [
        ("set_mrk 2", "set_mrk 1"),
        ("set_mrk 2", "nop"),
        ("SLOT6:LO1:ENA 0", ""),
    ],
)
def test_nothing_leaves_an_rf_output_whose_switch_or_lo_is_off(bench: Bench, damage: tuple[str, str]) -> None:
    command, instead = damage
    readout(bench, program=READ.replace(command, instead) if instead else READ)
    if not instead:
        bench.ask(command)
    bench.run("6.0")
    assert len(bench.table.plays.start) == 0
    assert np.allclose(bench.points("6.0", 400), 0)


def test_a_switch_that_opens_late_lets_only_the_rest_through(bench: Bench) -> None:
    bench.upload(
        "1.0", "play 0,0,40\nset_mrk 1\nupd_param 60\nset_mrk 0\nupd_param 500\nstop", waves=[np.linspace(0, 0.5, 300)]
    )
    bench.configure("1.0", {"awg.0.mixer.en": True, "awg.0.nco.freq_hz": 10e6})
    bench.run("1.0")
    plays = bench.table.plays
    assert (plays.start.tolist(), plays.length.tolist()) == ([40], [60])
    samples = bench.table.waveforms[plays.waveform[0]].samples
    assert np.allclose(samples[:60].real, np.linspace(0, 0.5, 300)[40:100])
    assert np.allclose(plays.phase, [0.4])
    assert bench.table.outputs[plays.port[0]].name == "slot1.out0"


def test_a_marker_of_another_sequencer_of_the_module_opens_the_switch(bench: Bench) -> None:
    bench.upload("1.0", "wait 100\nplay 0,0,300\nstop", waves=[HALF])
    bench.upload("1.3", "set_mrk 2\nupd_param 1000\nstop")
    bench.run("1.0", "1.3")
    assert [bench.table.outputs[port].name for port in bench.table.plays.port] == ["slot1.out1"]
    # A marker stays where a program leaves it, for the next run as well.
    bench.run("1.0")
    assert [bench.table.outputs[port].name for port in bench.table.plays.port] == ["slot1.out1"]


def test_a_switch_that_one_sequencer_hands_to_another_stays_open(bench: Bench) -> None:
    bench.upload("1.0", "set_mrk 1\nupd_param 100\nset_mrk 0\nupd_param 500\nstop")
    bench.upload("1.1", "upd_param 100\nset_mrk 1\nupd_param 500\nset_mrk 0\nupd_param 4\nstop")
    bench.upload("1.2", "wait 50\nplay 0,0,400\nstop", waves=[HALF])
    bench.run("1.0", "1.1", "1.2")
    assert bench.table.plays.length.tolist() == [200]


def test_a_marker_override_beats_the_program(bench: Bench) -> None:
    bench.upload("1.0", "set_mrk 2\nupd_param 4\nplay 0,0,300\nstop", waves=[HALF])
    bench.configure("1.0", {"awg.0.marker_ovr.en": True, "awg.0.marker_ovr.val": 1})
    bench.run("1.0")
    assert [bench.table.outputs[port].name for port in bench.table.plays.port] == ["slot1.out0"]


def test_the_channel_map_says_where_paths_go(bench: Bench) -> None:
    bench.upload("4.0", "set_awg_gain 16384,-8192\nplay 0,1,400\nstop", waves=[HALF, ONES[:100]])
    assert contents(bench.ask("SLOT4:SEQ0:CHAN?")) == [b"[[0, 2], [1, 3]]"]
    bench.ask("SLOT4:SEQ0:CHAN ", b"[[3],[0]]")
    bench.run("4.0")
    plays = bench.table.plays
    found = {
        bench.table.outputs[port].name: (gain, length, bench.table.waveforms[wave].samples[0])
        for port, gain, length, wave in zip(plays.port, plays.gain_i, plays.length, plays.waveform, strict=True)
    }
    assert found == {"slot4.out3": (0.5, 200, 0.5), "slot4.out0": (-0.25, 100, 1.0)}
    assert not plays.frequency.any()
    assert not plays.gain_q.any()


def test_a_modulated_baseband_output_turns_both_paths_into_its_own(bench: Bench) -> None:
    bench.upload("4.0", "play 0,1,400\nstop", waves=[HALF, ONES[:200]])
    bench.ask("SLOT4:SEQ0:CHAN ", b"[[0],[1]]")
    bench.configure("4.0", {"awg.0.mixer.en": True, "awg.0.nco.freq_hz": 10e6, "awg.0.nco.po": 90.0})
    bench.run("4.0")
    plays = bench.table.plays
    assert plays.phase.tolist() == [0.25, 0.0]
    assert plays.frequency.tolist() == [10e6, 10e6]
    assert np.allclose(bench.table.waveforms[plays.waveform[1]].samples, 0.5 + 1j)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("SLOT1:SEQ0:CHAN ", b"[[1],[0]]"),
        ("SLOT4:SEQ0:CHAN ", b"[[4],[]]"),
        ("SLOT4:SEQ0:CHAN ", b"[[0]]"),
        ("SLOT4:SEQ0:CHAN ", b"{"),
        ("SLOT6:SEQ0:ACQ:CHAN ", b"[[0,1],[]]"),
        ("SLOT4:SEQ0:ACQ:CHAN ", b"[[0],[1]]"),
        ("SLOT4:SEQ0:CHAN ", b"[[true],[]]"),
    ],
)
def test_an_impossible_channel_map_is_refused(bench: Bench, where: str, value: bytes) -> None:
    bench.ask(where, value)
    assert bench.errors().startswith(("-220,", "-221,"))


def test_a_path_without_an_input_integrates_zeros(bench: Bench) -> None:
    readout(bench)
    bench.ask(f"{S}ACQ:CHAN ", b"[[],[1]]")
    assert contents(bench.ask(f"{S}ACQ:CHAN?")) == [b"[[], [1]]"]
    bench.run("6.0")
    assert np.allclose(bench.points("6.0", 400)[:3], 0.5j)


def test_an_offset_is_a_constant_waveform_for_as_long_as_it_lasts(bench: Bench) -> None:
    bench.upload("4.0", "set_awg_offs 8192,0\nupd_param 40000\nset_awg_offs 0,0\nupd_param 4\nstop")
    bench.ask("SLOT4:SEQ0:CHAN ", b"[[2],[]]")
    bench.run("4.0")
    plays = bench.table.plays
    assert plays.start.tolist() == [0, 16_384, 32_768]
    assert plays.length.tolist() == [16_384, 16_384, 40_000 - 32_768]
    assert set(plays.gain_i.tolist()) == {0.25}
    assert (bench.table.waveforms[plays.waveform[0]].samples.real == 1).all()


def test_a_later_play_cuts_off_the_one_before(bench: Bench) -> None:
    bench.upload("4.0", "play 0,0,60\nplay 1,1,2000\nstop", waves=[HALF, ONES])
    bench.ask("SLOT4:SEQ0:CHAN ", b"[[0],[]]")
    bench.run("4.0")
    assert bench.table.plays.length.tolist() == [60, 1000]


def test_a_gain_set_under_way_splits_the_waveform(bench: Bench) -> None:
    wave = np.linspace(0, 1, 100)
    bench.upload(
        "4.0",
        "play 0,0,40\nset_awg_gain 8192,0\nupd_param 20\nupd_param 16\nset_awg_gain 0,0\nupd_param 100\nstop",
        waves=[wave],
    )
    bench.ask("SLOT4:SEQ0:CHAN ", b"[[0],[]]")
    bench.run("4.0")
    plays = bench.table.plays
    assert (plays.start.tolist(), plays.length.tolist()) == ([0, 40], [40, 36])
    assert np.allclose(plays.gain_i, [32_767 / 32_768, 0.25])
    assert np.allclose(bench.table.waveforms[plays.waveform[1]].samples[:36], wave[40:76])


def test_front_end_settings_are_kept_and_reach_the_table(bench: Bench) -> None:
    bench.ask("SLOT6:STAT:QUES:FREQ:LO1 7.28 GHz;:SLOT6:AFE:ATT:OUT0 10;IN0 4")
    assert (
        bench.text("SLOT6:STAT:QUES:FREQ:LO1?;:SLOT6:LO1:ENA?;:SLOT6:AFE:ATT:OUT0?;IN0?;OUT0:MAX?")
        == "7280000000;1;10;4;60"
    )
    readout(bench)
    bench.run("6.0")
    assert bench.table.outputs[0].lo_frequency == bench.table.inputs[0].lo_frequency == 7.28e9
    assert (bench.table.outputs[0].attenuation_db, bench.table.inputs[0].attenuation_db) == (10, 4)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("SLOT6:STAT:QUES:FREQ:LO0 7e9", -241),
        ("SLOT4:LO0:ENA 1", -241),
        ("SLOT1:LO0:ENA 2", -224),
        ("SLOT1:STAT:QUES:FREQ:LO0 1.9e9", -222),
        ("SLOT1:STAT:QUES:FREQ:LO0 18.1e9", -222),
        ("SLOT1:AFE:ATT:OUT0 62", -222),
        ("SLOT1:AFE:ATT:OUT0 3", -222),
        ("SLOT1:AFE:ATT:OUT2 2", -241),
        ("SLOT4:AFE:ATT:OUT0 2", -241),
        ("SLOT1:AFE:ATT:IN0 2", -241),
        ("SLOT6:AFE:ATT:IN0 32", -222),
        ("SLOT4:AFE:OFFS:OUTAMP0 0.1", -221),
    ],
)
def test_front_end_settings_have_limits(bench: Bench, command: str, code: int) -> None:
    bench.ask(command)
    assert bench.errors().startswith(f"{code},")


def test_converter_offsets_may_stay_at_zero(bench: Bench) -> None:
    bench.ask("SLOT4:AFE:OFFS:OUTAMP0 0")
    assert bench.text("SLOT4:AFE:OFFS:OUTAMP0?") == "0"
    assert bench.errors() == '0,"No error"'


@pytest.mark.parametrize(
    ("update", "code"),
    [
        ({"foo": 1}, -220),
        ({"awg": []}, -220),
        ({"awg": 5}, -220),
        ({"seq_proc": {"sync_en": 1}}, -220),
        ({"awg": [{"nco": {"freq_hz": 501e6}}]}, -222),
        ({"awg": [{"nco": {"freq_hz": "1"}}]}, -220),
        ({"awg": [{"gain_path": [1.5, 0]}]}, -222),
        ({"acq": [{"th_acq": {"non_weighed_integration_len": 402}}]}, -222),
        ({"acq": [{"th_acq": {"non_weighed_integration_len": 0}}]}, -222),
        ({"awg": [{"cont_mode": {"en_path": [True, False]}}]}, -221),
        ({"awg": [{"mixer": {"corr_gain_ratio": 1.1}}]}, -221),
        ({"awg": [{"nco": {"delay_comp_en": True}}]}, -221),
    ],
)
def test_a_configuration_is_checked_before_it_counts(bench: Bench, update: object, code: int) -> None:
    before = bench.ask(f"{S}CONF?")
    bench.ask(f"{S}CONF ", json.dumps(update).encode())
    assert bench.errors().startswith(f"{code},")
    assert bench.ask(f"{S}CONF?") == before


def test_a_part_of_a_configuration_leaves_the_rest(bench: Bench) -> None:
    bench.ask(f"{S}CONF ", b'{"awg": [{"nco": {"freq_hz": 5e6}}]}')
    document = json.loads(contents(bench.ask(f"{S}CONF?"))[0])
    assert document["awg"][0]["nco"] == {"freq_hz": 5e6, "po": 0.0, "delay_comp": 0, "delay_comp_en": False}
    bench.ask(f"{S}CONF ", b"no json")
    assert bench.errors().startswith("-220,")


def test_a_reset_forgets_everything(bench: Bench) -> None:
    readout(bench)
    bench.run("6.0")
    bench.ask("*RST")
    assert bench.state("6.0") == "OKAY;IDLE;;;;"
    assert bench.text(f"{S}AWG:WLIS:SIZE?;:{S}ACQ:ALIS:SIZE?;:SLOT6:LO1:ENA?") == "0;0;0"
    bench.ask(f"{S}ARM")
    assert "holds no program" in bench.errors()


def test_resetting_a_module_leaves_the_others(bench: Bench) -> None:
    for where in ("1.0", "6.0"):
        bench.upload(where, "stop", waves=[HALF])
    bench.ask("*RST", port=6)
    assert bench.text("SLOT6:SEQ0:AWG:WLIS:SIZE?;:SLOT1:SEQ0:AWG:WLIS:SIZE?") == "0;1"


def test_time_goes_on_by_what_was_played(bench: Bench) -> None:
    def now() -> int:
        return int(json.loads(contents(bench.ask("TIMEkeeping:CURRent:TIMEstamp?"))[0])["ns"])

    assert now() == 0
    bench.upload("6.0", "wait 5000\nstop")
    bench.run("6.0")
    assert now() == 5000
    bench.run("6.0")
    assert now() == 10_000


def test_in_real_time_a_run_lasts_as_long_as_it_plays(make_bench: Callable[..., Bench]) -> None:
    time = [0]
    bench = make_bench({6: "QRM-RF"}, clock=RealClock(lambda: time[0]))
    bench.ask("SLOT6:LO1:ENA 1")
    readout(bench, shots=10)
    assert bench.run("6.0") == ["OKAY;RUNNING;;;;"]
    time[0] = 4 + 10 * 2100 + 3
    assert bench.state("6.0") == "OKAY;RUNNING;;;;"
    time[0] += 1
    assert bench.state("6.0") == "OKAY;STOPPED;ACQ BINNING DONE,;;;"


def test_in_real_time_a_run_can_be_stopped(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench({6: "QRM-RF"}, clock=RealClock(lambda: 0))
    readout(bench)
    bench.run("6.0")
    bench.ask(f"{S}STOP")
    assert bench.state("6.0") == "ERROR;STOPPED;ACQ BINNING DONE,;;FORCED STOP,;"
