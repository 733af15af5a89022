"""Sweeps: a circuit over a grid of calibration parameters and circuit parameters, and its result as a labelled array.

Each entry of the mapping is an axis of the grid, in its order; a tuple of parameters steps together along one axis,
whether they are the lab's or the circuit's.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Parameter, QuantumCircuit

from qubitd.core.errors import Problem
from qubitd.core.job import ProgramResult
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.core.ticks import nearest_ticks
from qubitd.provider.delays import units_of_delays
from qubitd.wire.sweeps import NO_SWEEP

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Axis:
    """One axis of a sweep."""

    names: tuple[str, ...]
    """Parameters that step together: `q0.x.amplitude`, or a circuit parameter's name."""
    values: Floats
    """Shape (names, points), in the parameters' units."""
    is_lab: tuple[bool, ...]
    """Whether each is one of the lab's parameters, or the circuit's own."""

    @property
    def is_calibration(self) -> bool:
        """Whether all are the lab's: such axes run fastest."""
        return all(self.is_lab)

    @property
    def points(self) -> int:
        """Points along the axis."""
        return len(self.values[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepResult:
    """What a sweep gave so far."""

    axes: tuple[Axis, ...]
    """In the order in which they were asked for."""
    data: NDArray[Any]
    """Shape (points of each axis, classical bits): the share of shots in which a bit was 1, or complex mean IQ points
    where those were asked for. Of traces (points of each axis, feedlines, samples), those of shorter ones 0 at the end.
    NaN where nothing has come yet."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis."""
        return tuple(axis.points for axis in self.axes)


def read_axes(
    circuits: Sequence[QuantumCircuit],
    sweep: Any,
    parameter_values: Any,
    lab_names: Callable[[], Iterable[str]],
) -> tuple[tuple[Axis, ...], list[Problem]]:
    """Read what `run` was given: the axes, or else everything that cannot be swept.

    Args:
        circuits: those of the job.
        sweep: what `run` was given, a mapping if it is right.
        parameter_values: what `run` was given beside it.
        lab_names: gives the names of the lab's parameters; it is asked only where something is wrong.
    """
    if not isinstance(sweep, Mapping):
        return (), _problems([f"is a {type(sweep).__name__}; give a mapping such as {{'q0.x.amplitude': values}}"])
    read = [_axis(key, values) for key, values in sweep.items()]
    axes = tuple(axis for axis in read if isinstance(axis, Axis))
    wrong = [*_as_a_whole(circuits, sweep, parameter_values), *(what for what in read if isinstance(what, str))]
    times = Counter(name for axis in axes for name in axis.names)
    if several := [name for name, count in times.items() if count > 1]:
        wrong.append(f"gives values for {_listed(several)} more than once; a parameter steps along one axis")
    wanted = {parameter.name for circuit in circuits for parameter in circuit.parameters}
    if wrong or {name for name, is_lab in _swept(axes) if not is_lab} != wanted:
        names = {*lab_names()}
        if not wrong:  # else what is left open, or given in vain, may be meant by what cannot be read
            wrong += _misfits(axes, wanted, names)
        return (), _problems([*wrong, *_unknown(axes, names | wanted)])
    return axes, []


def unknown_names(axes: Sequence[Axis], lab_names: Callable[[], Iterable[str]]) -> list[Problem]:
    """Tell which of the lab's parameters there are not."""
    return _problems(_unknown(axes, {*lab_names()})) if any(is_lab for _, is_lab in _swept(axes)) else []


def _as_a_whole(circuits: Sequence[QuantumCircuit], sweep: Mapping[Any, Any], parameter_values: Any) -> Iterator[str]:
    if len(circuits) != 1:
        yield f"runs over {len(circuits)} circuits; a sweep has one, send a job for each"
    if parameter_values is not None:
        yield "comes with parameter_values; make them an axis of the sweep"
    if not sweep:
        yield "has no axis; leave it out, or give one such as {'q0.x.amplitude': values}"


def _swept(axes: Iterable[Axis]) -> Iterator[tuple[str, bool]]:
    """Give the name of each swept parameter, and whether it is one of the lab's."""
    for axis in axes:
        yield from zip(axis.names, axis.is_lab, strict=True)


def _misfits(axes: Iterable[Axis], wanted: set[str], lab_names: Collection[str]) -> Iterator[str]:
    """Tell what axes leave open of the circuit's parameters or give in vain."""
    swept = list(_swept(axes))
    texts = {name for name, is_lab in swept if is_lab}
    given = {name for name, is_lab in swept if not is_lab}
    for name in sorted(wanted - given):
        if name in texts and name not in lab_names:
            yield f"has the text {name!r}, which is a parameter of the circuit: give the Parameter itself as the key"
        else:
            yield f"gives no values for {name} of the circuit; make it an axis, or bind it first"
    for name in sorted(given - wanted):
        yield f"gives values for {name}; the circuit's parameters are {_listed(wanted)}"


def _unknown(axes: Iterable[Axis], known: Collection[str]) -> Iterator[str]:
    """Tell which names of the lab's parameters nothing has."""
    for name in sorted({name for name, is_lab in _swept(axes) if is_lab} - {*known}):
        near = difflib.get_close_matches(name, known)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        yield f"gives values for {name}, and the lab has no such parameter{hint}"


def as_timed(axes: tuple[Axis, ...], circuit: QuantumCircuit, *, dt: float) -> tuple[Axis, ...]:
    """Give axes as they are played: what is the duration of delays and nothing else is a whole number of ticks."""
    seconds = units_of_delays(circuit, dt=dt)
    return tuple(
        replace(
            axis, values=np.stack([_timed(v, seconds.get(n)) for n, v in zip(axis.names, axis.values, strict=True)])
        )
        for axis in axes
    )


def _timed(values: Floats, unit: float | None) -> Floats:
    """Round to the tick; without a unit it is no delay."""
    return values if unit is None else nearest_ticks(values * unit) / (unit * 1e9)


def binding_rows(circuit: QuantumCircuit, axes: Iterable[Axis]) -> Floats | None:
    """Give the grid of the circuit's own parameters as rows, columns as in `circuit.parameters`; None without any."""
    columns = _binding_columns(axes)
    return np.column_stack([columns[parameter.name] for parameter in circuit.parameters]) if columns else None


def calibration_sweep(axes: Sequence[Axis]) -> Sweep:
    """Give the grid of the lab's parameters; those that step with the circuit's own go along its bindings."""
    if not axes:
        return NO_SWEEP
    columns = _binding_columns(axes)
    names = [name for a in axes if not a.is_calibration for name, lab in zip(a.names, a.is_lab, strict=True) if lab]
    return Sweep(
        axes=tuple(SweepAxis(names=a.names, values=a.values) for a in axes if a.is_calibration),
        along=SweepAxis(names=tuple(names), values=np.stack([columns[name] for name in names])) if names else None,
    )


def _binding_columns(axes: Iterable[Axis]) -> dict[str, Floats]:
    """Give what all parameters of the circuit's own axes are at each binding: the product of these axes."""
    own = [axis for axis in axes if not axis.is_calibration]
    places = np.meshgrid(*(np.arange(axis.points) for axis in own), indexing="ij")
    return {
        name: axis.values[row, place.ravel()]
        for axis, place in zip(own, places, strict=True)
        for row, name in enumerate(axis.names)
    }


def labelled(axes: tuple[Axis, ...], slots: int, pieces: Iterable[ProgramResult]) -> SweepResult:
    """Put what has come so far into the grid.

    Args:
        axes: as they were asked for; those of the lab's parameters come back as they were played.
        slots: classical bits of the circuit.
        pieces: of the result; programs count through the circuit's own parameters first, then the lab's.
    """
    points = math.prod(axis.points for axis in axes)
    sums = np.zeros((points, slots), dtype=np.complex128)
    shots = np.zeros((points, slots))
    has_points = False
    pieces = list(pieces)
    if any(piece.traces for piece in pieces):
        return SweepResult(axes=_as_played(axes, pieces), data=_in_order(axes, _mean_traces(points, pieces)))
    for piece in pieces:
        has_points = has_points or piece.bits is None
        values, clbits = _means(piece, slots)
        sums[piece.program, clbits] += piece.kept * values
        shots[piece.program, clbits] += piece.kept
    axes = _as_played(axes, pieces)
    mean = np.full(sums.shape, np.nan, dtype=np.complex128)
    np.divide(sums, shots, out=mean, where=shots > 0)
    return SweepResult(axes=axes, data=_in_order(axes, mean if has_points else mean.real))


def _as_played(axes: tuple[Axis, ...], pieces: Iterable[ProgramResult]) -> tuple[Axis, ...]:
    """Put the values that were played in the place of those that were asked for."""
    order = _run_order(axes)
    shape = [axes[i].points for i in order]
    values = [axis.values.copy() for axis in axes]
    for piece in pieces:
        played, places = dict(piece.played), np.unravel_index(piece.program, shape)
        for i, place in zip(order, places, strict=True):
            for row, name in enumerate(axes[i].names):
                if axes[i].is_lab[row] and name in played:
                    values[i][row, place] = played[name]
    return tuple(replace(axis, values=found) for axis, found in zip(axes, values, strict=True))


def _run_order(axes: tuple[Axis, ...]) -> list[int]:
    """Programs run through the circuit's own axes first, then the lab's."""
    return [i for i, a in enumerate(axes) if not a.is_calibration] + [i for i, a in enumerate(axes) if a.is_calibration]


def _means(piece: ProgramResult, slots: int) -> tuple[NDArray[Any], Sequence[int]]:
    if piece.bits is not None:
        bits = np.unpackbits(piece.bits[:, ::-1], axis=1, bitorder="little")[:, :slots]
        return (bits.mean(axis=0) if len(bits) else np.zeros(slots)), range(slots)
    if piece.iq is None or not len(piece.iq):
        return np.zeros(0), ()
    return piece.iq.mean(axis=0), piece.iq_clbits


def _mean_traces(points: int, pieces: Sequence[ProgramResult]) -> NDArray[np.complex128]:
    """Give the mean trace of each feedline at each point: shape (points, feedlines, samples)."""
    traces = [trace for piece in pieces for trace in piece.traces]
    sums = np.zeros(
        (points, max(len(piece.traces) for piece in pieces), max(len(trace.samples) for trace in traces)),
        dtype=np.complex128,
    )
    shots = np.zeros((points, 1, 1))
    for piece in pieces:
        shots[piece.program] += piece.shots
        for row, trace in zip(sums[piece.program], piece.traces, strict=False):
            row[: len(trace.samples)] += piece.shots * trace.samples
    return np.divide(sums, shots, out=np.full(sums.shape, np.nan, dtype=np.complex128), where=shots > 0)


def _in_order(axes: tuple[Axis, ...], table: NDArray[Any]) -> NDArray[Any]:
    """Give the axes in the order in which they were asked for."""
    run = _run_order(axes)
    grid = table.reshape(*(axes[i].points for i in run), *table.shape[1:])
    return np.moveaxis(grid, range(len(run)), run)


def _axis(key: Any, values: Any) -> Axis | str:
    """Read an axis, or say what is wrong with it."""
    keys = key if isinstance(key, tuple) else (key,)
    if not keys or not all(isinstance(one, str | Parameter) for one in keys):
        return f"has the axis {key!r}; give names of the lab's parameters, or parameters of the circuit"
    names = tuple(one if isinstance(one, str) else one.name for one in keys)
    try:
        rows = np.array(values, dtype=np.float64, ndmin=2)
    except (TypeError, ValueError) as error:
        return f"has values for {_listed(names)} that are no numbers ({error})"
    if rows.ndim != 2 or len(rows) != len(names) or not rows.shape[1]:
        return f"has values of shape {rows.shape} for {_listed(names)}; give ({len(names)}, points) numbers"
    for row, point in np.argwhere(~np.isfinite(rows))[:1]:
        return f"has {rows[row, point]} as value {point} of {names[row]}; give finite numbers"
    return Axis(names=names, values=rows, is_lab=tuple(isinstance(one, str) for one in keys))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _problems(wrong: Iterable[str]) -> list[Problem]:
    return [Problem(where="sweep", what=what) for what in wrong]
