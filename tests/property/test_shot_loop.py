"""Random programs on several sequencers: a shot loop played once and multiplied is exactly what playing every shot
gives."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qubitd.emulator.cluster.bins import BIN, Acquisition
from qubitd.emulator.cluster.configuration import default_document, interpret
from qubitd.emulator.cluster.iterations import Section, bins_of
from qubitd.emulator.cluster.outputs import Rows
from qubitd.emulator.cluster.performance import Score, play, score_in_full, score_in_short, sheet_of
from qubitd.emulator.cluster.player import ModuleSettings, Player
from qubitd.emulator.cluster.profile import MODULE_KINDS
from qubitd.emulator.cluster.waves import WaveList
from qubitd.emulator.cluster.windows import Windows
from qubitd.emulator.loopback import Loopback
from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import prepare
from qubitd.emulator.q1.flags import Flag
from qubitd.emulator.q1.shotloop import run

SETTINGS = ModuleSettings(
    lo_frequency=(6e9, 6e9), lo_enabled=(True, True), output_attenuation=(0.0, 0.0), input_attenuation=(0.0,)
)
MAPS = {
    "QCM-RF": (frozenset({0, 2}), frozenset({1, 3})),
    "QCM": (frozenset({0, 2}), frozenset({1})),
    "QRM-RF": (frozenset({0}), frozenset({1})),
}
BINS = 400


def waves() -> WaveList:
    made = WaveList(indices=1024, samples=16_384)
    for name, samples in {
        "a": np.linspace(0.1, 0.3, 30),
        "b": np.full(90, 0.25),
        "c": np.linspace(-0.3, 0.2, 250),
    }.items():
        made.new(name, len(samples))
        made.set_data(name, bytearray(samples.astype("<f4").tobytes()))
    return made


def player(slot: int, number: int, kind: str, text: str, **configured: object) -> Player:
    document: Any = default_document()
    document["seq_proc"]["sync_en"] = configured.get("sync", True)
    document["awg"][0]["mixer"]["en"] = configured.get("modulates", kind != "QCM")
    document["awg"][0]["nco"]["freq_hz"] = 87.25e6
    document["awg"][0]["offs_path"] = [configured.get("offset", 0.0), 0.0]
    document["acq"][0]["demod"]["en"] = True
    document["acq"][0]["th_acq"]["non_weighed_integration_len"] = 48
    held = waves().held()
    acquisitions = {0: Acquisition(np.zeros(BINS, dtype=BIN))} if kind.startswith("QRM") else {}
    return Player(
        slot=slot,
        number=number,
        kind=MODULE_KINDS[kind],
        module=SETTINGS,
        configuration=interpret(document),
        code=prepare(assemble(text, memory=12_288)),
        waves=held,
        weights=held,
        acquisitions=acquisitions,
        outputs=MAPS[kind],
        inputs=(frozenset({0}), frozenset({1})) if acquisitions else (frozenset(), frozenset()),
    )


@dataclass(frozen=True)
class Expanded:
    """Everything that was played and integrated, shot after shot, with waveforms by their digest."""

    rows: list[tuple[object, ...]]
    windows: list[tuple[object, ...]]


def expand(score: Score) -> Expanded:
    digests = [waveform.digest for waveform in score.pool.waveforms]
    rows: list[tuple[object, ...]] = []
    windows: list[tuple[object, ...]] = []
    # The loop was executed with three iterations at most: what comes after it lies later by those left out.
    later = 0
    for section in score.sections:
        for shot in range(section.shots):
            shift = later + shot * section.duration
            rows += _tuples(section.rows, shift, digests)
            windows += _window_tuples(section, shot, shift, digests)
        later += max(section.shots - 3, 0) * section.duration
    constant = score.pool.waveforms[score.pool.constant()].digest
    return Expanded(_merged(sorted(rows), constant), sorted(windows))


def _tuples(rows: Rows, shift: int, digests: list[str]) -> list[tuple[object, ...]]:
    columns = {field.name: getattr(rows, field.name).tolist() for field in fields(Rows)}
    columns["start"] = [start + shift for start in columns["start"]]
    columns["waveform"] = [digests[i] for i in columns["waveform"]]
    order = ("port", "start", "length", "waveform", "gain_i", "gain_q", "frequency", "phase")
    return list(zip(*(columns[name] for name in order), strict=True))


def _window_tuples(section: Section, shot: int, shift: int, digests: list[str]) -> list[tuple[object, ...]]:
    columns = {field.name: getattr(section.windows, field.name).tolist() for field in fields(Windows)}
    rows = np.arange(len(columns["start"]))
    columns["start"] = [start + shift for start in columns["start"]]
    columns["weight"] = ["" if i < 0 else digests[i] for i in columns["weight"]]
    columns["bin"] = bins_of(section, rows, range(shot, shot + 1))[:, 0].tolist()
    return list(zip(*columns.values(), strict=True))


def _merged(rows: list[tuple[Any, ...]], constant: str) -> list[tuple[object, ...]]:
    """Join stretches of an offset that go on: where they were cut is of no consequence."""
    merged: list[tuple[Any, ...]] = []
    open_at: dict[tuple[Any, ...], int] = {}
    for row in rows:
        port, start, length, waveform, gain_i, gain_q, frequency, phase = row
        zero = (phase - frequency * start) % 4_000_000_000
        key = (port, waveform, gain_i, gain_q, frequency, zero, start)
        if waveform == constant and key in open_at:
            at = open_at.pop(key)
            merged[at] = (*merged[at][:2], merged[at][2] + length, *merged[at][3:])
        else:
            at = len(merged)
            merged.append(row)
        open_at[(port, waveform, gain_i, gain_q, frequency, zero, start + length)] = at
    return sorted(merged)


wait = st.integers(4, 120).map(lambda t: f"wait {t}")
setting = st.one_of(
    st.integers(0, 10**9).map(lambda p: f"set_ph {p}"),
    st.integers(0, 10**9).map(lambda p: f"set_ph_delta {p}"),
    st.sampled_from(["reset_ph", "set_freq 400000001", "set_freq -7", "set_mrk 0", "set_mrk 3", "set_mrk 1"]),
    st.tuples(st.integers(-9000, 9000), st.integers(-9000, 9000)).map(lambda g: f"set_awg_gain {g[0]},{g[1]}"),
    st.sampled_from(["set_awg_offs 0,0", "set_awg_offs 1500,-300"]),
)
play_or_update = st.one_of(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(8, 300)).map(lambda p: f"play {p[0]},{p[1]},{p[2]}"),
    st.integers(4, 60).map(lambda t: f"upd_param {t}"),
)
acquire = st.sampled_from(["acquire 0,R1,60\nadd R1,1,R1\nnop", "acquire 0,3,52", "acquire_weighed 0,R1,R10,R10,100"])
inner = st.tuples(st.integers(1, 3), play_or_update).map(
    lambda p: f"move {p[0]},R5\nnop\n@INNER: {p[1]}\nwait 40\nloop R5,@@INNER"
)


@st.composite
def bodies(draw: st.DrawFn, *, readout: bool) -> list[str]:
    choices = [wait, setting, play_or_update, inner, *([acquire] if readout else [])]
    return draw(st.lists(st.one_of(*choices), min_size=1, max_size=12))


def text_of(
    prologue: list[str], body: list[str], epilogue: list[str], *, shots: int, reset_bin: bool, sync_inside: bool
) -> str:
    lines = [
        "move 0,R1",
        "move 1,R10",
        "move 2,R11",
        f"move {shots},R0",
        "wait_sync 4",
        *prologue,
        "wait 100",
        "shot: reset_ph",
        *(["move 0,R1"] if reset_bin else []),
        *(["wait_sync 4"] if sync_inside else []),
        "set_mrk 3",
        "set_awg_gain 8000,8000",
        "set_freq 349000000",
        "upd_param 40",
        *body,
        "wait 400",
        "loop R0,@shot",
        *epilogue,
        "set_mrk 0",
        "set_awg_offs 0,0",
        "upd_param 8",
        "stop",
    ]
    numbered = [line.replace("@@INNER", f"@i{n}").replace("@INNER", f"i{n}") for n, line in enumerate(lines)]
    return "\n".join(numbered)


@st.composite
def racks(draw: st.DrawFn) -> list[Player]:
    shots = draw(st.integers(1, 7))
    sync_inside = draw(st.booleans())
    # Without synchronisation in the loop, all iterations must last equally long for a common loop: same body then.
    shared = draw(bodies(readout=False))
    chosen = draw(
        st.lists(st.sampled_from([(1, "QCM-RF"), (4, "QCM"), (6, "QRM-RF")]), min_size=1, max_size=3, unique=True)
    )
    players: list[Player] = []
    for slot, kind in chosen:
        readout = kind == "QRM-RF"
        body = draw(bodies(readout=readout)) if sync_inside else shared
        text = text_of(
            draw(st.lists(st.one_of(setting, wait) if sync_inside else setting, max_size=2)),
            body,
            draw(st.lists(play_or_update, max_size=2)),
            shots=shots,
            reset_bin=draw(st.booleans()),
            sync_inside=sync_inside,
        )
        players.append(player(slot, 0, kind, text, offset=draw(st.sampled_from([0.0, 0.05]))))
    return players


@settings(max_examples=150)
@given(racks())
def test_a_shot_loop_played_once_and_multiplied_is_every_shot_played(players: list[Player]) -> None:
    runs = [run(each.code) for each in players]
    short = score_in_short(players, runs, {})
    assume(short is not None)
    assert short is not None
    full = score_in_full(players, runs, {})
    assert short.duration == full.duration
    assert expand(short).windows == expand(full).windows
    assert expand(short).rows == expand(full).rows


def _bins(score: Score) -> tuple[NDArray[np.void], list[frozenset[object]]]:
    outcome = play(sheet_of(score), [part.player for part in score.parts], Loopback(), np.random.default_rng(0))
    bins = [a.bins for part in score.parts for a in part.player.acquisitions.values()]
    return np.concatenate(bins), [frozenset(ending.flags) for ending in outcome.endings]


@pytest.mark.parametrize("reset_bin", [False, True])
@pytest.mark.parametrize("shots", [2, 3, 4, 50])
def test_bins_and_flags_are_the_same_both_ways(shots: int, reset_bin: bool) -> None:
    body = [
        "play 0,1,20",
        "acquire 0,R1,60\nadd R1,1,R1\nnop",
        "set_ph 1000",
        "play 2,2,100",
        "acquire 0,R1,900\nadd R1,1,R1",
    ]
    text = text_of([], body, [], shots=shots, reset_bin=reset_bin, sync_inside=True)
    found = []
    for way in (score_in_short, score_in_full):
        players = [player(6, number, "QRM-RF", text) for number in (0, 3)]
        score = way(players, [run(each.code) for each in players], {})
        assert score is not None
        assert len(score.sections) == (3 if way is score_in_short else 1)
        found.append(_bins(score))
    (short_bins, short_flags), (full_bins, full_flags) = found
    assert short_flags == full_flags
    assert short_bins["count"].sum() == 2 * 2 * shots
    for name in ("valid", "threshold", "count"):
        assert (short_bins[name] == full_bins[name]).all()
    for name in ("path0", "path1"):
        assert np.allclose(short_bins[name], full_bins[name], atol=2)


@pytest.mark.parametrize("shots", [500, 525, 526, 527, 528, 560])
def test_slow_binning_is_noticed_after_as_many_shots_both_ways(shots: int) -> None:
    # 4 ns are lost with each acquisition; 8 may wait, at 300 ns each.
    text = f"move {shots},R0\nshot: reset_ph\nacquire 0,0,296\nloop R0,@shot\nstop"
    flagged = []
    for way in (score_in_short, score_in_full):
        players = [player(6, 0, "QRM-RF", text, sync=False)]
        score = way(players, [run(each.code) for each in players], {})
        assert score is not None
        outcome = play(sheet_of(score), players, Loopback(), np.random.default_rng(0))
        flagged.append(Flag.BINNING_FIFO in outcome.endings[0].flags)
    assert flagged == [shots > 526] * 2


REPEATING = "move 9,R0\nshot: reset_ph\nset_awg_gain 100,100\nupd_param 4\n{}\nwait 100\nloop R0,@shot\nstop"


@pytest.mark.parametrize(
    "body",
    [
        "add R2,1,R2\nnop\nset_awg_gain R2,R2\nplay 0,0,40",
        "play 0,0,40\nset_ph_delta 5",
        "set_freq 5\nplay 0,0,40",
        "move R0,R3\nnop\nwait R3\nplay 0,0,40",
        "and R0,1,R3\nnop\njge R3,1,@odd\nplay 0,0,40\nodd: play 1,1,40",
        "set_ph R0\nplay 0,0,40",
        "xor R4,1,R4\nnop\nset_awg_gain R4,R4\nplay 0,0,40",
    ],
)
def test_a_loop_whose_iterations_differ_is_played_in_full(body: str) -> None:
    text = REPEATING.format(body) if "set_freq" not in body else REPEATING.format(body).replace("reset_ph", "nop")
    text = text.replace("reset_ph", "nop") if "set_ph_delta" in body else text
    players = [player(1, 0, "QCM-RF", "set_mrk 3\nupd_param 4\n" + text, sync=False)]
    assert score_in_short(players, [run(each.code) for each in players], {}) is None


@pytest.mark.parametrize(
    "body",
    [
        "acquire 0,R1,100\nadd R1,R1,R1",
        "acquire_weighed 0,R1,R1,R1,100\nadd R1,1,R1",
        "move R0,R2\nwait 100",
        "set_ph R0\nwait 100",
        "add R0,1,R2\nwait 100",
        "wait 100\njge R0,2000,@shot",
    ],
)
def test_counters_must_not_be_used_for_anything_else(body: str) -> None:
    code = prepare(assemble(f"move 1,R1\nmove 1000,R0\nshot: reset_ph\n{body}\nloop R0,@shot\nstop", memory=16_384))
    assert run(code).bounds == ()


@pytest.mark.parametrize(
    ("start", "jump", "shots"),
    [
        ("move 1000,R0", "loop R0,@shot", 1000),
        ("move 0,R0", "add R0,1,R0\nnop\njlt R0,1000,@shot", 1000),
        ("move 0,R0", "add R0,3,R0\nnop\njlt R0,1000,@shot", 334),
        ("move 1000,R0", "sub R0,1,R0\nnop\njge R0,1,@shot", 1000),
        ("move 1000,R0", "sub R0,7,R0\nnop\njge R0,50,@shot", 136),
    ],
)
def test_every_kind_of_counter_is_understood(start: str, jump: str, shots: int) -> None:
    code = prepare(assemble(f"{start}\nshot: wait 100\n{jump}\nstop", memory=16_384))
    found = run(code)
    assert found.shots == shots
    assert len(found.bounds) == 4
