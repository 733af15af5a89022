"""The counts that a calibration predicts for circuits as they are scheduled, and those of a chip without noise.

A density matrix goes through the schedule: T1 and T2 on every gate and idle, static ZZ on every tick, the rest of each
gate's error as depolarising, leakage of a two-qubit gate, and the assignment errors at the end. Decay and ZZ during a
gate act half before it and half after it; over a long wait they take turns in short steps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.batch_columns import BatchColumns
from qubitd.compiler.channels import Channel, decay_channel, depolarising_channel, operator_channel, readout_channel
from qubitd.compiler.columns import Ints
from qubitd.compiler.compile import Compiled, compile_job
from qubitd.compiler.density import Branch, Density, Where, everywhere, excited_populations
from qubitd.compiler.dynamic_programs import DynamicMaker
from qubitd.compiler.gate_table import GateKey, gate_key
from qubitd.compiler.matrices import Matrix, gate_matrix
from qubitd.compiler.noise import GateNoise, Noise, QubitNoise, no_noise, stated_noise
from qubitd.compiler.numbers import Numbers, Share
from qubitd.compiler.outcomes import OutcomeTest
from qubitd.compiler.pipeline import Pipeline, Prepared
from qubitd.compiler.schedule import Schedule
from qubitd.core.circuit import HIDDEN_CLBIT, CircuitBatch
from qubitd.core.device import Device
from qubitd.core.errors import InvalidCircuitError, Problem
from qubitd.core.feedforward import ALWAYS, FeedForward
from qubitd.core.job import RESET_ROUNDS, Decoupling, InitialReset, JobSpec, Scheduling
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep
from qubitd.core.ticks import TICK

Distribution = dict[str, float]
"""Probability by bit string, classical bit 0 last; what is left out is impossible."""

_NEGLIGIBLE = 1e-15
_STEP = 2 * np.pi / 16
"""Radians that a pair turns by ZZ before its qubits decay again."""
_MOST_SHOTS = 64
"""Shots that are followed, at most, until the mixture at the start of one no longer changes."""
_SAME = 1e-7
"""Populations that differ by less are the same mixture."""
_COMPLETE_RESET = 5.0
"""T1 of waiting that count as a complete passive reset, as they do on the emulated chip."""
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event:
    """One operation of a scheduled circuit that does something."""

    op: int
    """Its place in the circuit."""
    key: GateKey
    unitary: Matrix
    """What it is meant to do; the identity for a measurement."""
    clbit: int
    """Where a measurement writes; -1 for a gate, and for a measurement whose bit is overwritten or that has none."""
    start: int
    """Ticks."""
    length: int
    """Ticks."""
    measures: bool
    read: float
    """Ticks from its start until a measurement tells what the qubit is; 0 for a gate."""
    is_last: bool
    """Whether its qubits do nothing afterwards, and nothing asks for its outcome before the end."""
    where: Where = everywhere
    """In which branches it happens."""
    outcome: int = -1
    """Its number, if something looks at its outcome later."""
    forgets: tuple[int, ...] = ()
    """Outcomes that nothing looks at behind it."""


def expected(
    device: Device,
    snapshot: Snapshot,
    batch: CircuitBatch,
    *,
    scheduling: Scheduling = Scheduling.ALAP,
    dd: Decoupling | None = None,
    reset_rounds: int = RESET_ROUNDS,
    initial_reset: InitialReset = InitialReset.PASSIVE,
    rep_delay: float = 0.0,
    feedforward: FeedForward | None = None,
) -> tuple[Distribution, ...]:
    """Give the distribution of classical bits that the snapshot predicts for each circuit alone, once for each binding,
    as it is scheduled.

    Where a shot begins with what the one before has left, after an active reset or a passive one that is too short,
    that was a shot of the same circuit and binding. In a job of several programs it is the program before, which is
    not predicted.

    Args:
        device: that they run on.
        snapshot: whose noise it is.
        batch: the circuits.
        scheduling: of its operations.
        dd: decoupling of idle qubits.
        reset_rounds: of each reset.
        initial_reset: how a shot begins; AUTO is PASSIVE here, and NONE, where shots depend on each other, is refused.
        rep_delay: seconds from the end of a shot to the beginning of the next, at least.
        feedforward: how fast outcomes travel; circuits that look at outcomes, and active resets, need it.

    Raises:
        InvalidCircuitError: a circuit cannot run, or holds a gate whose meaning is not known.
    """
    asked = JobSpec(
        batch=batch,
        sweep=Sweep(),
        shots=1,
        scheduling=scheduling,
        dd=dd,
        reset_rounds=reset_rounds,
        initial_reset=initial_reset,
        rep_delay=rep_delay,
    )
    if initial_reset is InitialReset.NONE:
        what = "begins each shot where the one before ended, which is not predicted; predict it with a reset"
        raise InvalidCircuitError([Problem(where="initial_reset none", what=what)])
    is_passive = initial_reset is not InitialReset.ACTIVE
    compiled = compile_job(device, snapshot, asked, feedforward=feedforward)
    found: list[Distribution] = []
    for num_clbits, events in _scheduled(compiled):
        noise = stated_noise(device, snapshot, {event.key: event.length for event in events})
        found.append(_stationary(events, noise, compiled.reset, num_clbits, is_passive=is_passive))
    return tuple(found)


def ideal(
    device: Device, snapshot: Snapshot, batch: CircuitBatch, *, feedforward: FeedForward | None = None
) -> tuple[Distribution, ...]:
    """Give the distribution of classical bits of each binding of each circuit without any noise.

    Raises:
        InvalidCircuitError: as `expected`.
    """
    noise = no_noise(device)
    compiled = compile_job(device, snapshot, JobSpec(batch=batch, sweep=Sweep(), shots=1), feedforward=feedforward)
    return tuple(
        _distribution(_run(events, noise, [0.0] * device.num_qubits).state, events, noise, num_clbits)
        for num_clbits, events in _scheduled(compiled)
    )


def _scheduled(compiled: Compiled) -> Iterator[tuple[int, list[Event]]]:
    """Give (classical bits, events) of each binding of each circuit."""
    device, scheduling = compiled.gates.device, compiled.scheduling
    pipeline = Pipeline(compiled.gates, compiled.gathered, scheduling)
    for i, circuit in enumerate(compiled.batch.circuits):
        if i in compiled.dynamic:
            maker = DynamicMaker(pipeline, i, compiled.dynamic[i])
            for binding in range(circuit.num_bindings):
                yield circuit.num_clbits, _dynamic_events(pipeline, maker, binding)
        else:
            bound = replace(compiled.batch, circuits=tuple(circuit.bound()))
            own = Pipeline(compiled.gates, BatchColumns(bound, device.num_qubits), scheduling)
            for binding in range(circuit.num_bindings):
                yield circuit.num_clbits, _static_events(own, binding)


def _static_events(pipeline: Pipeline, index: int) -> list[Event]:
    prepared = pipeline.prepare(range(index, index + 1))
    numbers = pipeline.numbers(prepared, {})
    always = np.full(len(prepared.columns), ALWAYS)
    return _events(pipeline, prepared, numbers, pipeline.schedule(prepared, numbers), always)


def _dynamic_events(pipeline: Pipeline, maker: DynamicMaker, binding: int) -> list[Event]:
    prepared = maker.bound(binding)
    numbers = pipeline.numbers(prepared, {})
    traffic = maker.traffic
    events = _events(pipeline, prepared, numbers, maker.schedule(prepared, numbers), traffic.test)
    number_of = {op: number for number, op in enumerate(traffic.measurements)}
    looked_at = {number for test in traffic.tests for number in test.outcomes}
    last_look = {number: event.op for event in events for number in traffic.looks_at(event.op)}
    found: list[Event] = []
    for event in events:
        op = event.op
        number = number_of.get(op, -1)
        is_looked_at = number in looked_at
        test = int(traffic.test[op])
        found.append(
            replace(
                event,
                is_last=event.is_last and not is_looked_at and test == ALWAYS,
                where=everywhere if test == ALWAYS else _passing(traffic.tests[test]),
                outcome=number if is_looked_at else -1,
                forgets=tuple(number for number in traffic.looks_at(op) if last_look[number] == op),
            )
        )
    return found


def _passing(test: OutcomeTest) -> Where:
    """Pick the branches in which a test of outcomes holds."""

    def holds(branch: Branch) -> bool:
        return test.holds([bool(branch.outcomes >> number & 1) for number in test.outcomes])

    return holds


def _events(pipeline: Pipeline, prepared: Prepared, numbers: Numbers, schedule: Schedule, test: Ints) -> list[Event]:
    """Give the events in the order of time, in which a pair's ZZ has to be followed."""
    columns = prepared.columns
    ops = np.flatnonzero(prepared.rows)
    last_on = {int(q): op for op in ops for q in _span(columns.qubits, columns.qubit_start, op)}
    writes = [(int(c), op) for op in ops for c in _span(columns.clbits, columns.clbit_start, op)]
    last_into = dict(writes)
    kept_from = {c: op for c, op in writes if test[op] == ALWAYS}
    events: list[Event] = []
    for op in ops:
        key = gate_key(columns, int(op))
        measures = bool(columns.clbit_start[op] < columns.clbit_start[op + 1])
        if measures and len(key.operands) > 1:
            what = "measures several qubits at once, which is not predicted; measure them one by one"
            raise InvalidCircuitError([Problem(where=f"gate {key.name}", what=what)])
        angles = tuple(float(p) for p in _span(columns.params, columns.param_start, op))
        clbits = [int(c) for c in _span(columns.clbits, columns.clbit_start, op)]
        clbits = [c for c in clbits if op >= kept_from.get(c, 0) and c < HIDDEN_CLBIT]
        events.append(
            Event(
                op=int(op),
                key=key,
                unitary=_unitary(pipeline, key, angles, measures=measures),
                clbit=clbits[0] if clbits else -1,
                start=int(schedule.start[op]),
                length=int(numbers.length[prepared.rows[op]]),
                measures=measures,
                read=_read(numbers, int(prepared.rows[op])) if measures else 0.0,
                is_last=all(last_on[q] == op for q in key.operands) and all(last_into[c] == op for c in clbits),
            )
        )
    bits = [event.clbit for event in events if event.clbit >= 0]
    if len(set(bits)) < len(bits):
        return events  # of two that write one bit, the later in the program wins
    return sorted(events, key=lambda event: event.start)


def _read(numbers: Numbers, row: int) -> float:
    """Give the middle of the tone that a measurement plays on the line on which it listens, or else of its length."""
    plays, listens = numbers.plays, numbers.acquisitions.line[_entries(numbers.own_acquisitions, row)]
    own = _entries(numbers.own_plays, row)
    tones = plays.length[own][np.isin(plays.line[own], listens)]
    return int(max(tones, default=numbers.length[row])) / 2


def _entries(share: Share, row: int) -> slice:
    return slice(int(share.first[row]), int(share.first[row] + share.count[row]))


def _unitary(pipeline: Pipeline, key: GateKey, angles: tuple[float, ...], *, measures: bool) -> Matrix:
    if measures:
        return np.eye(2, dtype=np.complex128)
    return gate_matrix(pipeline.gates.device.gates, key.name, angles)


def _span(column: NDArray[_T], start: Ints, op: np.int64) -> NDArray[_T]:
    return column[start[op] : start[op + 1]]


def _stationary(
    events: Sequence[Event], noise: Noise, reset: int, num_clbits: int, *, is_passive: bool
) -> Distribution:
    """Run from the mixture that shots leave behind: what one leaves, relaxed until the next begins, starts it.

    Args:
        events: of one shot; with those of an active reset, if it begins with one.
        noise: of the chip.
        reset: ticks of waiting between two shots.
        num_clbits: of the circuit.
        is_passive: whether that waiting is all that resets the qubits.
    """
    thermal = [qubit.thermal_population for qubit in noise.qubits]
    lifetimes = [qubit.t1 for qubit in noise.qubits if math.isfinite(qubit.t1)]
    is_complete = is_passive and reset * TICK >= _COMPLETE_RESET * max(lifetimes, default=0.0) * (1 - _SAME)
    end = max((event.start + event.length for event in events), default=0) + reset
    start, chip = thermal, _run(events, noise, thermal)
    for _ in range(_MOST_SHOTS if any(thermal) or not is_complete else 0):
        before = start
        left = excited_populations(dict(chip.state.populations()), len(thermal))
        waits = [(end - clock) * TICK for clock in chip.clock]
        kept = [_kept(wait, qubit.t1, is_passive) for wait, qubit in zip(waits, noise.qubits, strict=True)]
        start = [th + (was - th) * part for th, was, part in zip(thermal, left, kept, strict=True)]
        if np.allclose(start, before, rtol=0, atol=_SAME):
            break
        chip = _run(events, noise, start)
    return _distribution(chip.state, events, noise, num_clbits)


def _kept(wait: float, t1: float, is_passive: bool) -> float:
    """Give the part of an excitation that outlives a wait; a passive reset is believed where no T1 is known."""
    return 0.0 if is_passive and not math.isfinite(t1) else math.exp(-wait / t1)


def _run(events: Sequence[Event], noise: Noise, excited: list[float]) -> _Chip:
    """Evolve through a schedule; a qubit whose last operation is a measurement stops at the start of it."""
    chip = _Chip(noise, excited)
    for event in events:
        if event.measures:
            chip.measure(event)
        else:
            chip.gate(event)
        for outcome in event.forgets:
            chip.state.forget(outcome)
    return chip


class _Chip:
    """A density matrix and the time up to which each qubit and each pair has evolved, in ticks."""

    def __init__(self, noise: Noise, excited: list[float]) -> None:
        self.noise = noise
        self.state = Density(excited)
        self.clock = [0.0] * len(excited)
        self.pair_clock = dict.fromkeys(noise.zz, 0.0)
        self.read: set[int] = set()
        """Qubits that are read for the last time: what becomes of them, while others go on, changes no outcome."""
        self.left_zero = {qubit for qubit, population in enumerate(excited) if population}

    def gate(self, event: Event) -> None:
        qubits = event.key.operands
        if event.length:
            self._reach(event.start + event.length / 2, qubits, but=event)
        self.left_zero.update(qubits)
        self.state.apply(operator_channel(event.unitary), *qubits, where=event.where)
        noise = self.noise.gates.get(event.key, GateNoise())
        if noise.leakage:
            self.state.leak(noise.leakage, (qubits[0], qubits[1]), noise.leaking, where=event.where)
        if noise.depolarising:
            depolarising = depolarising_channel(noise.depolarising, num_qubits=len(qubits))
            self.state.apply(depolarising, *qubits, where=event.where)

    def measure(self, event: Event) -> None:
        qubit = event.key.operands[0]
        self._reach(event.start, (qubit,), but=event)
        if event.is_last:
            self.read.add(qubit)
            return
        self._reach(event.start + event.read, (qubit,), but=event)
        if event.clbit < 0 and event.outcome < 0:
            self.state.dephase(qubit, where=event.where)
            return
        seen = _readout(self.noise.qubits[qubit], event.read * TICK)
        self.state.record(seen, qubit, clbit=event.clbit, outcome=event.outcome, where=event.where)

    def _reach(self, time: float, qubits: tuple[int, ...], *, but: Event) -> None:
        """Let pairs turn, and qubits decay, until a time. A gate's own pair is calibrated with its ZZ."""
        for pair in self.pair_clock:
            if set(pair) == set(qubits):
                self._turn(pair, float(but.start), now=but.start)
                self.pair_clock[pair] = float(but.start + but.length)
            elif set(pair) & set(qubits):
                self._turn(pair, time, now=but.start)
        for qubit in qubits:
            self._decay(qubit, time)

    def _decay(self, qubit: int, time: float) -> None:
        if qubit in self.read:
            return
        values = self.noise.qubits[qubit]
        passed = (time - self.clock[qubit]) * TICK
        if passed > 0 and math.isfinite(values.t1):
            decay = decay_channel(passed, t1=values.t1, t2=values.t2, excited=values.thermal_population)
            self.state.apply(decay, qubit)
        self.clock[qubit] = max(self.clock[qubit], time)

    def _turn(self, pair: tuple[int, int], time: float, *, now: int) -> None:
        """Turn a pair step by step, as its qubits decay; nothing that happens to them after `now` is done yet."""
        begin, passed = self.pair_clock[pair], time - self.pair_clock[pair]
        self.pair_clock[pair] = max(begin, time)
        if passed <= 0 or not self.left_zero.issuperset(pair):
            return
        angle = 2 * np.pi * self.noise.zz[pair] * passed * TICK
        steps = max(1, math.ceil(abs(angle) / _STEP))
        for step in range(steps):
            for qubit in pair:
                self._decay(qubit, min(begin + (step + 0.5) * passed / steps, now))
            self.state.apply(operator_channel(np.diag([1, 1, 1, np.exp(-1j * angle / steps)])), *pair)


def _readout(values: QubitNoise, decayed: float) -> tuple[Channel, Channel]:
    """Read a qubit in the middle of its tone, when what has decayed so far is in 0 and seen there.

    The measured error of 1 holds that decay already; what is left of it are mistakes about a qubit that is still in 1.
    """
    gone = -math.expm1(-decayed / values.t1)
    left = (values.prob_meas0_prep1 - gone * (1 - values.prob_meas1_prep0)) / (1 - gone)
    zero, one = (
        readout_channel(outcome, one_from_zero=values.prob_meas1_prep0, zero_from_one=max(0.0, left))
        for outcome in (0, 1)
    )
    return zero, one


def _distribution(final: Density, events: Sequence[Event], noise: Noise, num_clbits: int) -> Distribution:
    """Read the qubits that were measured last, and add up the branches by their bits."""
    read = {event.key.operands[0]: event.clbit for event in events if event.is_last and event.clbit >= 0}
    qubits = sorted(read)
    values = [sum(int(bit) << read[q] for bit, q in zip(cell, qubits, strict=True)) for cell in _cells(len(qubits))]
    total: dict[int, float] = {}
    for branch, populations in final.populations():
        for value, probability in zip(values, _outcomes(populations, qubits, noise).tolist(), strict=True):
            bits = branch.bits | value
            total[bits] = total.get(bits, 0.0) + probability
    return {f"{bits:0{num_clbits}b}" if num_clbits else "": p for bits, p in sorted(total.items()) if p > _NEGLIGIBLE}


def _outcomes(populations: NDArray[np.float64], qubits: list[int], noise: Noise) -> NDArray[np.float64]:
    """Probabilities of the outcomes of some qubits, the last one running fastest."""
    others = tuple(q for q in range(populations.ndim) if q not in qubits)
    found = populations.sum(axis=others)
    for axis, qubit in enumerate(qubits):
        errors = noise.qubits[qubit]
        assignment = np.array(
            [
                [1 - errors.prob_meas1_prep0, errors.prob_meas0_prep1],
                [errors.prob_meas1_prep0, 1 - errors.prob_meas0_prep1],
            ]
        )
        found = np.moveaxis(np.tensordot(assignment, found, axes=(1, axis)), 0, axis)
    return np.asarray(found).reshape(-1)


def _cells(num_qubits: int) -> Iterator[tuple[int, ...]]:
    return itertools.product((0, 1), repeat=num_qubits)
