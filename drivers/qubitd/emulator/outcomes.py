"""What a run has measured so far, and what follows from it: the conditions of an event table as masks over shots."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.errors import InvalidTableError
from qubitd.emulator.events import EVERY_SHOT, EventTable

Mask = NDArray[np.bool_]
"""Shape (shots,)."""
Decide = Callable[[int, NDArray[np.complex128]], Mask]
"""Row of an acquisition and its points, shape (shots,) -> in which shots it sends a trigger."""


class Outcomes:
    """Grows as acquisitions end, in the order of time."""

    def __init__(self, table: EventTable, decide: Decide, *, shots: int) -> None:
        """Begin with nothing measured in some shots of a table."""
        self.shots = shots
        self._conditions = table.conditions
        self._condition_of = table.acquisitions.condition
        self._decide = decide
        self._sent: dict[int, Mask] = {}

    def record(self, row: int, points: NDArray[np.complex128]) -> None:
        """Take the points of an acquisition that sends triggers; where it did not take place it sends none."""
        self._sent[row] = self._decide(row, points) & self.mask(int(self._condition_of[row]))

    def sent(self, row: int) -> Mask:
        """Tell in which shots an acquisition that was recorded sent its trigger."""
        return self._sent[row]

    def mask(self, condition: int) -> Mask:
        """Tell in which shots a condition, an index into the table's, holds."""
        if condition == EVERY_SHOT:
            return np.ones(self.shots, dtype=np.bool_)
        stated = self._conditions[condition]
        values = np.zeros(self.shots, dtype=np.int64)
        for position, row in enumerate(stated.outcomes):
            values |= self._sent[row].astype(np.int64) << position
        return stated.truth[values]

    def are_known(self, conditions: Iterable[int]) -> bool:
        """Whether everything that some conditions look at has been recorded."""
        return all(
            row in self._sent
            for condition in conditions
            if condition != EVERY_SHOT
            for row in self._conditions[condition].outcomes
        )


def needs_no_decision(row: int, points: NDArray[np.complex128]) -> Mask:
    """Stand in for a rule where no row has a condition.

    Raises:
        InvalidTableError: one has.
    """
    del points
    raise InvalidTableError(column="acquisitions.feeds", row=row, limit="0 where nobody decides", value=1)
