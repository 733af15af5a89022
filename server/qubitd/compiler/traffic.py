"""Which operations of a circuit send an outcome over the trigger network, and which look at outcomes.

A qubit feeds if any test looks at one of its outcomes; then each of its measurements sends, since that is a setting of
its sequencer for a whole run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qubitd.compiler.columns import Columns, Ints
from qubitd.compiler.flatten import Guards
from qubitd.compiler.numbers import Numbers
from qubitd.compiler.outcomes import OutcomeTest
from qubitd.core.feedforward import ALWAYS, FeedForward


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """One circuit's, by the positions of its operations after composite gates were expanded."""

    facts: FeedForward
    """How fast outcomes travel."""
    tests: tuple[OutcomeTest, ...]
    test: Ints
    """Index into `tests` of each operation, or ALWAYS."""
    measurements: tuple[int, ...]
    """Operation that gives each outcome."""
    measured: tuple[int, ...]
    """Qubit of each outcome."""
    source: Ints
    """Position in the circuit as it was written."""
    front: int
    """How many of these stand in front of the circuit that was sent."""
    feeding: tuple[int, ...]
    """Qubits that feed, sorted."""

    def looks_at(self, op: int) -> tuple[int, ...]:
        """Give the outcomes that an operation depends on."""
        test = int(self.test[op])
        return () if test == ALWAYS else self.tests[test].outcomes


def traffic_of(guards: Guards, facts: FeedForward, columns: Columns, count: Ints) -> Traffic:
    """Follow the guards through the expansion of composite gates.

    Args:
        guards: of the operations before.
        facts: of the controller.
        columns: one circuit's operations after.
        count: how many each operation has become.
    """
    first = np.cumsum(count) - count
    measurements = first[list(guards.measurements)]
    measured: list[int] = columns.qubits[columns.qubit_start[measurements]].tolist()
    return Traffic(
        facts=facts,
        tests=guards.tests,
        test=np.repeat(guards.test, count),
        measurements=tuple(measurements.tolist()),
        measured=tuple(measured),
        source=np.repeat(guards.source, count),
        front=guards.front,
        feeding=tuple(sorted({measured[number] for test in guards.tests for number in test.outcomes})),
    )


def sends_of(traffic: Traffic, rows: Ints, numbers: Numbers) -> dict[int, int]:
    """Give the operations that send, each with the ticks from its start until it does: the end of its acquisition."""
    acquisitions = numbers.acquisitions
    feeding = np.isin(acquisitions.qubit, traffic.feeding)
    found: dict[int, int] = {}
    for op in np.flatnonzero(numbers.own_acquisitions.count[rows]).tolist():
        first = int(numbers.own_acquisitions.first[rows[op]])
        for entry in range(first, first + int(numbers.own_acquisitions.count[rows[op]])):
            if feeding[entry]:
                found[op] = int(acquisitions.delay[entry] + acquisitions.length[entry])
    return found
