"""What the programs of a chunk do with outcomes, as one set of columns in the Cluster's own terms.

Every qubit that feeds has an address on the trigger network, the same for the whole run: 1, 2, ... in the order of the
qubits. Counter n of a sequencer counts address n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.feedforward import ALWAYS, Dynamics, Feed, OutcomeCondition
from qubitd.core.program import ProgramColumns

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftColumns:
    """Conditional phases of one line or of all, in the order of program and start."""

    line: Ints
    program: Ints
    start: Ints
    """Ticks from the program's start."""
    phase: NDArray[np.float64]
    """Radians."""
    frame: Ints
    condition: Ints
    """Index into `Feedback.conditions`."""

    def select(self, rows: NDArray[np.intp]) -> ShiftColumns:
        """Give some of the rows."""
        return ShiftColumns(**{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatchColumns:
    """What lines do with their counters, in the order of program and start."""

    line: Ints
    program: Ints
    start: Ints
    """Ticks from the program's start."""
    action: Ints
    """A `Latch`."""

    def select(self, rows: NDArray[np.intp]) -> LatchColumns:
        """Give some of the rows."""
        return LatchColumns(**{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feedback:
    """A chunk's, put together."""

    feeds: tuple[Feed, ...]
    differs: tuple[int, ...]
    """Positions of programs that want other feeds."""
    conditions: tuple[OutcomeCondition, ...]
    shifts: ShiftColumns
    latches: LatchColumns

    @property
    def addresses(self) -> Mapping[int, int]:
        """Give the address of each qubit that feeds."""
        return {feed.qubit: 1 + i for i, feed in enumerate(self.feeds)}

    def masks(self) -> list[tuple[int, int]]:
        """Give mask and operator of each condition, as `set_cond` takes them."""
        bit = {qubit: 1 << (address - 1) for qubit, address in self.addresses.items()}
        return [(sum(bit.get(q, 0) for q in each.qubits), int(each.operator)) for each in self.conditions]


def feedback_of(programs: ProgramColumns) -> Feedback | None:
    """Put together what the programs of a chunk do; None if they do nothing."""
    dynamics = sorted(programs.dynamics.items(), key=lambda item: item[0])
    if not dynamics:
        return None
    feeds = dynamics[0][1].feeds
    return Feedback(
        feeds=feeds,
        differs=tuple(i for i, each in dynamics if each.feeds != feeds),
        conditions=tuple(condition for _, each in dynamics for condition in each.conditions),
        shifts=_shifts(dynamics),
        latches=_latches(dynamics),
    )


def play_conditions(programs: ProgramColumns, feedback: Feedback | None) -> Ints:
    """Give the condition of every play of a chunk."""
    own = {i: dynamics.play_condition for i, dynamics in programs.dynamics.items()}
    return _joined(programs, own, programs.play_bounds, feedback)


def acquisition_conditions(programs: ProgramColumns, feedback: Feedback | None) -> Ints:
    """Give the condition of every acquisition of a chunk."""
    own = {i: dynamics.acquisition_condition for i, dynamics in programs.dynamics.items()}
    return _joined(programs, own, programs.acquisition_bounds, feedback)


def _joined(
    programs: ProgramColumns, own: Mapping[int, NDArray[np.int16]], bounds: Ints, feedback: Feedback | None
) -> Ints:
    """Number conditions through all programs."""
    found = np.full(int(bounds[-1]), ALWAYS, dtype=np.int64)
    if feedback is None:
        return found
    first = 0
    for i in sorted(own):
        found[bounds[i] : bounds[i + 1]] = _numbered(own[i], first)
        first += len(programs.dynamics[i].conditions)
    return found


def _numbered(condition: NDArray[np.int16], first: int) -> Ints:
    return np.where(condition == ALWAYS, ALWAYS, condition.astype(np.int64) + first)


def _shifts(dynamics: Sequence[tuple[int, Dynamics]]) -> ShiftColumns:
    parts = [each.shifts for _, each in dynamics]
    before = np.cumsum([0, *(len(each.conditions) for _, each in dynamics)])
    return ShiftColumns(
        line=np.concatenate([part.line for part in parts]).astype(np.int64),
        program=np.repeat([i for i, _ in dynamics], [len(part.line) for part in parts]).astype(np.int64),
        start=np.concatenate([part.start for part in parts]),
        phase=np.concatenate([part.phase for part in parts]),
        frame=np.concatenate([part.frame for part in parts]).astype(np.int64),
        condition=np.concatenate(
            [_numbered(part.condition, int(first)) for part, first in zip(parts, before, strict=False)]
        ),
    )


def _latches(dynamics: Sequence[tuple[int, Dynamics]]) -> LatchColumns:
    parts = [each.latches for _, each in dynamics]
    return LatchColumns(
        line=np.concatenate([part.line for part in parts]).astype(np.int64),
        program=np.repeat([i for i, _ in dynamics], [len(part.line) for part in parts]).astype(np.int64),
        start=np.concatenate([part.start for part in parts]),
        action=np.concatenate([part.action for part in parts]).astype(np.int64),
    )
