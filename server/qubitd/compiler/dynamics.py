"""Pass: what makes a scheduled circuit with tests a dynamic program: conditions, run-time phases, latches.

Before: one circuit's schedule, and the program that was lowered from it as if everything always happened. After: each
play, acquisition and phase shift has its condition, and every line counts what its conditions look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qubitd.compiler.columns import Columns, Ints
from qubitd.compiler.latches import Arrival, ClashError, Look, plan_latches
from qubitd.compiler.lower import Lower
from qubitd.compiler.numbers import Numbers
from qubitd.compiler.places import problem_at
from qubitd.compiler.schedule import Schedule
from qubitd.compiler.staggered import schedule_staggered
from qubitd.compiler.traffic import Traffic, sends_of
from qubitd.compiler.turns import to_radians, to_steps
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.feedforward import (
    ALWAYS,
    Dynamics,
    Feed,
    Latch,
    Latches,
    OutcomeCondition,
    PhaseShifts,
)
from qubitd.core.job import Scheduling
from qubitd.core.program import Program

_NO_OUTCOME = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timed:
    """One circuit, scheduled."""

    columns: Columns
    rows: Ints
    numbers: Numbers
    traffic: Traffic
    schedule: Schedule
    sends: dict[int, int]
    """Ticks from the start of each operation that sends until it does."""
    play_op: Ints
    """The operation of each play of the program."""
    acquisition_op: Ints
    """The operation of each of its acquisitions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """Where a circuit stands in its job, for messages."""

    index: int
    name: str
    """Of the circuit."""
    qubits: tuple[str, ...]
    """Names of the device's qubits."""


def staggered(
    columns: Columns, rows: Ints, numbers: Numbers, length: Ints, traffic: Traffic, scheduling: Scheduling
) -> Schedule:
    """Schedule a circuit that looks at outcomes; a phase that depends on one takes time on its line.

    Args:
        columns: its operations.
        rows: of its operations in `numbers`.
        numbers: of all gates.
        length: ticks of each operation.
        traffic: of its outcomes.
        scheduling: as late or as soon as possible.
    """
    length = length.copy()
    length[shifting(rows, numbers, traffic)] += traffic.facts.shift
    return schedule_staggered(columns, length, traffic, sends_of(traffic, rows, numbers), scheduling)


def timed_circuit(
    columns: Columns, rows: Ints, numbers: Numbers, traffic: Traffic, schedule: Schedule, lower: Lower
) -> Timed:
    """Put together what is known of a scheduled circuit."""
    play_op, acquisition_op = lower.origins(columns, rows, numbers)
    return Timed(
        columns=columns,
        rows=rows,
        numbers=numbers,
        traffic=traffic,
        schedule=schedule,
        sends=sends_of(traffic, rows, numbers),
        play_op=play_op,
        acquisition_op=acquisition_op,
    )


def with_dynamics(program: Program, timed: Timed, feeds: tuple[Feed, ...], place: Place) -> Program:
    """Give the program with its dynamics.

    Raises:
        InvalidCircuitError: a line cannot do what the circuit asks for.
    """
    try:
        return replace(program, dynamics=dynamics_of(program, timed, feeds))
    except ClashError as error:
        why = (
            f"looks at an outcome of {place.qubits[error.qubit]} when its counter holds another one or is cleared: "
            "a line has one counter per qubit and clears all at once. Look at the older outcome first"
        )
        raise _refusal(place, timed, error.op, why) from error
    except SeveralLinesError as error:
        why = f"turns the phase of {place.qubits[error.qubit]} by outcomes, and that is played on several lines"
        raise _refusal(place, timed, error.op, why) from error


def _refusal(place: Place, timed: Timed, op: int, what: str) -> InvalidCircuitError:
    name = timed.columns.operations[int(timed.columns.opcode[op])].name
    traffic = timed.traffic
    at = int(traffic.source[op])
    return InvalidCircuitError([problem_at(place.index, place.name, at, name, what, front=traffic.front)])


def shifting(rows: Ints, numbers: Numbers, traffic: Traffic) -> Ints:
    """Find the operations with a test that advance a frame."""
    entries = rows[:, None] * numbers.shifts.width + np.arange(numbers.shifts.width)
    return np.flatnonzero((traffic.test != ALWAYS) & numbers.shifts.is_any[entries].any(axis=1))


def dynamics_of(program: Program, timed: Timed, feeds: tuple[Feed, ...]) -> Dynamics:
    """Give the dynamics of a program.

    Raises:
        ClashError: a line cannot hold the outcomes that an operation looks at.
        SeveralLinesError: a phase would have to be advanced on several lines at once.
    """
    conditions = _Conditions(timed.traffic)
    shift_op, shifts = _phase_shifts(program, timed, conditions)
    return Dynamics(
        feeds=feeds,
        conditions=conditions.table(),
        play_condition=conditions.of(timed.play_op),
        acquisition_condition=conditions.of(timed.acquisition_op),
        shifts=shifts,
        latches=_latches(program, timed, shift_op, shifts),
    )


class SeveralLinesError(Exception):
    """A frame that a test advances is played on more lines than one."""

    def __init__(self, op: int, qubit: int) -> None:
        self.op = op
        self.qubit = qubit
        super().__init__(op, qubit)


class _Conditions:
    """Tests as conditions on qubits; tests that differ only in time are the same condition."""

    def __init__(self, traffic: Traffic) -> None:
        self._test = traffic.test
        self._table: dict[OutcomeCondition, int] = {}
        self._of_test = np.array([self._index(traffic, i) for i in range(len(traffic.tests))], dtype=np.int16)

    def table(self) -> tuple[OutcomeCondition, ...]:
        """Give the distinct conditions."""
        return tuple(self._table)

    def of(self, ops: Ints) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        """Give the condition of each of some operations."""
        test = self._test[ops]
        return np.where(test == ALWAYS, ALWAYS, self._of_test[test]).astype(np.int16)

    def _index(self, traffic: Traffic, test: int) -> int:
        outcomes = traffic.tests[test].outcomes
        qubits = tuple(sorted({traffic.measured[number] for number in outcomes}))
        condition = OutcomeCondition(operator=traffic.tests[test].operator, qubits=qubits)
        return self._table.setdefault(condition, len(self._table))


def _phase_shifts(program: Program, timed: Timed, conditions: _Conditions) -> tuple[Ints, PhaseShifts]:
    """Give the run-time phases and the operation of each; those that nothing is played after are left out."""
    columns, numbers = timed.columns, timed.numbers
    found: list[tuple[int, int, float, int, int]] = []
    for op in shifting(timed.rows, numbers, timed.traffic).tolist():
        row = int(timed.rows[op])
        start = int(timed.schedule.start[op] + numbers.length[row])
        first = int(columns.qubit_start[op])
        for position, qubit in enumerate(columns.qubits[first : int(columns.qubit_start[op + 1])].tolist()):
            entry = np.array([row * numbers.shifts.width + position])
            line = _line_of_frame(program, qubit, start, op)
            if numbers.shifts.is_any[entry[0]] and line is not None:
                radians = numbers.shifts.radians.at(entry, np.array([op]), columns)
                found.append((line, start, float(to_radians(to_steps(radians))[0]), qubit, op))
    found.sort()
    ops = np.array([op for *_, op in found], dtype=np.int64)
    return ops, PhaseShifts(
        line=np.array([line for line, *_ in found], dtype=np.uint16),
        start=np.array([start for _, start, *_ in found], dtype=np.int64),
        phase=np.array([phase for _, _, phase, *_ in found], dtype=np.float64),
        frame=np.array([frame for *_, frame, _ in found], dtype=np.int16),
        condition=conditions.of(ops),
    )


def _line_of_frame(program: Program, qubit: int, start: int, op: int) -> int | None:
    """Find the line on which a frame is played from a tick on."""
    plays = program.plays
    lines = np.unique(plays.line[(plays.frame == qubit) & (plays.start >= start)])
    if len(lines) > 1:
        raise SeveralLinesError(op, qubit)
    return int(lines[0]) if len(lines) else None


def _latches(program: Program, timed: Timed, shift_op: Ints, shifts: PhaseShifts) -> Latches:
    arrivals, facts = _arrivals(timed), timed.traffic.facts
    found: list[tuple[int, int, Latch]] = []
    for line in range(len(program.lines)):
        things = _things_on(line, program, timed, shift_op, shifts)
        looks = _looks(things, timed.traffic)
        if looks:
            busy = [(start, ticks) for start, ticks, _ in things]
            found += ((line, tick, latch) for tick, latch in plan_latches(looks, arrivals, busy, facts))
    return Latches(
        line=np.array([line for line, _, _ in found], dtype=np.uint16),
        start=np.array([tick for _, tick, _ in found], dtype=np.int64),
        action=np.array([latch for _, _, latch in found], dtype=np.int8),
    )


def _arrivals(timed: Timed) -> list[Arrival]:
    traffic = timed.traffic
    number_of = {op: number for number, op in enumerate(traffic.measurements)}
    found = [
        Arrival(
            time=int(timed.schedule.start[op]) + sends + traffic.facts.travel,
            qubit=int(timed.columns.qubits[timed.columns.qubit_start[op]]),
            outcome=number_of.get(op, _NO_OUTCOME),
        )
        for op, sends in timed.sends.items()
    ]
    return sorted(found, key=lambda arrival: arrival.time)


def _things_on(
    line: int, program: Program, timed: Timed, shift_op: Ints, shifts: PhaseShifts
) -> list[tuple[int, int, int]]:
    """Give (start, ticks, operation) of all that a line does, in the order of time."""
    plays, acquisitions = program.plays, program.acquisitions
    parts = (
        (plays.line, plays.start, timed.play_op, 0),
        (acquisitions.line, acquisitions.start, timed.acquisition_op, 0),
        (shifts.line, shifts.start, shift_op, timed.traffic.facts.shift),
    )
    found: list[tuple[int, int, int]] = []
    for lines, start, op, ticks in parts:
        own = np.flatnonzero(lines == line)
        found += ((s, ticks, o) for s, o in zip(start[own].tolist(), op[own].tolist(), strict=True))
    return sorted(found)


def _looks(things: Sequence[tuple[int, int, int]], traffic: Traffic) -> list[Look]:
    """Join what one operation does on the line: it must find the same outcomes all the time."""
    spans: dict[int, tuple[int, int]] = {}
    for start, ticks, op in things:
        if traffic.test[op] != ALWAYS:
            first, last = spans.get(op, (start, start + ticks))
            spans[op] = (min(first, start), max(last, start + ticks))
    return [
        Look(first=first, last=last, outcomes=frozenset(traffic.looks_at(op)), op=op)
        for op, (first, last) in spans.items()
    ]
