"""Random programs that act on outcomes, round after round: laid out for all outcomes at once, they play in each case
what a walk with these outcomes plays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qubitd.emulator.cluster import ensemble
from qubitd.emulator.cluster.bins import BIN, Acquisition
from qubitd.emulator.cluster.branches import openings
from qubitd.emulator.cluster.configuration import default_document, interpret
from qubitd.emulator.cluster.course import course
from qubitd.emulator.cluster.layout import Part
from qubitd.emulator.cluster.outputs import Rows, joined, rows_of
from qubitd.emulator.cluster.performance import Score, score_with_conditions
from qubitd.emulator.cluster.player import ModuleSettings, Player
from qubitd.emulator.cluster.pool import WaveformPool
from qubitd.emulator.cluster.profile import MODULE_KINDS
from qubitd.emulator.cluster.triggers import LATEST, Source
from qubitd.emulator.cluster.walk import Walk
from qubitd.emulator.cluster.waves import WaveList
from qubitd.emulator.events import EVERY_SHOT
from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import prepare
from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.shotloop import run

SETTINGS = ModuleSettings(
    lo_frequency=(6e9, 6e9), lo_enabled=(True, True), output_attenuation=(0.0, 0.0), input_attenuation=(0.0,)
)
WINDOW, ROUND = 48, 2400
"""ns."""
ACT = WINDOW + LATEST + 252
"""ns from a round's beginning to what may depend on both of its readouts."""
PLAIN: dict[str, int] = {
    "play 0,0,40": 40,
    "play 1,1,24": 24,
    "play 2,2,20": 20,
    "play 3,3,20": 20,
    "upd_param 8": 8,
    "set_awg_gain 4000,4000": 0,
    "set_awg_gain 700,-700\nplay 0,0,40": 40,
    "set_ph 125000000": 0,
    "set_ph 250000000\nplay 1,1,40": 40,
    "set_ph_delta 31000000": 0,
    "reset_ph": 0,
    "reset_ph\nupd_param 4": 4,
    "latch_rst 8": 8,
    "latch_rst 4": 4,
}
"""What is done in any case, and the ns that it takes; waveform 3 sounds until the next round."""
CONDITIONAL: dict[str, int] = {
    "play 0,0,{t}": 40,
    "play 0,1,{t}": 60,
    "play 2,2,{t}": 24,
    "play 3,3,{t}": 28,
    "set_awg_gain 2000,1000\nplay 1,1,{t}": 40,
    "set_awg_gain 9000,100": 0,
    "set_ph 400000000": 0,
    "set_ph 700000000\nupd_param {t}": 8,
    "set_ph_delta 90000000\nupd_param {t}": 8,
    "set_ph_delta 5000000": 0,
    "reset_ph": 0,
    "set_ph 300000000\nplay 1,0,{t}": 44,
}
Bits = Callable[[Source], bool]


def waves() -> WaveList:
    made = WaveList(indices=1024, samples=16_384)
    for name, samples in {
        "a": np.linspace(0.1, 0.3, 30),
        "b": np.full(20, 0.25),
        "c": np.linspace(-0.3, 0.2, 250),
        "d": np.linspace(0.2, -0.1, ROUND + 600),
    }.items():
        made.new(name, len(samples))
        made.set_data(name, bytearray(samples.astype("<f4").tobytes()))
    return made


HELD = waves().held()


def player(slot: int, number: int, text: str, *, address: int = 0) -> Player:
    document: Any = default_document()
    document["seq_proc"]["sync_en"] = True
    document["awg"][0]["mixer"]["en"] = True
    document["awg"][0]["nco"]["freq_hz"] = 87.25e6
    document["acq"][0]["th_acq"]["non_weighed_integration_len"] = WINDOW
    document["acq"][0]["th_acq_trg_map"].update({"en": bool(address), "addr": address or 1})
    return Player(
        slot=slot,
        number=number,
        kind=MODULE_KINDS["QRM-RF" if address else "QCM-RF"],
        module=SETTINGS,
        configuration=interpret(document),
        code=prepare(assemble(text, memory=12_288)),
        waves=HELD,
        weights=HELD,
        acquisitions={0: Acquisition(np.zeros(1, dtype=BIN))} if address else {},
        outputs=(frozenset({0}), frozenset({1})),
        inputs=(frozenset({0}), frozenset({1})) if address else (frozenset(), frozenset()),
    )


def readout(address: int, rounds: int) -> Player:
    late = 252 * (address - 1)
    one = f"acquire 0,0,{ROUND}\n"
    return player(6, address, f"wait_sync 4\nwait {100 + late}\n{one * rounds}stop", address=address)


def actor(number: int, rounds: Sequence[tuple[str, int]]) -> Player:
    body = "\n".join(f"wait {ACT}\n{text}\nwait {ROUND - ACT - spent}" for text, spent in rounds)
    return player(1, number, f"set_mrk 3\nset_latch_en 1,4\nwait_sync 4\nupd_param 100\n{body}\nstop")


def conditional(text: str, spent: int, mask: int, operator: int) -> tuple[str, int]:
    inner = text.format(t=spent)
    return f"set_cond 1,{mask},{operator},{spent or 4}\n{inner}\nset_cond 0,0,0,0", spent


plain = st.sampled_from(list(PLAIN.items()))
either = st.builds(
    lambda item, mask, operator: conditional(item[0], item[1], mask, operator),
    st.sampled_from(list(CONDITIONAL.items())),
    st.sampled_from([1, 1, 2, 3]),
    st.integers(0, 5),
)


@st.composite
def one_round(draw: st.DrawFn) -> tuple[str, int]:
    steps = draw(st.lists(st.one_of(plain, either, either), max_size=5))
    begin = [] if draw(st.integers(0, 3)) == 0 else [("latch_rst 4", 4)]  # forgets the round before
    steps = [*steps, *begin]
    return "\n".join(text for text, _ in steps), sum(spent for _, spent in steps)


def programs(rounds: int) -> st.SearchStrategy[list[list[tuple[str, int]]]]:
    """What one or two actors do in each round."""
    return st.lists(st.lists(one_round(), min_size=rounds, max_size=rounds), min_size=1, max_size=2)


def score_of(players: Sequence[Player]) -> Score | None:
    return score_with_conditions(players, [run(each.code) for each in players], {})


def laid_out(score: Score, players: Sequence[Player], bits: Bits) -> list[tuple[object, ...]]:
    """What a run that was laid out plays with these outcomes."""
    (section,) = score.sections
    position = {player.identity: i for i, player in enumerate(players)}
    found: dict[tuple[int, int], bool] = {}
    for i, part in enumerate(score.parts):
        acquired = np.flatnonzero(part.trace.op == Op.ACQUIRE).tolist()
        for at in acquired:
            found[part.player.identity, int(part.timeline.start[at])] = bits(Source(i, at))
    assert len(position) == len(players)
    there = [holds(score, number, found) for number in section.rows.condition.tolist()]
    return listed(section.rows.take(np.array(there, dtype=np.bool_)), score.pool)


def walked(players: Sequence[Player], bits: Bits) -> list[tuple[object, ...]]:
    """What sequencers play if they are followed instruction by instruction with these outcomes."""
    walk = Walk([course(player, run(player.code).trace) for player in players], certain=True)
    walk.advance(bits)
    parts = [
        Part(player, path.trace, path.timeline).perform() for player, path in zip(players, walk.paths(), strict=True)
    ]
    end = max(part.timeline.end for part in parts)
    pool, opened = WaveformPool(), openings(parts, {})
    return listed(joined([rows for each in parts for rows in rows_of(each, pool, opened, end)]), pool)


def listed(rows: Rows, pool: WaveformPool) -> list[tuple[object, ...]]:
    columns = {field.name: getattr(rows, field.name).tolist() for field in fields(rows)}
    del columns["condition"]
    columns["waveform"] = [pool.waveforms[i].digest for i in columns["waveform"]]
    return sorted(zip(*columns.values(), strict=True))


@settings(max_examples=40)
@given(st.integers(1, 4).flatmap(programs), st.integers(0, 2**32 - 1))
def test_in_each_case_is_played_what_a_walk_with_its_outcomes_plays(
    actors: list[list[tuple[str, int]]], seed: int
) -> None:
    read = [readout(address, len(actors[0])) for address in (1, 2)]
    players = [*read, *(actor(number, rounds) for number, rounds in enumerate(actors))]
    score = score_of(players)
    assume(score is not None)
    assert score is not None
    rng = np.random.default_rng(seed)
    for _ in range(4):
        bits = cache(lambda _: bool(rng.integers(2)))
        assert laid_out(score, players, bits) == walked(players, bits)


def chained(masks: Sequence[tuple[int, int]]) -> list[Player]:
    """Readouts one after another, each under a condition on those before, and a pulse under one on the last."""
    apart = WINDOW + LATEST + 252
    read = [player(6, 0, f"wait_sync 4\nwait 100\nacquire 0,0,{apart}\nstop", address=1)]
    for i, (mask, operator) in enumerate(masks[:-1], start=1):
        asked = f"set_cond 1,{mask},{operator},{apart}\nacquire 0,0,{apart}\nset_cond 0,0,0,0"
        text = f"set_latch_en 1,4\nwait_sync 4\nwait {100 + i * apart}\n{asked}\nstop"
        read.append(player(6, i, text, address=i + 1))
    mask, operator = masks[-1]
    asked = f"set_cond 1,{mask},{operator},40\nplay 0,0,40\nset_cond 0,0,0,0"
    text = f"set_mrk 3\nset_latch_en 1,4\nwait_sync 4\nupd_param {100 + len(masks) * apart}\n{asked}\nstop"
    return [*read, player(1, 0, text)]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("then", [(2, 0), (2, 1), (3, 4)])
@pytest.mark.parametrize("last", [(2, 1), (4, 0), (4, 1), (6, 4)])
def test_an_outcome_that_is_there_only_after_a_0_is_found_to_be_1(
    first: int, then: tuple[int, int], last: tuple[int, int]
) -> None:
    players = chained([(1, first), then, last])
    score = score_of(players)
    assert score is not None
    (section,) = score.sections
    for outcomes in range(8):
        sent = {i: bool(outcomes >> i & 1) for i in range(3)}
        found: dict[tuple[int, int], bool] = {}
        for row in range(len(section.windows.start)):
            key = (int(section.windows.sequencer[row]), int(section.windows.start[row]))
            number = int(section.windows.condition[row])
            found[key] = holds(score, number, found) and sent[key[0] & 7]
        rows = section.rows
        there = [holds(score, number, found) for number in rows.condition.tolist()]
        played = listed(rows.take(np.array(there, dtype=np.bool_)), score.pool)
        assert played == walked(players, by_player(sent))


def by_player(sent: Mapping[int, bool]) -> Bits:
    return lambda source: sent[source.player]


def holds(score: Score, number: int, found: Mapping[tuple[int, int], bool]) -> bool:
    """Whether a condition of a score holds with outcomes; those of skipped acquisitions are 0."""
    if number == EVERY_SHOT:
        return True
    condition = score.conditions[number]
    return bool(condition.truth[sum(found[source] << i for i, source in enumerate(condition.sources))])


ROUNDS = 24


def widest(body: str, spent: int) -> int | None:
    """Of how many outcomes together the widest condition of many equal rounds depends; None if shots go one by one."""
    score = score_of([readout(1, ROUNDS), actor(0, [(f"{body}\nlatch_rst 4", spent + 4)] * ROUNDS)])
    return None if score is None else max((len(condition.sources) for condition in score.conditions), default=0)


@pytest.mark.parametrize(
    ("body", "spent"),
    [
        ("set_awg_gain 700,700\nset_cond 1,1,0,40\nplay 0,0,40\nset_cond 0,0,0,0", 40),
        ("set_ph 1000\nset_cond 1,1,0,40\nplay 0,0,40\nset_cond 0,0,0,0", 40),
        (
            "set_cond 1,1,0,40\nset_awg_gain 9,9\nset_ph 7\nplay 0,0,40\nset_cond 0,0,0,0\nset_awg_gain 8,8\nset_ph 0",
            40,
        ),
        ("set_awg_gain 5,5\nset_ph 0\nplay 1,1,40\nset_cond 1,1,0,8\nset_ph 6\nupd_param 8\nset_cond 0,0,0,0", 48),
        ("set_cond 1,1,0,8\nset_ph_delta 6\nupd_param 8\nset_cond 0,0,0,0\nplay 0,0,40\nreset_ph\nupd_param 4", 52),
    ],
)
def test_rounds_that_leave_nothing_behind_are_not_combined(body: str, spent: int) -> None:
    found = widest(body, spent)
    assert found is not None
    assert found <= 1


SOUND_IF = ("set_cond 1,1,0,28\nplay 3,3,28\nset_cond 0,0,0,0\nlatch_rst 4", 32)


@pytest.mark.parametrize(
    "later",
    [
        ("set_cond 1,1,0,40\nplay 0,0,40\nset_cond 0,0,0,0\nlatch_rst 4", 44),
        ("set_cond 1,1,0,8\nset_awg_gain 5,5\nupd_param 8\nset_cond 0,0,0,0\nlatch_rst 4", 12),
    ],
)
def test_a_waveform_that_a_later_outcome_changes_while_it_sounds_goes_shot_by_shot(later: tuple[str, int]) -> None:
    """Whether it sounds depends on one outcome, how it goes on upon another, which is not known when it begins."""
    assert score_of([readout(1, 2), actor(0, [SOUND_IF, later])]) is None


@pytest.mark.parametrize("outcomes", range(4))
def test_a_waveform_that_is_cut_off_in_any_case_is_laid_out(outcomes: int) -> None:
    players = [readout(1, 2), actor(0, [SOUND_IF, ("play 0,0,40\n" + SOUND_IF[0], 40 + SOUND_IF[1])])]
    score = score_of(players)
    assert score is not None
    first, *_ = np.flatnonzero(run(players[0].code).trace.op == Op.ACQUIRE).tolist()

    def bits(source: Source) -> bool:
        return bool(outcomes >> (source.at != first) & 1)

    assert laid_out(score, players, bits) == walked(players, bits)


TURN_IF = "set_cond 1,1,0,8\nset_ph_delta 6\nupd_param 8\nset_cond 0,0,0,0\nplay 0,0,40\nlatch_rst 4"


def test_a_phase_that_adds_up_is_combined() -> None:
    score = score_of([readout(1, 3), actor(0, [(TURN_IF, 52)] * 3)])
    assert score is not None
    assert sorted({len(condition.sources) for condition in score.conditions}) == [1, 2, 3]


def test_walks_that_are_too_long_to_be_laid_out_together_go_shot_by_shot(monkeypatch: pytest.MonkeyPatch) -> None:
    players = [readout(1, 3), actor(0, [(TURN_IF, 52)] * 3)]
    all_walks = 2**3 * len(run(players[1].code).trace)
    for most, is_laid_out in ((all_walks, True), (all_walks - 1, False)):
        monkeypatch.setattr(ensemble, "MOST_INSTRUCTIONS", most)
        assert (score_of(players) is not None) == is_laid_out
