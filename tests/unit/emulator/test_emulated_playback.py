"""What leaves the connectors of the emulated Cluster, and what its digitiser makes of it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qubitd.emulator.cluster import performance
from qubitd.emulator.cluster.bins import BIN, Acquisition
from qubitd.emulator.cluster.waves import WaveList

if TYPE_CHECKING:
    from tests.unit.emulator.conftest import Bench

S = "SLOT6:SEQ0:"
HALF = np.full(200, 0.5)
ONES = np.ones(1000)


def test_points_are_those_of_what_was_played(bench: Bench) -> None:
    bench.readout()
    assert bench.run("6.0") == ["OKAY;STOPPED;ACQ BINNING DONE,;;;"]
    bins = bench.bins("6.0")
    assert bins["count"].tolist() == [1, 1, 1] + [0] * 97
    assert bins["valid"].tolist() == [1, 1, 1] + [0] * 97
    assert bins["path0"][:3].tolist() == [round(0.5 * 400 * 2**22)] * 3
    assert np.allclose(bench.points("6.0", 400)[:3], 0.5 + 0.5j)


def test_one_table_stands_for_all_shots(bench: Bench) -> None:
    bench.readout(shots=100)
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
    bench.readout(shots=20, program=bench.READ.replace("add R1,1,R1", "move 7,R1"), bins=8)
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
    bench.readout(shots=50)
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
    bench.readout(shots=50, program=bench.READ.replace("reset_ph", "reset_ph\n    move 0,R1"))
    bench.run("6.0")
    bins = bench.bins("6.0")
    assert bins["count"].tolist() == [50] + [0] * 99
    assert bins["path0"][0] == 50 * round(0.5 * 400 * 2**22)


def test_data_stay_until_they_are_deleted(bench: Bench) -> None:
    bench.readout()
    bench.run("6.0")
    bench.run("6.0")
    assert bench.bins("6.0")["count"][:3].tolist() == [2, 2, 2]
    bench.ask(f'{S}ACQ:ALIS:ACQ:DATA:DEL "acq"')
    assert bench.bins("6.0")["count"].sum() == 0
    assert bench.text(f'{S}ACQ:ALIS:ACQ:BIN? "acq"') == "100"


def test_a_list_of_acquisitions_is_blocks_one_after_the_other(bench: Bench) -> None:
    bench.readout(bins=5)
    count, name, index, *scopes, bins = bench.blocks(f"{S}ACQ:ALIS?")
    assert (count, name, index) == (b"\1\0\0\0", b"acq", b"\0\0\0\0")
    assert scopes == [b"", b"\0", b"\0\0\0\0"] * 2
    assert len(bins) == 5 * 32


@pytest.mark.parametrize(("angle", "bit"), [(0, 1), (170, 0), (45, 0), (-45, 1)])
def test_the_bit_is_the_rotated_sum_beyond_the_threshold(bench: Bench, angle: float, bit: int) -> None:
    bench.readout()
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
    bench.readout()
    bench.configure("6.0", {"acq.0.th_acq.discr_threshold": 200.0, "awg.0.nco.freq_hz": 0.0})
    bench.run("6.0")
    assert bench.bins("6.0")["threshold"][0] == 0


def test_a_weight_multiplies_the_samples_of_both_quadratures(bench: Bench) -> None:
    program = bench.READ.replace("acquire 0,R1,", "acquire_weighed 0,R1,R2,R3,").replace(
        "move 0,R1", "move 0,R1\nmove 1,R3"
    )
    weight = np.linspace(0, 1, 301)
    # Two entries of the same samples are the same weight.
    bench.upload("6.0", program.format(shots=2), waves=[ONES], weights=[weight, weight], bins=4)
    bench.configure("6.0", bench.MODULATED)
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
    bench.readout(program=bench.READ.replace(command, instead) if instead else bench.READ)
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
    assert bench.blocks("SLOT4:SEQ0:CHAN?") == [b"[[0, 2], [1, 3]]"]
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
    bench.readout()
    bench.ask(f"{S}ACQ:CHAN ", b"[[],[1]]")
    assert bench.blocks(f"{S}ACQ:CHAN?") == [b"[[], [1]]"]
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


def test_integrations_add_up_alike_whatever_the_order_of_their_bins() -> None:
    rng = np.random.default_rng(1)
    bins, sums, bits = np.arange(2, 7), rng.integers(-99, 99, (5, 2)), rng.random(5) > 0.5
    found = []
    for order in (np.arange(5), rng.permutation(5)):
        acquisition = Acquisition(np.zeros(8, dtype=BIN))
        for _ in range(2):
            acquisition.add(bins[order], sums[order], bits[order])
        found.append(acquisition.bins.tolist())
    assert found[0] == found[1]
    assert [row[0] for row in found[0]] == [0, 0, 1, 1, 1, 1, 1, 0]
    assert [row[4] for row in found[0]] == [0, 0, 2, 2, 2, 2, 2, 0]


def test_bins_that_are_filled_several_times_sum_up() -> None:
    acquisition = Acquisition(np.zeros(3, dtype=BIN))
    acquisition.add(np.array([0, 0, 2]), np.array([[1, 10], [2, 20], [4, 40]]), np.array([True, True, False]))
    assert acquisition.bins.tolist() == [(1, 3, 30, 2, 2), (0, 0, 0, 0, 0), (1, 4, 40, 0, 1)]


def test_a_run_that_comes_again_is_laid_out_once(bench: Bench) -> None:
    bench.readout()
    bench.run("6.0")
    (first,) = bench.cluster.played
    before = bench.bins("6.0")
    bench.ask(f'{S}AWG:WLIS:WAV:DEL "all";:{S}ACQ:ALIS:ACQ:DEL "all"')
    bench.readout()
    assert bench.errors() == '0,"No error"'
    assert bench.run("6.0") == ["OKAY;STOPPED;ACQ BINNING DONE,;;;"]
    assert bench.cluster.played == (first,)
    assert (bench.bins("6.0") == before).all()


def test_a_run_that_is_remembered_holds_no_bins(bench: Bench) -> None:
    bench.readout()
    bench.run("6.0")
    bins = weakref.ref(bench.cluster.module(6).sequencer(0).acquisitions.entries.get("acq").bins)
    bench.ask(f'{S}ACQ:ALIS:ACQ:DEL "all"')
    gc.collect()
    assert bins() is None


def test_a_reset_forgets_how_runs_were_laid_out(bench: Bench) -> None:
    bench.readout()
    bench.run("6.0")
    before = bench.cluster.played
    bench.ask("*RST;SLOT6:LO1:ENA 1")
    bench.readout()
    bench.run("6.0")
    assert bench.cluster.played != before


def test_what_a_run_holds_stays_what_it_was_started_with() -> None:
    waves = WaveList(indices=4, samples=100)
    waves.new("a", 2)
    waves.new("b", 3)
    held = waves.held()
    content, samples = held.content, held.by_index[0].samples.tolist()
    waves.set_data("a", bytearray(np.full(2, 0.5).astype("<f4").tobytes()))
    waves.entries.set_index("a", 1)
    assert (held.content, held.by_index[0].samples.tolist()) == (content, samples)
    now = waves.held()
    assert now.content != content
    assert {index: wave.samples.tolist() for index, wave in now.by_index.items()} == {0: [0, 0, 0], 1: [0.5, 0.5]}


def test_a_list_of_waveforms_is_read_as_it_is_now() -> None:
    waves = WaveList(indices=4, samples=100)
    lists = [waves.listing(), waves.listing()]
    waves.new("a", 2)
    lists.append(waves.listing())
    waves.set_data("a", bytearray(np.full(2, 0.5).astype("<f4").tobytes()))
    lists.append(waves.listing())
    waves.entries.set_index("a", 1)
    lists.append(waves.listing())
    assert lists[0] == lists[1] == b"#14\0\0\0\0"
    assert lists[2] == b"#14\1\0\0\0#11a#14\0\0\0\0#18" + bytes(8)
    assert lists[3] == lists[2][:-8] + np.full(2, 0.5).astype("<f4").tobytes()
    assert lists[4] == lists[3].replace(b"#11a#14\0", b"#11a#14\1")


CHANGES: dict[str, Callable[[Bench], object]] = {
    "program": lambda bench: bench.upload("6.0", bench.READ.format(shots=4)),
    "samples": lambda bench: bench.ask(f'{S}AWG:WLIS:WAV:DATA "w0",', (HALF[0] * ONES).astype("<f4").tobytes()),
    "weights": lambda bench: bench.ask(f'{S}ACQ:WLIS:WEI:DATA "w0",', HALF.astype("<f4").tobytes()),
    "acquisition": lambda bench: bench.ask(f'{S}ACQ:ALIS:ACQ:IND "acq",1'),
    "outputs": lambda bench: bench.ask(f"{S}CHAN ", b"[[], []]"),
    "inputs": lambda bench: bench.ask(f"{S}ACQ:CHAN ", b"[[], [1]]"),
    "attenuation": lambda bench: bench.ask("SLOT6:AFE:ATT:OUT0 6"),
    "attenuation of the input": lambda bench: bench.ask("SLOT6:AFE:ATT:IN0 6"),
    "oscillator": lambda bench: bench.ask("SLOT6:STAT:QUES:FREQ:LO1 6.1e9"),
    "oscillator off": lambda bench: bench.ask("SLOT6:LO1:ENA 0"),
    "standing by": lambda bench: bench.configure("6.1", {"awg.0.marker_ovr.en": True, "awg.0.marker_ovr.val": 2}),
}
SETTINGS: dict[str, Mapping[str, object]] = {
    "gain": {"awg.0.gain_path": [0.5, 0.5]},
    "offset": {"awg.0.offs_path": [0.1, 0.0]},
    "frequency": {"awg.0.nco.freq_hz": 81e6},
    "phase": {"awg.0.nco.po": 90.0},
    "modulation": {"awg.0.mixer.en": False},
    "demodulation": {"acq.0.demod.en": False},
    "length": {"acq.0.th_acq.non_weighed_integration_len": 404},
    "threshold": {"acq.0.th_acq.discr_threshold": 1.0},
    "rotation": {"acq.0.th_acq.rotation_matrix_a11": 0.0, "acq.0.th_acq.rotation_matrix_a12": 1.0},
    "trigger": {"acq.0.th_acq_trg_map": {"en": True, "addr": 3, "inv": False}},
    "counter": {"seq_proc.trg.3.count_threshold": 2},
    "marker": {"awg.0.marker_ovr.en": True},
    "synchronisation": {"seq_proc.sync_en": False},
}


def _set(changes: Mapping[str, object]) -> Callable[[Bench], object]:
    return lambda bench: bench.configure("6.0", changes)


@pytest.mark.parametrize(
    "change", [*CHANGES.values(), *map(_set, SETTINGS.values())], ids=[*CHANGES.keys(), *SETTINGS.keys()]
)
def test_a_run_of_which_anything_changed_is_laid_out_anew(bench: Bench, change: Callable[[Bench], object]) -> None:
    bench.upload("6.0", "", weights=[ONES[:200]])
    bench.readout()
    bench.run("6.0")
    before = bench.cluster.played
    assert before
    bench.run("6.0")
    assert bench.cluster.played == before
    change(bench)
    assert bench.errors() == '0,"No error"'
    bench.run("6.0")
    assert bench.cluster.played != before
