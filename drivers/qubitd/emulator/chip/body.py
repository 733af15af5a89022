"""One shot body for all shots at once: maps in the order of time, and what the readouts find in each shot.

A readout after which nothing happens to its qubit may wait: maps of other qubits commute with it, so all such
readouts are drawn together from the final diagonal. Any other readout is drawn at once and splits the shots into
branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.basis import LEVELS, P0, P1
from qubitd.emulator.chip.drive import Turn
from qubitd.emulator.chip.feedline import Probe
from qubitd.emulator.chip.flux import Exchange
from qubitd.emulator.chip.register import Register

Event: TypeAlias = Turn | Exchange | Probe


class BodyRun:
    """A body being played; it begins in |0..0>."""

    def __init__(
        self, events: Sequence[Event], *, t1: Sequence[float], t2: Sequence[float], shots: int, rng: np.random.Generator
    ) -> None:
        """Prepare a body.

        Args:
            events: sorted by start.
            t1: relaxation time of every qubit of the chip, ns.
            t2: coherence time of every qubit of the chip, ns.
            shots: how many.
            rng: for what the readouts find.
        """
        self._events = events
        self._moved = sorted({qubit for event in events for qubit in _moves(event)})
        self._register = Register(self._moved, t1=t1, t2=t2)
        self._t1 = t1
        self._shots = shots
        self._rng = rng
        self._branch = np.zeros(shots, dtype=np.int64)
        self._waiting: list[Probe] = []
        self._falls: dict[tuple[int, int], NDArray[np.float64]] = {}

    def play(self) -> dict[tuple[int, int], NDArray[np.float64]]:
        """Play the body; give for each qubit and tone that reads it when each shot's qubit fell (`feedline.Falls`)."""
        last = {qubit: i for i, event in enumerate(self._events) for qubit in _touches(event)}
        for i, event in enumerate(self._events):
            match event:
                case Turn():
                    self._register.apply(event.qubit, event.single, start=event.start, end=event.end)
                case Exchange():
                    self._register.apply_pair(event.pulsed, event.partner, event.pair, time=event.start)
                case Probe():
                    self._probe(event, final=last[event.qubit] == i)
                case _:
                    assert_never(event)
        self._draw_waiting()
        return self._falls

    def _probe(self, probe: Probe, *, final: bool) -> None:
        if probe.qubit not in self._moved:
            return  # it is in 0 in every shot
        self._register.hold(probe.qubit, time=probe.start)
        if final:
            self._waiting.append(probe)
            return
        found = _draw(self._register.joint([probe.qubit]), self._branch, self._rng)
        left = self._watch(probe, found)
        self._branch = self._register.collapse(probe.qubit, self._branch, found=found, left=left, end=probe.end)

    def _draw_waiting(self) -> None:
        if not self._waiting:
            return
        qubits = [probe.qubit for probe in self._waiting]
        joint = self._register.joint(qubits)
        found = np.unravel_index(_draw(joint.reshape(len(joint), -1), self._branch, self._rng), [LEVELS] * len(qubits))
        for probe, levels in zip(self._waiting, found, strict=True):
            self._watch(probe, levels)

    def _watch(self, probe: Probe, found: NDArray[np.int64]) -> NDArray[np.int64]:
        """Let qubits in 1 fall while they are read; give the level in which each shot's qubit is left."""
        fall = np.where(found == P0, -np.inf, np.inf)
        excited = np.flatnonzero(found == P1)
        when: NDArray[np.float64] = probe.start + self._rng.exponential(self._t1[probe.qubit], len(excited))
        fell = when < probe.end
        fall[excited[fell]] = when[fell]
        self._falls.update(dict.fromkeys(((probe.qubit, tone) for tone in probe.tones), fall))
        left: NDArray[np.int64] = np.where(np.isfinite(fall), P0, found)
        return left


def _moves(event: Event) -> tuple[int, ...]:
    return () if isinstance(event, Probe) else _touches(event)


def _touches(event: Event) -> tuple[int, ...]:
    return (event.pulsed, event.partner) if isinstance(event, Exchange) else (event.qubit,)


def _draw(probabilities: NDArray[np.float64], branch: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw one outcome per shot from its branch's distribution, shape (branches, outcomes)."""
    cumulative = np.cumsum(probabilities, axis=1)
    chance = rng.random(len(branch))
    if len(cumulative) == 1:
        drawn = np.searchsorted(cumulative[0], chance, side="right")
    else:
        drawn = (cumulative[branch] <= chance[:, None]).sum(axis=1)
    return np.asarray(np.minimum(drawn, probabilities.shape[1] - 1), dtype=np.int64)
