"""A qubit being read, and what that found in each shot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.basis import LEVELS, P0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """One qubit being read by tones that touch or overlap, whether or not a window listens."""

    qubit: int
    start: int
    """ns: from here on the qubit is in one level or another."""
    end: int
    """ns: until here it is watched for its fall from 1 to 0."""
    tones: tuple[int, ...]
    """Rows of the table's tones."""
    condition: int
    """Index into the table's conditions: in which shots it is read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What one readout found."""

    probe: Probe
    level: NDArray[np.int64]
    """At the readout's start, shape (shots,)."""
    fell: NDArray[np.int64]
    """Shots that were found in 1 and fell to 0 meanwhile, shape (falls,)."""
    when: NDArray[np.float64]
    """Time of each fall, ns, shape (falls,)."""

    @property
    def by_tone(self) -> Falls:
        """Give it to each tone that reads the qubit."""
        return {(self.probe.qubit, tone): self for tone in self.probe.tones}

    @property
    def fall(self) -> NDArray[np.float64]:
        """Give up to when, in ns, each shot's qubit was in 1 or above, shape (shots,): -inf if it was in 0, inf if it
        stays.
        """
        fall = _STAYS[self.level]
        fall[self.fell] = self.when
        return fall

    @property
    def left(self) -> NDArray[np.int64]:
        """Give the level in which each shot's qubit is left."""
        left = self.level.copy()
        left[self.fell] = P0
        return left


Falls = Mapping[tuple[int, int], Found]
"""(qubit, row of a tone) -> what the readout of which it is part found. Qubits that were in 0 in every shot may be left
out."""

_STAYS = np.full(LEVELS, np.inf)
"""By level, for what does not fall."""
_STAYS[P0] = -np.inf
