"""Pass: a program against its circuit, operation by operation: is every pulse what circuit and calibration ask for?

Plain and slow on purpose, some 10 us for each operation: it uses none of the passes that made the program's times,
phases and rows, but for the times of circuits that look at outcomes. It changes nothing, and no job waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from qubitd.compiler.compile import Compiled
from qubitd.compiler.dynamic_programs import DynamicMaker
from qubitd.compiler.errors import InvalidProgramError
from qubitd.compiler.gate_table import NOT_GATES, gate_key
from qubitd.compiler.pipeline import Pipeline, Prepared
from qubitd.compiler.resolve import NO_FRAME, ResolvedAcquisition, ResolvedGate, ResolvedPlay, SweptValues
from qubitd.core.device import Affine
from qubitd.core.envelope import Envelope, sample_envelope, samples_digest
from qubitd.core.errors import Problem
from qubitd.core.feedforward import ALWAYS, OutcomeCondition
from qubitd.core.job import Scheduling
from qubitd.core.program import BOXCAR, Program
from qubitd.core.ticks import NEAREST, to_ticks

_TURN = 2 * math.pi
_SAME_PHASE = 1e-9
"""Radians by which phases of equal meaning may differ: 1e6 sums in double precision stay far below."""
_SAME = 1e-12
"""Of amplitudes and frequencies, relative."""
_UNSIGNED = 2**32
MOST_PROGRAMS = 16
"""Of a job that are compared as they go past."""
MOST_PULSES = 20_000
"""Of a program that is compared as it goes past: some tenths of a second."""
_UNITS = {"length": " ns", "phase": " rad", "frequency": " Hz"}


def check_circuit(compiled: Compiled, index: int, program: Program) -> None:
    """Refuse a program that is not what its circuit asks for.

    Args:
        compiled: the job.
        index: of the program in the job, in the order circuit, binding, grid point.
        program: what was made of it.

    Raises:
        InvalidProgramError: with the first offence of each kind on each line.
    """
    problems = tuple(circuit_problems(compiled, index, program))
    if problems:
        raise InvalidProgramError(problems)


def compared(compiled: Compiled, programs: Iterable[Program]) -> Iterator[Program]:
    """Hand a job's programs on, the first of them compared with their circuits unless they are very long.

    Raises:
        InvalidProgramError: as `check_circuit`.
    """
    for index, program in enumerate(programs):
        if index < MOST_PROGRAMS and len(program.plays.start) <= MOST_PULSES:
            check_circuit(compiled, index, program)
        yield program


def circuit_problems(compiled: Compiled, index: int, program: Program) -> Iterator[Problem]:
    """Give the first offence of each kind on each line, with what was expected and what was found."""
    meant = _meant(compiled, index)
    where = f"program {program.name!r}"
    if program.duration != meant.duration:
        yield Problem(where=where, what=f"takes {program.duration} ns; its circuit takes {meant.duration} ns")
    yield from _differences(where, "pulses", _plays_of(program), meant.plays)
    yield from _differences(where, "acquisitions", _acquisitions_of(program), meant.acquisitions)
    yield from _differences(where, "conditional phases", _shifts_of(program), meant.shifts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """Something on a line, by what a message calls its columns."""

    line: str
    start: int
    values: Mapping[str, object]
    """Floats are compared with tolerance, those of `phase` by the turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meant:
    """What a circuit asks for."""

    duration: int
    plays: Sequence[_Row]
    acquisitions: Sequence[_Row]
    shifts: Sequence[_Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One operation with its numbers."""

    gate: ResolvedGate | None
    """None for what plays nothing."""
    qubits: tuple[int, ...]
    angles: Sequence[float]
    clbits: Sequence[int]
    length: int
    """Ticks."""
    condition: OutcomeCondition | None
    """Under which it happens; None for always."""


def _differences(where: str, kind: str, found: Sequence[_Row], meant: Sequence[_Row]) -> Iterator[Problem]:
    """Compare line by line; what stands at one place on a line belongs together."""
    for line in sorted({row.line for row in (*found, *meant)}):
        of_line, wanted = ([row for row in rows if row.line == line] for rows in (found, meant))
        if len(of_line) != len(wanted):
            what = f"has {len(of_line)} {kind}; its circuit asks for {len(wanted)}"
            yield Problem(where=f"{where}, {line}", what=what)
            continue
        told: set[str] = set()
        for row, want in zip(of_line, wanted, strict=True):
            for name, value, due in _unlike(row, want):
                if name not in told:
                    told.add(name)
                    what = f"has {name} {value}; its circuit and calibration make it {due}"
                    yield Problem(where=f"{where}, {line} at {row.start} ns", what=what)


def _unlike(row: _Row, want: _Row) -> Iterator[tuple[str, str, str]]:
    if row.start != want.start:
        yield "start", f"{row.start} ns", f"{want.start} ns"
    for name, due in want.values.items():
        value = row.values[name]
        if not _is_same(name, value, due):
            yield name, _told(name, value), _told(name, due)


def _told(name: str, value: object) -> str:
    return (f"{value:.12g}" if isinstance(value, float) else str(value)) + _UNITS.get(name, "")


def _is_same(name: str, value: object, due: object) -> bool:
    if not (isinstance(value, float) and isinstance(due, float)):
        return value == due
    if name == "phase":
        return abs(math.remainder(value - due, _TURN)) <= _SAME_PHASE  # NaN is never
    return math.isclose(value, due, rel_tol=_SAME, abs_tol=_SAME)


def _plays_of(program: Program) -> list[_Row]:
    plays, dynamics = program.plays, program.dynamics
    conditions = [ALWAYS] * len(plays.start) if dynamics is None else dynamics.play_condition.tolist()
    return [
        _Row(
            line=program.lines[int(plays.line[i])],
            start=int(plays.start[i]),
            values={
                "length": int(plays.length[i]),
                "envelope": program.tables.envelopes[int(plays.envelope[i])].digest,
                "amplitude": float(plays.amplitude[i]),
                "phase": float(plays.phase[i]),
                "frequency": float(plays.frequency[i]),
                "frame": int(plays.frame[i]),
                "condition": _condition(program, conditions[i]),
            },
        )
        for i in range(len(plays.start))
    ]


def _acquisitions_of(program: Program) -> list[_Row]:
    rows, dynamics = program.acquisitions, program.dynamics
    conditions = [ALWAYS] * len(rows.start) if dynamics is None else dynamics.acquisition_condition.tolist()
    return [
        _Row(
            line=program.lines[int(rows.line[i])],
            start=int(rows.start[i]),
            values={
                "length": int(rows.length[i]),
                "kernel": "" if rows.kernel[i] == BOXCAR else program.tables.envelopes[int(rows.kernel[i])].digest,
                "phase": float(rows.phase[i]),
                "frequency": float(rows.frequency[i]),
                "qubit": int(rows.qubit[i]),
                "clbit": int(rows.clbit[i]),
                "order": int(rows.order[i]),
                "condition": _condition(program, conditions[i]),
            },
        )
        for i in range(len(rows.start))
    ]


def _shifts_of(program: Program) -> list[_Row]:
    if program.dynamics is None:
        return []
    shifts = program.dynamics.shifts
    return [
        _Row(
            line=program.lines[int(shifts.line[i])],
            start=int(shifts.start[i]),
            values={
                "phase": float(shifts.phase[i]),
                "frame": int(shifts.frame[i]),
                "condition": _condition(program, int(shifts.condition[i])),
            },
        )
        for i in range(len(shifts.start))
        if _turns(float(shifts.phase[i]))
    ]


def _turns(phase: float) -> bool:
    """Whether a phase is another than 0: one that is none may be written or left out."""
    return not abs(math.remainder(phase, _TURN)) <= _SAME_PHASE  # NaN is kept, to be refused


def _condition(program: Program, number: int) -> OutcomeCondition | None:
    if number == ALWAYS or program.dynamics is None:
        return None
    return program.dynamics.conditions[number]


def _meant(compiled: Compiled, index: int) -> _Meant:
    circuit, case = _place(compiled, index)
    pipeline = Pipeline(compiled.gates, compiled.gathered, compiled.scheduling)
    binding, point = case // compiled.sweep.num_points, compiled.sweep.point(case)
    values = SweptValues(snapshot=compiled.gates.snapshot, point=point)
    if circuit in compiled.dynamic:
        maker = DynamicMaker(pipeline, circuit, compiled.dynamic[circuit])
        prepared = maker.bound(binding)
        steps = _steps(compiled, prepared, point, _conditions(maker))
        schedule = maker.schedule(prepared, pipeline.numbers(prepared, point))
        starts, duration = schedule.start.tolist(), int(schedule.duration[0])
    else:
        prepared = pipeline.prepare(range(circuit, circuit + 1))
        if (bindings := compiled.batch.circuits[circuit].bindings) is not None:
            params = bindings.into(compiled.batch.circuits[circuit].params, slice(binding, binding + 1))
            prepared = prepared.bound(params[0])
        steps = _steps(compiled, prepared, point, [None] * len(prepared.columns))
        starts, duration = _times(steps, compiled.scheduling)
    return _Walk(compiled, values).meant(steps, starts, duration)


def _place(compiled: Compiled, index: int) -> tuple[int, int]:
    """Give the circuit of a program, and which case of it the program is."""
    for number, circuit in enumerate(compiled.batch.circuits):
        cases = circuit.num_bindings * compiled.sweep.num_points
        if index < cases:
            return number, index
        index -= cases
    raise IndexError(f"program {index} is beyond the job's {compiled.num_programs}")


def _conditions(maker: DynamicMaker) -> list[OutcomeCondition | None]:
    traffic = maker.traffic
    conditions = [
        OutcomeCondition(
            operator=test.operator, qubits=tuple(sorted({traffic.measured[number] for number in test.outcomes}))
        )
        for test in traffic.tests
    ]
    return [None if test == ALWAYS else conditions[test] for test in traffic.test.tolist()]


def _steps(
    compiled: Compiled,
    prepared: Prepared,
    point: Mapping[str, float],
    conditions: Sequence[OutcomeCondition | None],
) -> list[_Step]:
    columns = prepared.columns
    found: list[_Step] = []
    for op, condition in enumerate(conditions):
        key = gate_key(columns, op)
        angles = columns.params[columns.param_start[op] : columns.param_start[op + 1]].tolist()
        gate = None if key.name in NOT_GATES else compiled.gates.at([key], point)[0]
        length = 0 if gate is None else gate.length
        found.append(
            _Step(
                gate=gate,
                qubits=key.operands,
                angles=angles,
                clbits=columns.clbits[columns.clbit_start[op] : columns.clbit_start[op + 1]].tolist(),
                length=to_ticks(angles[0], what="delay", tolerance=NEAREST) if key.name == "delay" else length,
                condition=condition,
            )
        )
    return found


def _times(steps: Sequence[_Step], scheduling: Scheduling) -> tuple[list[int], int]:
    """Say when each operation starts, and how long all take: as soon as its qubits are free, seen from either end."""
    is_late = scheduling is Scheduling.ALAP
    free: dict[int, int] = {}
    seen: list[int] = []
    for step in reversed(steps) if is_late else steps:
        start = max((free.get(qubit, 0) for qubit in step.qubits), default=0)
        seen.append(start)
        free.update(dict.fromkeys(step.qubits, start + step.length))
    duration = max(free.values(), default=0)
    if not is_late:
        return seen, duration
    return [duration - start - step.length for step, start in zip(steps, reversed(seen), strict=True)], duration


class _Walk:
    """Goes through a circuit once, with the phase of every qubit's frame."""

    def __init__(self, compiled: Compiled, values: SweptValues) -> None:
        self._values = values
        self._index = {line: i for i, line in enumerate(compiled.gates.lines)}
        self._frame: dict[int, float] = {}
        self._digests: dict[Envelope, str] = {}
        self._plays: list[_Row] = []
        self._acquisitions: list[_Row] = []
        self._shifts: list[tuple[int, int, float, OutcomeCondition]] = []

    def meant(self, steps: Sequence[_Step], starts: Sequence[int], duration: int) -> _Meant:
        """Give all rows, sorted by line and start."""
        for step, start in zip(steps, starts, strict=True):
            if step.gate is not None:
                self._plays += (self._play(step, play, start) for play in step.gate.plays)
                self._acquire(step, step.gate, start)
                self._advance(step, step.gate, start)
        return _Meant(
            duration=duration,
            plays=self._sorted(self._plays),
            acquisitions=self._sorted(self._acquisitions),
            shifts=self._sorted(list(self._conditional())),
        )

    def _sorted(self, rows: list[_Row]) -> list[_Row]:
        return sorted(rows, key=lambda row: (self._index[row.line], row.start))

    def _play(self, step: _Step, play: ResolvedPlay, start: int) -> _Row:
        own = self._number(step, play.phase)
        frame = 0.0 if play.position == NO_FRAME else self._frame.get(step.qubits[play.position], 0.0)
        return _Row(
            line=play.line,
            start=start,
            values={
                "length": play.envelope.length,
                "envelope": self._digest(play.envelope),
                "amplitude": self._number(step, play.amplitude),
                "phase": (_wrapped(own) + frame) % _TURN,
                "frequency": self._number(step, play.frequency),
                "frame": play.frame,
                "condition": step.condition,
            },
        )

    def _acquire(self, step: _Step, gate: ResolvedGate, start: int) -> None:
        for acquisition, clbit in zip(gate.acquisitions, step.clbits, strict=True):
            self._acquisitions.append(self._acquisition(step, acquisition, clbit, start))

    def _acquisition(self, step: _Step, acquisition: ResolvedAcquisition, clbit: int, start: int) -> _Row:
        return _Row(
            line=acquisition.line,
            start=start + acquisition.delay,
            values={
                "length": acquisition.length,
                "kernel": "" if acquisition.kernel is None else self._digest(acquisition.kernel),
                "phase": 0.0,
                "frequency": self._number(step, acquisition.frequency),
                "qubit": acquisition.qubit,
                "clbit": clbit - _UNSIGNED if clbit >= _UNSIGNED // 2 else clbit,
                "order": len(self._acquisitions),
                "condition": step.condition,
            },
        )

    def _advance(self, step: _Step, gate: ResolvedGate, start: int) -> None:
        """Turn the frames, or leave it to the controller if it depends on outcomes."""
        for qubit, shift in zip(step.qubits, gate.shifts, strict=True):
            turn = _wrapped(self._number(step, shift))
            if step.condition is None:
                self._frame[qubit] = math.remainder(self._frame.get(qubit, 0.0) + turn, _TURN)
            elif _turns(turn):
                self._shifts.append((qubit, start + gate.length, turn, step.condition))

    def _conditional(self) -> Iterator[_Row]:
        """Give the phases that outcomes decide; one that nothing is played after is left out."""
        for qubit, start, turn, condition in self._shifts:
            later = {row.line for row in self._plays if row.values["frame"] == qubit and row.start >= start}
            for line in later:
                values = {"phase": turn % _TURN, "frame": qubit, "condition": condition}
                yield _Row(line=line, start=start, values=values)

    def _number(self, step: _Step, total: Affine) -> float:
        angles = dict(zip(step.gate.angles, step.angles, strict=True)) if step.gate is not None else {}
        terms = (f * (angles[name] if name in angles else self._values.value(name)) for name, f in total.terms)
        return math.fsum((total.constant, *terms))

    def _digest(self, envelope: Envelope) -> str:
        if envelope not in self._digests:
            self._digests[envelope] = samples_digest(sample_envelope(envelope))
        return self._digests[envelope]


def _wrapped(angle: float) -> float:
    return math.atan2(math.sin(angle), math.cos(angle))
