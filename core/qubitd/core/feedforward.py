"""What a program does with outcomes while it runs: conditions, run-time phases, and which outcomes each line counts.

The outcome of an acquisition that feeds travels to every line as a trigger, if it is 1. Each line keeps a counter per
qubit. A condition looks at whether counters are above 0 on its own line at that moment; a counter adds up what arrives
while it is open, and clearing clears all counters of the line. So the same condition may mean different outcomes at
different times; `Latches` says what is counted where, and the compiler answers for the meaning.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.discriminator import Discriminator

ALWAYS = -1
"""Condition of what happens whatever the outcomes are."""


class Operator(enum.IntEnum):
    """How a condition joins the counters of its qubits."""

    OR = 0
    NOR = 1
    AND = 2
    NAND = 3
    XOR = 4
    XNOR = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """What a controller can do with outcomes. All times in ticks."""

    latency: int
    """From the end of an acquisition to the first sample that may depend on it."""
    travel: int
    """From the end of an acquisition to the arrival of its trigger at every line's counter, give or take less than
    `step`; at `latency` it has arrived."""
    spacing: int
    """Between the ends of any two acquisitions that feed: one trigger is on the way at a time."""
    addresses: int
    """Qubits whose outcomes may feed in one chunk."""
    step: int
    """Between a latch and anything else that its line does (a play, an acquisition, a phase shift, another latch), and
    between a latch and the arrival of a trigger."""
    shift: int
    """That a conditional phase shift takes on its line."""
    operators: frozenset[Operator] = frozenset(Operator)
    """How counters can be joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCondition:
    """Something is true of the counters of some qubits on the line that asks."""

    operator: Operator
    qubits: tuple[int, ...]
    """Sorted and distinct, at least one; their acquisitions feed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhaseShifts:
    """Virtual Z at run time, one row each, sorted by (line, start). Every column has shape (shifts,).

    If its condition holds, the phase of every later play on the line that belongs to the frame is advanced, on top of
    the phase that the play states. A frame that is played on several lines has a row for each.
    """

    line: NDArray[np.uint16]
    """Index into `Program.lines`."""
    start: NDArray[np.int64]
    """Ticks from the program's start; the line does nothing else for `FeedForward.shift` ticks."""
    phase: NDArray[np.float64]
    """Radians, 0 to 2 pi."""
    frame: NDArray[np.int16]
    """Qubit whose frame is advanced."""
    condition: NDArray[np.int16]
    """Index into `Dynamics.conditions`."""


class Latch(enum.IntEnum):
    """What a line does with its counters."""

    CLEAR = 0
    """All counters become 0."""
    OPEN = 1
    """Outcomes that arrive from now on are counted."""
    CLOSE = 2
    """They are not; the counters keep what they have."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Latches:
    """When lines clear, open and close their counters, one row each, sorted by (line, start).

    Every line begins each program closed and with all counters 0. Rows keep `FeedForward.step` away from everything
    else that the line does. Every column has shape (latches,).
    """

    line: NDArray[np.uint16]
    """Index into `Program.lines`."""
    start: NDArray[np.int64]
    """Ticks from the program's start."""
    action: NDArray[np.int8]
    """A `Latch`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A qubit whose acquisitions feed: each of them sends its outcome to all lines at its end, if it is 1."""

    qubit: int
    discriminator: Discriminator
    """Tells the outcome, on the hardware."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dynamics:
    """What makes a program dynamic. A play or an acquisition whose condition does not hold takes its time in silence.

    The outcomes of feeding qubits in a result are those that the hardware told. An acquisition that did not happen
    leaves its classical bit as it was, and its point is NaN.
    """

    feeds: tuple[Feed, ...]
    """Sorted by qubit. All programs of a chunk have the same: whether a qubit feeds is a setting for a whole run."""
    conditions: tuple[OutcomeCondition, ...]
    play_condition: NDArray[np.int16]
    """Index into `conditions` for each row of `Program.plays`, or ALWAYS."""
    acquisition_condition: NDArray[np.int16]
    """Index into `conditions` for each row of `Program.acquisitions`, or ALWAYS."""
    shifts: PhaseShifts
    latches: Latches
