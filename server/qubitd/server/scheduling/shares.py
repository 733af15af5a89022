"""How much of the rack each project had lately: seconds that lose half their weight every half-life.

All projects' seconds fade by the same factor, so their order never changes by waiting alone; usage is kept at the
weight that it has at one fixed time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

HALF_LIFE = 24 * 3600.0
"""Seconds."""


@dataclass(slots=True, kw_only=True)
class Shares:
    """What the projects used."""

    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """Share of each project, > 0; 1 for a project that is not listed."""
    half_life: float = HALF_LIFE
    _epoch: float = 0.0
    _used: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds on this rack, at the weight that they have at the epoch."""
    _elsewhere: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds on other racks, likewise."""

    def add(self, project: str, seconds: float, *, at: float) -> None:
        """Charge a project with seconds that it used up to some time."""
        if self._exponent(at) > 64:
            self._move_epoch(at)
        self._used[project] = self._used.get(project, 0.0) + seconds * math.exp2(self._exponent(at))

    def take_in(self, elsewhere: Mapping[str, float], *, at: float) -> None:
        """Take in what projects used of other racks, at the weight that it has at some time."""
        scale = math.exp2(self._exponent(at))
        self._elsewhere = {project: seconds * scale for project, seconds in elsewhere.items()}

    def used(self, project: str, *, at: float) -> float:
        """Give the seconds that a project used of this rack, at the weight that they have at some time."""
        return self._used.get(project, 0.0) * math.exp2(-self._exponent(at))

    def standing(self, project: str) -> float:
        """Give what orders projects: the lower, the more is owed to it."""
        used = self._used.get(project, 0.0) + self._elsewhere.get(project, 0.0)
        return used / self.weights.get(project, 1.0)

    def copy(self) -> Shares:
        """Give one that may be charged for a rehearsal."""
        return Shares(
            weights=self.weights,
            half_life=self.half_life,
            _epoch=self._epoch,
            _used=dict(self._used),
            _elsewhere=self._elsewhere,
        )

    def _exponent(self, at: float) -> float:
        return (at - self._epoch) / self.half_life

    def _move_epoch(self, at: float) -> None:
        """Keep the numbers small."""
        faded = math.exp2(-self._exponent(at))
        self._used = {project: seconds * faded for project, seconds in self._used.items() if seconds * faded > 1e-6}
        self._elsewhere = {project: seconds * faded for project, seconds in self._elsewhere.items()}
        self._epoch = at
