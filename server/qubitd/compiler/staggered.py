"""Pass: when the operations of a circuit with tests start. Outcomes take time, and only one trigger travels at a time.

Beyond what holds for every schedule: an operation that looks at an outcome starts `latency` after the end of the
acquisition; the ends of any two acquisitions that send are `spacing` apart; an operation that looks at a qubit's
counter is over when the next outcome of that qubit is sent. Each operation takes its time whether it happens or not.

Late and early are one pass: late is early with time and order reversed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np

from qubitd.compiler.columns import Columns, Ints
from qubitd.compiler.schedule import Schedule
from qubitd.compiler.traffic import Traffic
from qubitd.core.feedforward import ALWAYS
from qubitd.core.job import Scheduling


def schedule_staggered(
    columns: Columns,
    length: Ints,
    traffic: Traffic,
    sends: dict[int, int],
    scheduling: Scheduling,
) -> Schedule:
    """Schedule one circuit.

    Args:
        columns: its operations.
        length: ticks that each takes on each of its qubits.
        traffic: what they look at.
        sends: ticks from the start of each operation that sends until it does.
        scheduling: as late or as soon as possible.
    """
    forward = _Forward if scheduling is Scheduling.ASAP else _Backward
    placed = forward(columns, length.tolist(), traffic, sends).placed()
    ends = placed + length
    if scheduling is Scheduling.ASAP:
        return Schedule(start=placed, duration=np.array([ends.max(initial=0)]))
    return Schedule(start=placed - placed.min(initial=0), duration=np.array([-placed.min(initial=0)]))


class _Slots:
    """Times at which triggers are on their way."""

    def __init__(self, spacing: int) -> None:
        self._spacing = spacing
        self._taken: list[int] = []

    def take_from(self, time: int) -> int:
        """Take the first free time, not before one."""
        for taken in self._taken[bisect_left(self._taken, time - self._spacing + 1) :]:
            if taken - time >= self._spacing:
                break
            time = taken + self._spacing
        insort(self._taken, time)
        return time

    def take_until(self, time: int) -> int:
        """Take the last free time, not after one."""
        for taken in reversed(self._taken[: bisect_left(self._taken, time + self._spacing)]):
            if time - taken >= self._spacing:
                break
            time = taken - self._spacing
        insort(self._taken, time)
        return time


class _Pass:
    """What both directions share."""

    def __init__(self, columns: Columns, length: Sequence[int], traffic: Traffic, sends: dict[int, int]) -> None:
        self.columns = columns
        self.length = length
        self.sends = sends
        self.latency = traffic.facts.latency
        self.slots = _Slots(traffic.facts.spacing)
        self.number_of = {op: number for number, op in enumerate(traffic.measurements)}
        self._test: list[int] = traffic.test.tolist()
        self._outcomes = [np.array(test.outcomes, dtype=np.int64) for test in traffic.tests]
        measured = np.array(traffic.measured, dtype=np.int64)
        self._counters = [np.unique(measured[outcomes]) for outcomes in self._outcomes]

    def qubits(self, op: int) -> list[int]:
        found: list[int] = self.columns.qubits[self.columns.qubit_start[op] : self.columns.qubit_start[op + 1]].tolist()
        return found

    def looks_at(self, op: int) -> tuple[Ints, Ints] | None:
        """Give the outcomes that an operation looks at, and the qubits whose counters tell; None for one without."""
        test = self._test[op]
        return None if test == ALWAYS else (self._outcomes[test], self._counters[test])


class _Forward(_Pass):
    """As soon as possible; times count from the start."""

    def placed(self) -> Ints:
        """Give the start of each operation."""
        ready = [0] * self.columns.num_qubits
        sent_at = np.zeros(len(self.number_of), dtype=np.int64)
        looked_until = np.zeros(self.columns.num_qubits, dtype=np.int64)
        start = np.zeros(len(self.columns), dtype=np.int64)
        for op in range(len(self.columns)):
            qubits, looks = self.qubits(op), self.looks_at(op)
            at = max((ready[q] for q in qubits), default=0)
            if looks is not None:
                at = max(at, int(sent_at[looks[0]].max()) + self.latency)
            if op in self.sends:
                sent = self.slots.take_from(max(at + self.sends[op], int(looked_until[qubits[0]])))
                at = sent - self.sends[op]
                if op in self.number_of:
                    sent_at[self.number_of[op]] = sent
            end = at + self.length[op]
            for qubit in qubits:
                ready[qubit] = end
            if looks is not None:
                looked_until[looks[1]] = np.maximum(looked_until[looks[1]], end)
            start[op] = at
        return start


class _Backward(_Pass):
    """As late as possible; times count from the end, so all are negative."""

    def placed(self) -> Ints:
        """Give the start of each operation."""
        needed = [0] * self.columns.num_qubits
        known_until = np.zeros(len(self.number_of), dtype=np.int64)
        sent_next = np.zeros(self.columns.num_qubits, dtype=np.int64)
        start = np.zeros(len(self.columns), dtype=np.int64)
        for op in range(len(self.columns) - 1, -1, -1):
            qubits, looks = self.qubits(op), self.looks_at(op)
            end = min((needed[q] for q in qubits), default=0)
            if looks is not None:
                end = min(end, int(sent_next[looks[1]].min()))
            at = end - self.length[op]
            if op in self.sends:
                until = int(known_until[self.number_of[op]]) if op in self.number_of else 0
                at = self.slots.take_until(min(at + self.sends[op], until)) - self.sends[op]
                sent_next[qubits[0]] = at + self.sends[op]
            for qubit in qubits:
                needed[qubit] = at
            if looks is not None:
                known_until[looks[0]] = np.minimum(known_until[looks[0]], at - self.latency)
            start[op] = at
        return start
