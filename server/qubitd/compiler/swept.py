"""A job's sweep against the calibration and the circuits: every axis is known, plausible, on the grid and of use."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.calibrated import CalibratedGates
from qubitd.compiler.check import MAX_PROBLEMS, circuit_name, limited_log
from qubitd.compiler.gate_table import GateKey
from qubitd.compiler.pipeline import Pipeline
from qubitd.compiler.templates import on_grid_parameters, register_parameters
from qubitd.core.circuit import CircuitBatch
from qubitd.core.device import PulseGate
from qubitd.core.errors import InvalidCalibrationError, Problem
from qubitd.core.misspelling import near_parameters
from qubitd.core.plausibility import value_problem
from qubitd.core.register_grid import Register, RegisterGrid
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.core.ticks import GRID_TOLERANCE, nearest_ticks, to_seconds

_SHORT = 4_096
"""Values of a sweep of which is remembered what was found."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckedSweep:
    """What a check of a sweep found."""

    problems: tuple[Problem, ...]
    log: tuple[str, ...]
    sweep: Sweep
    """With the values that are played: durations in whole ticks, the others as registers hold them."""


def check_sweep(pipeline: Pipeline, sweep: Sweep, grid: RegisterGrid) -> CheckedSweep:
    """Check a sweep over a batch in which no problem was found; `grid` is that of the controller's registers."""
    gates, batch = pipeline.gates, pipeline.batch
    if not sweep.names:
        return CheckedSweep(problems=(), log=(), sweep=sweep)
    if sweep.along is not None and batch.columns.num_bindings.tolist() != [sweep.along.values.shape[1]]:
        return CheckedSweep(problems=(_unpaired(batch, sweep.along),), log=(), sweep=sweep)
    own = [pipeline.pulse_gates(index) for index in range(len(batch.circuits))]
    size = sum([axis.values.size for axis in sweep.every_axis])
    if len(own) > 1 or size > _SHORT:
        return _checked(gates, batch, own, sweep, grid)
    # Of one circuit nothing but its gates is asked or told.
    axes = tuple([(axis.names, axis.values.dtype, axis.values.tobytes()) for axis in sweep.every_axis])
    return gates.memory.recall(
        (check_sweep, own[0], axes, sweep.along is None, grid),
        16 + 16 * len(own[0]) + 2 * size,
        lambda: _checked(gates, batch, own, sweep, grid),
    )


def _checked(
    gates: CalibratedGates, batch: CircuitBatch, own: Sequence[tuple[GateKey, ...]], sweep: Sweep, grid: RegisterGrid
) -> CheckedSweep:
    """Check a sweep over circuits that have these gates each."""
    every = own[0] if len(own) == 1 else tuple(dict.fromkeys(itertools.chain.from_iterable(own)))
    played = _played(gates, every)
    swept = [(name, values) for axis in sweep.every_axis for name, values in zip(axis.names, axis.values, strict=True)]
    wrong = (problem for name, values in swept for problem in _axis_problems(gates, name, values, played))
    problems = list(itertools.islice(wrong, MAX_PROBLEMS))
    if problems:
        return CheckedSweep(problems=tuple(problems), log=(), sweep=sweep)
    along = None if sweep.along is None else _as_played(sweep.along, played, grid)
    rounded = Sweep(axes=tuple(_as_played(axis, played, grid) for axis in sweep.axes), along=along)
    if not played.on_grid.isdisjoint(sweep.names):
        problems = list(_point_problems(gates, rounded, played))
    by_circuit = [played.used] if len(own) == 1 else [_played(gates, keys).used for keys in own]
    log = limited_log(line for name, _ in swept for line in _unaffected(name, batch, by_circuit))
    return CheckedSweep(problems=tuple(problems), log=log, sweep=rounded)


def _unpaired(batch: CircuitBatch, along: SweepAxis) -> Problem:
    bindings = ", ".join(map(str, batch.columns.num_bindings[:MAX_PROBLEMS].tolist()))
    what = f"steps through {along.values.shape[1]} values with the bindings of one circuit; the job's have {bindings}"
    return Problem(where=f"sweep of {', '.join(along.names)}", what=what)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Played:
    """What some pulse gates on operands are played with, whatever is swept."""

    gates: tuple[GateKey, ...]
    used: frozenset[str]
    """Parameters that they are played with, and that their outcomes are told by."""
    on_grid: frozenset[str]
    """Those that are durations."""
    registers: Mapping[str, Register]
    """Those that go into registers as they are."""


def _played(gates: CalibratedGates, keys: tuple[GateKey, ...]) -> _Played:
    def find() -> _Played:
        pulses = [(key, gate) for key in keys if isinstance(gate := gates.device.gates[key.name], PulseGate)]
        on_grid = (on_grid_parameters(gates.device, gate, key.operands) for key, gate in pulses)
        registers = (register_parameters(gates.device, gate, key.operands).items() for key, gate in pulses)
        return _Played(
            gates=keys,
            used=frozenset(itertools.chain.from_iterable(_used(gates, key) for key in keys)),
            on_grid=frozenset[str]().union(*on_grid),
            registers=dict(itertools.chain.from_iterable(registers)),
        )

    return gates.gate_memory.recall((_Played, keys), 16 + 16 * len(keys), find)


def _used(gates: CalibratedGates, key: GateKey) -> Iterator[str]:
    resolved = gates.get(key)
    yield from resolved.parameters
    for acquisition in resolved.acquisitions:
        yield from (f"{gates.device.qubits[acquisition.qubit]}.readout.{last}" for last in ("rotation", "threshold"))


def _axis_problems(
    gates: CalibratedGates, name: str, values: NDArray[np.float64], played: _Played
) -> Iterator[Problem]:
    where = f"sweep of {name}"
    if name not in gates.snapshot:
        yield Problem(
            where=where, what=f"revision {gates.snapshot.revision} has no such parameter{_likely(gates, name)}"
        )
        return
    if name not in played.used:
        what = f"no circuit of the job is played with it; swept can be {', '.join(_sweepable(played))}"
        yield Problem(where=where, what=what)
    for value in dict.fromkeys((float(values.min()), float(values.max()))):
        wrong = value_problem(name, value)
        if wrong is not None:
            yield Problem(where=where, what=wrong)
    if name not in played.on_grid:
        return
    for off in np.flatnonzero(np.abs(values * 1e9 - nearest_ticks(values)) > GRID_TOLERANCE)[:1]:
        what = f"point {off} is {values[off] * 1e9:.12g} ns; a duration must be a whole number of 1 ns ticks"
        yield Problem(where=where, what=what)


def _point_problems(gates: CalibratedGates, sweep: Sweep, played: _Played) -> Iterator[Problem]:
    """Durations depend on each other, so they are tried at each point; the first that fails is told."""
    for point in sweep.points():
        try:
            gates.at(played.gates, point)
        except InvalidCalibrationError as error:
            at = ", ".join(f"{name} = {value:.9g}" for name, value in point.items())
            yield from (Problem(where=f"sweep at {at}: {p.where}", what=p.what) for p in error.problems)
            return


def _as_played(axis: SweepAxis, played: _Played, grid: RegisterGrid) -> SweepAxis:
    given = list(axis.values)
    rows = [_rounded(name, values, played, grid) for name, values in zip(axis.names, given, strict=True)]
    if all(row is values for row, values in zip(rows, given, strict=True)):
        return axis
    return SweepAxis(names=axis.names, values=np.array(rows, dtype=np.float64))


def _rounded(name: str, values: NDArray[np.float64], played: _Played, grid: RegisterGrid) -> NDArray[np.float64]:
    if name in played.on_grid:
        return np.array([to_seconds(int(ticks)) for ticks in nearest_ticks(values)])
    return grid.played(played.registers[name], values) if name in played.registers else values


def _unaffected(name: str, batch: CircuitBatch, by_circuit: Sequence[frozenset[str]]) -> Iterator[str]:
    same = [i for i, used in enumerate(by_circuit) if name not in used]
    if same:
        example = circuit_name(same[0], batch.circuits[same[0]])
        count = f"{len(same)} of {len(batch.circuits)} circuits"
        yield f"sweep of {name}: {count} are not played with it, such as {example}; their points are alike"


def _sweepable(played: _Played) -> list[str]:
    return sorted(played.used) or ["nothing"]


def _likely(gates: CalibratedGates, name: str) -> str:
    close = near_parameters(name, gates.snapshot.parameters)
    return f"; did you mean {' or '.join(close)}?" if close else ""
