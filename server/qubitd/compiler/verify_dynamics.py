"""Pass: what a dynamic program does with outcomes against the controller's trigger network; it changes nothing.

Each line's counters are followed through the program: whatever looks at one must find an outcome in it that arrived in
time, and no two triggers may be on their way at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qubitd.core.errors import Problem
from qubitd.core.feedforward import ALWAYS, Dynamics, FeedForward, Latch
from qubitd.core.program import Program

_ARRIVES, _LATCH, _LOOKS = range(3)


def dynamics_problems(program: Program, dynamics: Dynamics, facts: FeedForward) -> Iterator[Problem]:
    """Give the first offence of each kind, and of each line."""
    where = f"program {program.name!r}"
    lengths = (len(dynamics.play_condition), len(dynamics.acquisition_condition))
    if lengths != (len(program.plays.start), len(program.acquisitions.start)):
        yield Problem(where=where, what=f"has conditions for {lengths[0]} plays and {lengths[1]} acquisitions")
        return
    feeding = [feed.qubit for feed in dynamics.feeds]
    silent = sorted({q for condition in dynamics.conditions for q in condition.qubits} - set(feeding))
    if silent:
        yield Problem(where=where, what=f"looks at outcomes of qubits {silent}, which do not feed")
        return
    rows = np.flatnonzero(np.isin(program.acquisitions.qubit, feeding))
    end = program.acquisitions.start[rows] + program.acquisitions.length[rows]
    for gap in np.diff(np.sort(end))[np.diff(np.sort(end)) < facts.spacing][:1]:
        what = f"sends two outcomes {gap} ns apart; the trigger network takes one in {facts.spacing} ns"
        yield Problem(where=where, what=what)
    sent = list(zip(end.tolist(), program.acquisitions.qubit[rows].tolist(), strict=True))
    for line, name in enumerate(program.lines):
        offence = _line_offence(_looks(program, dynamics, line), sent, dynamics, line, facts)
        if offence is not None:
            yield Problem(where=f"{where}, {name}", what=offence)


def _looks(program: Program, dynamics: Dynamics, line: int) -> list[tuple[int, int]]:
    """Give (tick, condition) of all that depends on outcomes on a line."""
    parts = (
        (program.plays.line, program.plays.start, dynamics.play_condition),
        (program.acquisitions.line, program.acquisitions.start, dynamics.acquisition_condition),
        (dynamics.shifts.line, dynamics.shifts.start, dynamics.shifts.condition),
    )
    found: list[tuple[int, int]] = []
    for lines, start, condition in parts:
        own = (lines == line) & (condition != ALWAYS)
        found += zip(start[own].tolist(), condition[own].tolist(), strict=True)
    return found


def _line_offence(
    looks: list[tuple[int, int]], sent: list[tuple[int, int]], dynamics: Dynamics, line: int, facts: FeedForward
) -> str | None:
    """Follow one line's counters; `sent` holds (tick, qubit)."""
    own = dynamics.latches.line == line
    events = [(tick + facts.travel, _ARRIVES, qubit) for tick, qubit in sent]
    latches = zip(dynamics.latches.start[own].tolist(), dynamics.latches.action[own].tolist(), strict=True)
    events += [(tick, _LATCH, action) for tick, action in latches]
    events += [(tick, _LOOKS, condition) for tick, condition in looks]
    counted: dict[int, int] = {}
    is_open = False
    for tick, kind, number in sorted(events):
        if kind == _ARRIVES and is_open:
            counted[number] = tick - facts.travel
        elif kind == _LATCH and number == Latch.CLEAR:
            counted.clear()
        elif kind == _LATCH:
            is_open = number == Latch.OPEN
        elif kind == _LOOKS:
            for qubit in dynamics.conditions[number].qubits:
                if tick < counted.get(qubit, tick) + facts.latency:
                    early = f"{facts.latency} ns before"
                    return f"looks at qubit {qubit} at {tick} ns, but no outcome of it was counted {early}"
    return None
