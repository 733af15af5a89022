"""The numbers of a job's gates as arrays by row: what lowering gathers from.

Made from resolved gates, of which there are as many as distinct (gate, operands), however long the circuits are.
Columns that a sweep reaches have an axis in front, with an entry for each of some points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler import native
from qubitd.compiler.columns import Columns, Floats, Ints, picked
from qubitd.compiler.envelope_table import EnvelopeTable
from qubitd.compiler.resolve import ResolvedAcquisition, ResolvedGate
from qubitd.compiler.turns import to_radians, to_steps
from qubitd.core.device import Affine
from qubitd.core.envelope import Envelope
from qubitd.core.program import BOXCAR
from qubitd.core.snapshot import Values

Point: TypeAlias = Mapping[str, float | Floats]
"""Values of swept parameters: one number each, or one for each case, shape (cases,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Angled:
    """Numbers that may depend on an operation's angles: constant + factors . angles."""

    constant: Floats
    """Shape (entries,), or (points, entries)."""
    factors: Floats
    """Shape (entries, angles); angles is 0 if no entry depends on one."""

    def with_columns(self, columns: Columns) -> native.Angles:
        """Give all that a compiled loop needs to evaluate entries."""
        return native.Angles(
            constant=self.constant, factors=self.factors, params=columns.params, param_start=columns.param_start
        )

    def at(self, entries: Ints, ops: Ints, columns: Columns) -> Floats:
        """Evaluate some entries, each with the angles of its operation.

        Points and bindings, where there are any, are an axis in front, the same for both.
        """
        values = picked(self.constant, entries)
        for k in range(self.factors.shape[1]):
            factor = self.factors[:, k]
            depends = (factor != 0).take(entries).nonzero()[0]
            if len(depends) == len(entries):
                values = values + factor[entries] * columns.param(ops, k)
            elif len(depends):
                values = _with_room(values, columns.params)
                values[..., depends] += factor[entries[depends]] * columns.param(ops[depends], k)
        return values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlayNumbers:
    """The plays of all rows, one after another; every column has shape (plays,)."""

    line: NDArray[np.uint16]
    position: Ints
    """Operand whose frame it follows; -1 for none."""
    frame: NDArray[np.int16]
    envelope: NDArray[np.int32]
    length: Ints
    amplitude: Angled
    phase: Angled
    phase_steps: Ints
    """The constants of `phase` in steps of 2^-53 turn."""
    phase_wrapped: Floats
    """The same in [0, 2 pi)."""
    frequency: Floats
    """As the constants of amplitude and phase, here and below."""

    def at(self, amplitude: Angled, phase: Angled, frequency: Floats) -> PlayNumbers:
        """Give the same plays with other numbers."""
        steps = self.phase_steps if phase is self.phase else to_steps(phase.constant)
        return PlayNumbers(
            line=self.line,
            position=self.position,
            frame=self.frame,
            envelope=self.envelope,
            length=self.length,
            amplitude=amplitude,
            phase=phase,
            phase_steps=steps,
            phase_wrapped=self.phase_wrapped if phase is self.phase else to_radians(steps),
            frequency=frequency,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AcquisitionNumbers:
    """The acquisitions of all rows, one after another; every column has shape (acquisitions,)."""

    line: NDArray[np.uint16]
    qubit: NDArray[np.uint16]
    delay: Ints
    length: Ints
    frequency: Floats
    kernel: NDArray[np.int32]
    """Index of its weights among the job's envelopes; `BOXCAR` for none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Share:
    """Which plays, or acquisitions, are those of each row."""

    first: Ints
    """Shape (rows,)."""
    count: Ints
    is_any: NDArray[np.bool_]
    """Whether `count` is not 0."""
    most: int
    """The largest of `count`."""

    @classmethod
    def of(cls, *counts: int) -> Share:
        """Lay out so many of each row, one row after another; row 0 has none."""
        count = _ints(0, *counts)
        return cls(first=np.cumsum(count) - count, count=count, is_any=count > 0, most=max(counts, default=0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shifts:
    """How far rows advance their operands' frames; entry = row * width + operand."""

    radians: Angled
    is_any: NDArray[np.bool_]
    """Whether an entry is not always 0."""
    turns: NDArray[np.bool_]
    """Whether any entry of a row is not always 0, shape (rows,)."""
    is_any_turn: bool
    """Whether any row turns."""
    width: int
    """Most operands of a row."""

    @classmethod
    def of(cls, radians: Angled, width: int) -> Shifts:
        """Find out which entries count."""
        is_any = _ever(radians.constant) | _ever(radians.factors.T)
        turns: NDArray[np.bool_] = np.logical_or.reduce(is_any.reshape(-1, width), axis=1)
        return cls(radians=radians, is_any=is_any, turns=turns, is_any_turn=bool(turns.any()), width=width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Numbers:
    """Everything about each row that has a number; row 0 is empty."""

    length: Ints
    """Ticks, shape (rows,)."""
    shifts: Shifts
    own_plays: Share
    plays: PlayNumbers
    own_acquisitions: Share
    acquisitions: AcquisitionNumbers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GateNumbers:
    """The numbers of some gates at one calibration, whichever job asks for them and whatever it sweeps."""

    envelopes: tuple[Envelope, ...]
    """The distinct ones, in the order in which they occur; a job counts them in its own way."""
    plain: Numbers
    """Without a sweep; envelopes and kernels are indices into `envelopes`."""
    shift: _Sums
    amplitude: _Sums
    phase: _Sums
    frequency: _Sums
    acquisition_frequency: _Sums
    shaping: frozenset[str]
    """Parameters that do more than fill in a number: at another value of one of them all is made again."""
    _counted: tuple[int, ...] = field(init=False)
    """Indices of `envelopes`."""
    _parameters: frozenset[str] = field(init=False)
    """That are terms of any of its sums."""

    def __post_init__(self) -> None:
        sums = (self.shift, self.amplitude, self.phase, self.frequency, self.acquisition_frequency)
        object.__setattr__(self, "_counted", tuple(range(len(self.envelopes))))
        object.__setattr__(self, "_parameters", frozenset[str]().union(*(one.parameters for one in sums)))

    def at(self, point: Point, table: EnvelopeTable, values: Values) -> Numbers:
        """Give the numbers at one or several points of a sweep.

        Args:
            point: of the sweep; none of it shapes a gate.
            table: of the job's envelopes; grows if a gate needs a new one.
            values: of all other parameters.
        """
        index = tuple(map(table.index_of, self.envelopes))
        plain = self.plain
        if index != self._counted:
            places = np.array([*index, BOXCAR], dtype=np.int32)
            plain = replace(
                plain,
                plays=replace(plain.plays, envelope=places[plain.plays.envelope]),
                acquisitions=replace(plain.acquisitions, kernel=places[plain.acquisitions.kernel]),
            )
        if self._parameters.isdisjoint(point):
            return plain
        return self._swept(plain, point, values)

    def _swept(self, plain: Numbers, point: Point, values: Values) -> Numbers:
        """Put the numbers of a sweep in."""
        plays, acquisitions, shifts = plain.plays, plain.acquisitions, plain.shifts
        shift = self.shift.at(point, values)
        amplitude, phase = self.amplitude.at(point, values), self.phase.at(point, values)
        frequency = self.frequency.at(point, values).constant
        demodulation = self.acquisition_frequency.at(point, values).constant
        if amplitude is not plays.amplitude or phase is not plays.phase or frequency is not plays.frequency:
            plays = plays.at(amplitude, phase, frequency)
        if demodulation is not acquisitions.frequency:
            acquisitions = replace(acquisitions, frequency=demodulation)
        if shift is not shifts.radians:
            shifts = Shifts.of(shift, shifts.width)
        return Numbers(
            length=plain.length,
            shifts=shifts,
            own_plays=plain.own_plays,
            plays=plays,
            own_acquisitions=plain.own_acquisitions,
            acquisitions=acquisitions,
        )


def tabulate(gates: Sequence[ResolvedGate], lines: Sequence[str], values: Values) -> GateNumbers:
    """Put resolved gates into arrays.

    Args:
        gates: what rows 1, 2, ... stand for.
        lines: names that the `line` columns index.
        values: of the parameters that are terms.
    """
    line_index = {name: i for i, name in enumerate(lines)}
    width = max((len(gate.operands) for gate in gates), default=1)
    plays = [(gate, play) for gate in gates for play in gate.plays]
    acquisitions = [acquisition for gate in gates for acquisition in gate.acquisitions]
    shifts = [(gate, gate.shifts[i] if i < len(gate.shifts) else _ZERO) for gate in gates for i in range(width)]
    shift = _sums([((), _ZERO)] * width + [(gate.angles, angle) for gate, angle in shifts], values)
    amplitude = _sums([(gate.angles, play.amplitude) for gate, play in plays], values)
    phase = _sums([(gate.angles, play.phase) for gate, play in plays], values)
    frequency = _sums([((), play.frequency) for _, play in plays], values)
    acquisition_frequency = _sums([((), acquisition.frequency) for acquisition in acquisitions], values)
    phase_steps = to_steps(phase.known.constant)
    kernels = (acquisition.kernel for acquisition in acquisitions if acquisition.kernel is not None)
    envelopes = tuple(dict.fromkeys((*(play.envelope for _, play in plays), *kernels)))
    index: dict[Envelope | None, int] = {None: BOXCAR, **{envelope: i for i, envelope in enumerate(envelopes)}}
    plain = Numbers(
        length=_ints(0, *(gate.length for gate in gates)),
        shifts=Shifts.of(shift.known, width),
        own_plays=Share.of(*(len(gate.plays) for gate in gates)),
        plays=PlayNumbers(
            line=_ints(*(line_index[play.line] for _, play in plays)).astype(np.uint16),
            position=_ints(*(play.position for _, play in plays)),
            frame=_ints(*(play.frame for _, play in plays)).astype(np.int16),
            envelope=_ints(*(index[play.envelope] for _, play in plays)).astype(np.int32),
            length=_ints(*(play.envelope.length for _, play in plays)),
            amplitude=amplitude.known,
            phase=phase.known,
            phase_steps=phase_steps,
            phase_wrapped=to_radians(phase_steps),
            frequency=frequency.known.constant,
        ),
        own_acquisitions=Share.of(*(len(gate.acquisitions) for gate in gates)),
        acquisitions=_acquisition_numbers(acquisitions, line_index, index, acquisition_frequency.known.constant),
    )
    return GateNumbers(
        envelopes=envelopes,
        plain=plain,
        shift=shift,
        amplitude=amplitude,
        phase=phase,
        frequency=frequency,
        acquisition_frequency=acquisition_frequency,
        shaping=frozenset[str]().union(*(gate.shaping for gate in gates)),
    )


def _acquisition_numbers(
    acquisitions: Sequence[ResolvedAcquisition],
    line_index: Mapping[str, int],
    index: Mapping[Envelope | None, int],
    frequency: Floats,
) -> AcquisitionNumbers:
    return AcquisitionNumbers(
        line=_ints(*(line_index[one.line] for one in acquisitions)).astype(np.uint16),
        qubit=_ints(*(one.qubit for one in acquisitions)).astype(np.uint16),
        delay=_ints(*(one.delay for one in acquisitions)),
        length=_ints(*(one.length for one in acquisitions)),
        frequency=frequency,
        kernel=_ints(*(index[one.kernel] for one in acquisitions)).astype(np.int32),
    )


def _ints(*values: int) -> Ints:
    return np.array(values, dtype=np.int64)


_ZERO = Affine(constant=0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """A column of sums of angles and calibration parameters."""

    entries: tuple[tuple[tuple[str, ...], Affine], ...]
    """Names of the angles, and the sum."""
    parameters: Mapping[str, tuple[int, ...]]
    """That are terms of any of them: of which."""
    known: Angled
    """As they are without a sweep."""

    def at(self, point: Point, values: Values) -> Angled:
        """Put the numbers of a sweep in, which may be one for each case."""
        if self.parameters.keys().isdisjoint(point):
            return self.known
        changed = {i for name in point for i in self.parameters.get(name, ())}
        numbers = [(i, _total(self.entries[i][1], self.entries[i][0], values, point)) for i in changed]
        cases = [number.shape for _, number in numbers if isinstance(number, np.ndarray)]
        constant = np.empty((*cases[0], len(self.entries)) if cases else len(self.entries))
        constant[...] = self.known.constant
        for i, number in numbers:
            constant[..., i] = number
        return Angled(constant=constant, factors=self.known.factors)


def _sums(entries: Sequence[tuple[tuple[str, ...], Affine]], values: Values) -> _Sums:
    """Columns from (names of the angles, sum) of each entry."""
    factors = [[dict(total.terms).get(name, 0.0) for name in names] for names, total in entries]
    most = max((len(row) for row in factors if any(row)), default=0)
    known = Angled(
        constant=np.array([_total(total, names, values, {}) for names, total in entries], dtype=np.float64),
        factors=np.array([[*row, *[0.0] * most][:most] for row in factors]).reshape(len(entries), most),
    )
    parameters: dict[str, tuple[int, ...]] = {}
    for i, (names, total) in enumerate(entries):
        for name in {name for name, _ in total.terms if name not in names}:
            parameters[name] = (*parameters.get(name, ()), i)
    return _Sums(entries=tuple(entries), parameters=parameters, known=known)


def _total(total: Affine, angles: tuple[str, ...], values: Values, point: Point) -> float | Floats:
    """Add up the terms that are no angles."""
    constant: float | Floats = total.constant
    for name, factor in total.terms:
        if name not in angles:
            constant = constant + factor * (point[name] if name in point else values.value(name))
    return constant


def _with_room(values: Floats, params: Floats) -> Floats:
    """Give values that can take in what depends on params: with the axis that these have in front."""
    if params.ndim <= values.ndim:
        return values
    return np.repeat(values[np.newaxis], len(params), axis=0)


def _ever(values: Floats) -> NDArray[np.bool_]:
    """Tell which entries are not always 0; shape (..., entries)."""
    found: NDArray[np.bool_] = np.logical_or.reduce((values != 0).reshape(-1, values.shape[-1]), axis=0)
    return found
