"""Pass: when the operations of a circuit with tests start. Outcomes take time, and only one trigger travels at a time.

Beyond what holds for every schedule: an operation that looks at an outcome starts `latency` after the end of the
acquisition; the ends of any two acquisitions that send are `spacing` apart; an operation that looks at a qubit's
counter is over when the next outcome of that qubit is sent. Each operation takes its time whether it happens or not.

Late and early are one pass: late is early with time and order reversed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qubitd.compiler.columns import Columns, Ints
from qubitd.compiler.schedule import Schedule
from qubitd.compiler.traffic import Traffic
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


@dataclass(slots=True, eq=False)
class _Pass:
    """What both directions share."""

    columns: Columns
    length: Sequence[int]
    traffic: Traffic
    sends: dict[int, int]

    def qubits(self, op: int) -> list[int]:
        found: list[int] = self.columns.qubits[self.columns.qubit_start[op] : self.columns.qubit_start[op + 1]].tolist()
        return found

    @property
    def latency(self) -> int:
        return self.traffic.facts.latency

    def looked_at(self, op: int) -> list[int]:
        """Give the measurements whose outcomes an operation looks at."""
        return [self.traffic.measurements[number] for number in self.traffic.looks_at(op)]

    def looks_at_qubits(self, op: int) -> set[int]:
        return {self.traffic.measured[number] for number in self.traffic.looks_at(op)}


class _Forward(_Pass):
    """As soon as possible; times count from the start."""

    def placed(self) -> Ints:
        """Give the start of each operation."""
        ready = [0] * self.columns.num_qubits
        sent_at: dict[int, int] = {}
        looked_until = [0] * self.columns.num_qubits
        slots = _Slots(self.traffic.facts.spacing)
        start = np.zeros(len(self.columns), dtype=np.int64)
        for op in range(len(self.columns)):
            qubits = self.qubits(op)
            looks = [self.traffic.measurements[number] for number in self.traffic.looks_at(op)]
            at = max(
                [*(ready[q] for q in qubits), *(sent_at[m] + self.traffic.facts.latency for m in looks)], default=0
            )
            if op in self.sends:
                sent = slots.take_from(max(at + self.sends[op], looked_until[qubits[0]]))
                at, sent_at[op] = sent - self.sends[op], sent
            end = at + self.length[op]
            for qubit in qubits:
                ready[qubit] = end
            for qubit in self.looks_at_qubits(op):
                looked_until[qubit] = max(looked_until[qubit], end)
            start[op] = at
        return start


class _Backward(_Pass):
    """As late as possible; times count from the end, so all are negative."""

    def placed(self) -> Ints:
        """Give the start of each operation."""
        needed = [0] * self.columns.num_qubits
        known_until: dict[int, int] = {}
        sent_next = [0] * self.columns.num_qubits
        slots = _Slots(self.traffic.facts.spacing)
        start = np.zeros(len(self.columns), dtype=np.int64)
        for op in range(len(self.columns) - 1, -1, -1):
            qubits = self.qubits(op)
            end = min([*(needed[q] for q in qubits), *(sent_next[q] for q in self.looks_at_qubits(op))], default=0)
            at = end - self.length[op]
            if op in self.sends:
                at = slots.take_until(min(at + self.sends[op], known_until.get(op, 0))) - self.sends[op]
                sent_next[qubits[0]] = at + self.sends[op]
            for qubit in qubits:
                needed[qubit] = at
            for measurement in self.looked_at(op):
                known_until[measurement] = min(known_until.get(measurement, 0), at - self.latency)
            start[op] = at
        return start
