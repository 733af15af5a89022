"""Frequencies that differ from shot to shot and stay put within one: quasi-static flux noise, |df/dPhi| times its rms.

Ramsey fringes then decay as exp(-(2 pi sigma t)^2 / 2), and an echo brings them back. The shots of a table are cut into
groups with one frequency each, drawn stratum by stratum, so that few groups give the Gaussian well. Inside: GHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from qubitd.emulator.cabling import Qubit

GROUPS = 64
"""Different frequencies of a qubit among the shots of a table, at most."""
_deviate = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])


class FrequencyNoise:
    """Draws the detunings of a chip's qubits."""

    def __init__(self, qubits: Sequence[Qubit]) -> None:
        self._sigma = np.array([qubit.frequency_noise * 1e-9 for qubit in qubits])
        self._is_there = bool(self._sigma.any())

    def alike(self, shots: int) -> int:
        """Give how many shots may have the same frequencies."""
        return -(-shots // GROUPS) if self._is_there else shots

    def drawn(self, groups: int, rng: np.random.Generator) -> list[list[float] | None]:
        """Give the detuning of every qubit in each group; None where nothing is noisy."""
        if not self._is_there:
            return [None] * groups
        strata = rng.permuted(np.tile(np.arange(groups), (len(self._sigma), 1)), axis=1)
        chance = (strata + rng.random(strata.shape)) / groups
        drawn: list[list[float] | None] = [*(self._sigma[:, None] * _deviate(chance)).T.tolist()]
        return drawn
