"""From the operations that travel back to those of the user's circuit: control flow is written out on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qubitd.core.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """What each operation of one circuit became."""

    spans: tuple[tuple[int, int], ...] = ()
    """(position in the user's circuit, number of operations that travel) of each that became anything but one."""

    def of(self, op: int) -> int:
        """Give the position in the user's circuit of what travels at `op`."""
        before = 0
        """How many more operations travel than the user wrote, so far."""
        for position, count in self.spans:
            if op < position + before:
                break
            if op < position + before + count:
                return position
            before += count - 1
        return op - before

    def told(self, problem: Problem) -> Problem:
        """Give a problem with the place of the operation in the user's circuit."""
        if problem.operation is None or not self.spans:
            return problem
        position = self.of(problem.operation)
        where = problem.where.replace(f", operation {problem.operation} (", f", operation {position} (")
        return replace(problem, where=where, operation=position)


AS_WRITTEN = Origins()
"""Every operation travels as it is."""


def origins_of(positions: Sequence[int], num_operations: int) -> Origins:
    """Give what each operation became.

    Args:
        positions: in the user's circuit, of all that travels.
        num_operations: of the user's circuit.
    """
    counts = np.bincount(np.array(positions, dtype=np.int64), minlength=num_operations)
    several = np.flatnonzero(counts != 1)
    return Origins(spans=tuple(zip(several.tolist(), counts[several].tolist(), strict=True)))


def read_origins(spans: Any) -> Origins:
    """Read the spans of a header.

    Raises:
        TypeError, ValueError: they are none.
    """
    return Origins(spans=tuple((int(position), int(count)) for position, count in spans))
