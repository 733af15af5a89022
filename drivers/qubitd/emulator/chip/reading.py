"""What readouts find in each shot, and when qubits that are found in 1 fall while they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.basis import LEVELS, P1
from qubitd.emulator.chip.probe import Found, Probe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """What readouts that are drawn together may find."""

    probes: tuple[Probe, ...]
    cumulative: NDArray[np.float64]
    """Of the distribution of their outcomes, shape (branches, 3 ** probes)."""
    levels: NDArray[np.int64]
    """Which each probe finds by the outcome, shape (probes, 3 ** probes)."""

    @staticmethod
    def of(probes: Sequence[Probe], joint: NDArray[np.float64]) -> Reading:
        """Take the distribution of the levels, shape (branches, 3, 3, ...) in the order of the probes."""
        cumulative = np.cumsum(joint.reshape(len(joint), -1), axis=1)
        outcomes = np.unravel_index(np.arange(cumulative.shape[1]), [LEVELS] * len(probes))
        return Reading(probes=tuple(probes), cumulative=cumulative, levels=np.array(outcomes, dtype=np.int64))

    def draw(self, branch: NDArray[np.int64], t1: Sequence[float], rng: np.random.Generator) -> list[Found]:
        """Draw what each probe finds.

        Args:
            branch: of each shot, shape (shots,).
            t1: relaxation time of every qubit of the chip, ns.
            rng: by which it is drawn.
        """
        outcome = _drawn(self.cumulative, branch, rng)
        return [
            _watched(probe, levels, t1[probe.qubit], rng)
            for probe, levels in zip(self.probes, self.levels.take(outcome, axis=1), strict=True)
        ]


def _watched(probe: Probe, level: NDArray[np.int64], t1: float, rng: np.random.Generator) -> Found:
    """Let qubits that are found in 1 fall while they are read; `t1` is the qubit's, ns."""
    (excited,) = (level == P1).nonzero()
    when = rng.exponential(t1, len(excited))
    when += probe.start
    falls = when < probe.end
    return Found(probe=probe, level=level, fell=excited[falls], when=when[falls])


def _drawn(cumulative: NDArray[np.float64], branch: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw one outcome per shot from its branch's cumulative distribution, shape (branches, outcomes)."""
    chance = rng.random(len(branch))
    bounds = cumulative[:, :-1]  # what is beyond all of them is the last outcome
    if len(bounds) == 1:
        found: NDArray[np.int64] = bounds[0].searchsorted(chance, side="right")
    else:
        found = (bounds[branch] <= chance[:, None]).sum(axis=1)
    return found
