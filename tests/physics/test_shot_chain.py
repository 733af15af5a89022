"""Shots without a reset between them: against Markov chains of two levels, and against the same shots written out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from qubitd.core.discriminator import Discriminator
from qubitd.emulator.chip import shot_chain
from qubitd.emulator.chip.register import Left
from qubitd.emulator.chip.shot_chain import ShotChain, Shots
from qubitd.emulator.errors import SlowShotsError
from qubitd.emulator.events import EVERY_SHOT, Condition
from qubitd.emulator.patience import MOST_SECONDS
from qubitd.server.instruments.rack import VIRTUAL_DEADLINE

if TYPE_CHECKING:
    from tests.physics.conftest import Play, Player

READOUT = 440


def bits(player: Player, *, shots: int, rest: int, seed: int = 1) -> NDArray[np.int64]:
    """What each readout found in each shot, shape (readouts, shots)."""
    points = player.chip.run(player.tape.table(shots=shots, rest=rest), np.random.default_rng(seed))
    found = [
        Discriminator(rotation=values.rotation, threshold=values.threshold)(row.astype(np.complex64))
        for values, row in zip((player.readout_values(qubit) for qubit in player.read), points, strict=True)
    ]
    return np.array(found, dtype=np.int64)


@pytest.mark.parametrize("rest", [0, 5_000, 60_000])
def test_a_flip_in_each_shot_follows_the_chain_of_two_levels(play: Play, rest: int) -> None:
    """A shot leaves what it found, unless that falls; the next finds the other, if it does not fall either."""
    player = play(photons=600.0)
    player.x(0)
    player.measure(0)
    (seen,) = bits(player, shots=20_000, rest=rest)
    t1 = player.chip.t1[0]
    kept = np.exp(-(READOUT + 200 + rest) / t1)  # from one reading's beginning to the next pulse: the window ends later
    alive = np.exp(-20 / t1)
    one_after_zero, one_after_one = alive, alive * (1 - kept)
    after_zero, after_one = (seen[1:][seen[:-1] == value] for value in (0, 1))
    assert seen[0] == 1
    for after, chance in ((after_zero, one_after_zero), (after_one, one_after_one)):
        if len(after) > 100:
            error = np.sqrt(chance * (1 - chance) / len(after))
            assert after.mean() == pytest.approx(chance, abs=4 * error + 4e-3)


def test_after_a_passive_reset_shots_forget_each_other(play: Play) -> None:
    player = play(photons=600.0)
    player.x(0)
    player.measure(0)
    (seen,) = bits(player, shots=4000, rest=player.chip.truth.passive_reset)
    assert seen.mean() > 0.99


def left_coherent(player: Player, rounds: int, rest: int, *, angle: float, begins_anew: bool = True) -> None:
    """A reading between two quarter turns, again and again: from the second one to the first, nobody looks."""
    for turn in range(rounds):
        player.sx(1)
        player.align()
        player.measure(1)
        player.time[1] += player.chip.time_of_flight
        player.rz(1, angle)
        player.sx(1)
        if turn < rounds - 1:
            player.time = [player.time[1] + rest] * 5
            player.phase = [0.0] * 5
            if begins_anew:
                player.tape.reset_phases(player.time[0])


def patterns(seen: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each row of outcomes came up; shape (rounds, times) -> (2 ** rounds,)."""
    return np.bincount((1 << np.arange(len(seen))) @ seen, minlength=1 << len(seen))


@pytest.mark.parametrize("angle", [0.0, 1.2])
def test_a_chain_is_what_its_shots_are_when_they_are_written_out(play: Play, angle: float) -> None:
    """What stays coherent from shot to shot keeps its phase against a drive whose oscillator goes on."""
    rounds, times, rest = 4, 400, 1_002
    long, other, short = play(), play(), play()
    left_coherent(long, rounds, rest, angle=angle)
    left_coherent(other, rounds, rest, angle=angle, begins_anew=False)
    left_coherent(short, 1, rest, angle=angle)
    reset = long.chip.truth.passive_reset
    written, wrong = (patterns(bits(player, shots=times, rest=reset, seed=2)) for player in (long, other))
    chains = [bits(short, shots=rounds, rest=rest, seed=100 + i)[0] for i in range(times)]
    counts = np.array([written, patterns(np.array(chains).T), wrong])
    counts = counts[:, counts[:2].sum(axis=0) > 10]
    assert stats.chi2_contingency(counts[:2]).pvalue > 1e-3
    assert stats.chi2_contingency(counts[1:]).pvalue < 1e-6  # the control: another phase is another table


def test_shots_at_once_and_one_by_one_are_the_same_chain(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Played from each state as often as needed, or one shot after another: what follows each outcome is the same."""
    player = play(photons=600.0)
    player.h(0)
    player.cx(0, 1)
    player.align()
    player.measure(0, 1)
    together = followers(bits(player, shots=6000, rest=3000, seed=4))
    run = ShotChain.run
    monkeypatch.setattr(ShotChain, "run", lambda chain, play_, shots, *, at_once: run(chain, play_, shots, at_once=1))
    alone = followers(bits(player, shots=2000, rest=3000, seed=5))
    assert together[0, [0, 3]].min() > 5 * together[0, [1, 2]].max()
    assert together[2, [1, 2]].min() > 5 * together[2, [0, 3]].max()
    for both in zip(together, alone, strict=True):
        counts = np.array(both)[:, np.sum(both, axis=0) > 20]
        assert stats.chi2_contingency(counts).pvalue > 1e-3


def followers(seen: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each outcome of two bits (row) was followed by each (column)."""
    code = seen[0] + 2 * seen[1]
    return np.bincount(code[:-1] * 4 + code[1:], minlength=16).reshape(4, 4)


STATE = (5, 5, 5, 5)


class Steps:
    """Stands for a chip: shots whose state is a number, by which the next is told, and whose point is their own."""

    def __init__(self, following: Callable[[int], int], *, seconds: float = 0.0) -> None:
        self.following = following
        self.seconds = seconds
        self.now = 0.0
        self.plays = 0

    def play(self, left: Left | None, state: NDArray[np.int64]) -> Shots:
        self.now += self.seconds
        self.plays += 1
        begin = np.zeros(1) if left is None else left.states.reshape(len(left.states), -1)[:, 0]
        ends = np.array([self.following(int(begin[each])) for each in state])
        states = np.broadcast_to(ends.reshape(-1, 1, 1, 1, 1), (len(ends), *STATE)).astype(np.float64)
        points = begin[state][None].astype(np.complex128)
        return Shots(points=points, left=Left(states=states, time=0.0), state=np.arange(len(state)))

    def run(self, shots: int) -> NDArray[np.float64]:
        chain = ShotChain(shots, clock=lambda: self.now)
        points = chain.run(self.play, shots, at_once=shots)
        return np.array(points[0].real)


def test_states_that_do_not_come_again_are_not_kept() -> None:
    shots = 4000
    steps = Steps(lambda number: number + 1)
    tracemalloc.start()
    try:
        found = steps.run(shots)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.tolist() == list(range(shots))
    assert peak < shots / 2 * np.zeros(STATE).nbytes


def test_a_chain_that_settles_late_is_played_at_once_from_then_on() -> None:
    """Most states that came before it are forgotten, but not where the chain stays."""
    steps = Steps(lambda number: min(number + 1, 500))
    assert steps.run(20_000).tolist() == [*range(500), *[500] * 19_500]
    assert steps.plays < 600


def test_shots_that_take_too_long_are_refused_before_they_do() -> None:
    """By their pace once it is known that all will be played alone, by their time at any rate."""
    few, many, deep = (Steps(lambda number: number + 1, seconds=seconds) for seconds in (0.01, 0.01, 1.0))
    few.run(8000)
    with pytest.raises(SlowShotsError, match=r"gave 20000 shots without a reset up: .*Ask for fewer, measure every"):
        many.run(20_000)
    assert many.now < MOST_SECONDS / 3
    with pytest.raises(SlowShotsError):
        deep.run(20_000)
    assert deep.now < MOST_SECONDS + 2
    assert MOST_SECONDS < VIRTUAL_DEADLINE


def test_what_is_left_does_not_depend_on_what_other_shots_chose(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """A qubit is flipped in shots that find 1 in another; a third, which nobody reads, ages as long in all of them."""
    player = play(photons=600.0)
    player.sx(0)
    player.sx(1)
    player.align()
    player.measure(0)
    player.time[0] += player.chip.time_of_flight + 400
    player.x(0)
    table = player.tape.table(shots=1, rest=500)
    condition = np.full_like(table.plays.condition, EVERY_SHOT)
    condition[-1] = 0
    table = replace(
        table,
        plays=replace(table.plays, condition=condition),
        acquisitions=replace(table.acquisitions, feeds=np.ones_like(table.acquisitions.feeds)),
        conditions=(Condition(outcomes=(0,), truth=np.array([False, True])),),
    )
    kept: list[Shots] = []

    def run(chain: ShotChain, play_: shot_chain.Play, shots: int, *, at_once: int) -> NDArray[np.complex128]:
        kept.extend(play_(None, np.zeros(count, dtype=np.int64)) for count in [200, *[1] * 12])
        return kept[0].points[:, :shots]

    values = player.readout_values(0)
    discriminate = Discriminator(rotation=values.rotation, threshold=values.threshold)
    monkeypatch.setattr(ShotChain, "run", run)
    player.chip.run(table, np.random.default_rng(3), lambda row, points: discriminate(points.astype(np.complex64)))
    among_many, *alone = kept
    assert {shots.left.time for shots in alone} == {among_many.left.time}
    assert len({discriminate(shots.points[0].astype(np.complex64)).item() for shots in alone}) == 2
    for shots in alone:
        distance = np.abs(among_many.left.states - shots.left.states).max(axis=(1, 2))
        assert distance.min() < 1e-12
