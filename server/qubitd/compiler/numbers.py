"""The numbers of a job's gates as arrays by row: what lowering gathers from.

Made from resolved gates, of which there are as many as distinct (gate, operands), however long the circuits are.
Columns that a sweep reaches have an axis in front, with an entry for each of some points.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.columns import Floats, Ints
from qubitd.compiler.resolve import ResolvedGate
from qubitd.core.device import Affine
from qubitd.core.envelope import Envelope, sample_envelope, samples_digest
from qubitd.core.program import BOXCAR, ProgramTables, SampledEnvelope

MAX_SAMPLES = 2**20
"""Samples (16 MiB) after which a job's table of envelopes is full and the next program begins a new one."""
_SHORT = 2**12
"""Samples of an envelope that is remembered from job to job."""
MAX_ENVELOPES = 2**13
"""Envelopes after which it is full."""


class EnvelopeTable:
    """The envelopes of a job, by content. It only grows, so an index stays good; a full one has a successor."""

    def __init__(self, *, generation: int = 0) -> None:
        self._generation = generation
        self._samples = 0
        self._index: dict[Envelope, int] = {}
        self._by_digest: dict[str, int] = {}
        self._sampled: list[SampledEnvelope] = []
        self._tables = ProgramTables(envelopes=(), generation=generation)

    def with_room(self) -> EnvelopeTable:
        """Give the table that the next program should use: this one, or an empty one if it is full."""
        is_full = self._samples >= MAX_SAMPLES or len(self._index) >= MAX_ENVELOPES
        return EnvelopeTable(generation=self._generation + 1) if is_full else self

    def index_of(self, envelope: Envelope) -> int:
        """Give an envelope's index, sampling it the first time."""
        if envelope not in self._index:
            sampled = _sampled_short(envelope) if envelope.length <= _SHORT else _sampled(envelope)
            if sampled.digest not in self._by_digest:
                self._by_digest[sampled.digest] = len(self._sampled)
                self._sampled.append(sampled)
                self._samples += len(sampled.samples)
            self._index[envelope] = self._by_digest[sampled.digest]
        return self._index[envelope]

    def tables(self) -> ProgramTables:
        """Give the envelopes so far; tables given later begin with the same."""
        if len(self._tables.envelopes) != len(self._sampled):
            self._tables = ProgramTables(envelopes=tuple(self._sampled), generation=self._generation)
        return self._tables


def _sampled(envelope: Envelope) -> SampledEnvelope:
    samples = sample_envelope(envelope)
    samples.flags.writeable = False
    return SampledEnvelope(samples=samples, digest=samples_digest(samples))


@functools.lru_cache(maxsize=256)
def _sampled_short(envelope: Envelope) -> SampledEnvelope:
    """The same, remembered from job to job: 16 MiB at most."""
    return _sampled(envelope)


ParameterValue = Callable[[str], float | Floats]
"""Gives the value of a calibration parameter: one number, or one for each point, shape (points,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Angled:
    """Numbers that may depend on an operation's angles: constant + factors . angles."""

    constant: Floats
    """Shape (entries,), or (points, entries)."""
    factors: Floats
    """Shape (entries, angles); angles is 0 if no entry depends on one."""

    def at(self, entries: Ints, params: Floats, param_start: Ints) -> Floats:
        """Evaluate some entries, each with the angles that start at its place in `params`.

        Points and bindings, where there are any, are an axis in front, the same for both.
        """
        values = self.constant.take(entries, axis=-1)
        for k in range(self.factors.shape[1]):
            factor = self.factors[:, k].take(entries)
            depends = np.flatnonzero(factor)
            if len(depends):
                values = _with_room(values, params)
                values[..., depends] += factor[depends] * params.take(param_start[depends] + k, axis=-1)
        return values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlayNumbers:
    """The plays of all rows, one after another; every column has shape (plays,)."""

    line: Ints
    position: Ints
    """Operand whose frame it follows; -1 for none."""
    frame: Ints
    envelope: Ints
    length: Ints
    amplitude: Angled
    phase: Angled
    frequency: Floats
    """As the constants of the other two, here and below."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AcquisitionNumbers:
    """The acquisitions of all rows, one after another; every column has shape (acquisitions,)."""

    line: Ints
    qubit: Ints
    delay: Ints
    length: Ints
    frequency: Floats
    kernel: Ints
    """Index of its weights among the job's envelopes; `BOXCAR` for none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Numbers:
    """Everything about each row that has a number; row 0 is empty."""

    length: Ints
    """Ticks, shape (rows,)."""
    shift: Angled
    """Radians by which a row advances its operands' frames; entry = row * width + operand."""
    has_shift: NDArray[np.bool_]
    """Whether an entry of `shift` is not always 0."""
    width: int
    """Most operands of a row."""
    play_first: Ints
    """First play of each row, shape (rows,)."""
    play_count: Ints
    plays: PlayNumbers
    acquisition_first: Ints
    acquisition_count: Ints
    acquisitions: AcquisitionNumbers


def tabulate(
    gates: Sequence[ResolvedGate], envelopes: EnvelopeTable, lines: Sequence[str], value: ParameterValue
) -> Numbers:
    """Put resolved gates into arrays.

    Args:
        gates: what rows 1, 2, ... stand for.
        envelopes: of the job; grows if a gate needs a new one.
        lines: names that the `line` columns index.
        value: of the parameters that are terms.
    """
    line_index = {name: i for i, name in enumerate(lines)}
    width = max((len(gate.operands) for gate in gates), default=1)
    shifts = [(gate, gate.shifts[i] if i < len(gate.shifts) else _ZERO) for gate in gates for i in range(width)]
    shift = _angled([((), _ZERO)] * width + [(gate.angles, angle) for gate, angle in shifts], value)
    play_count = np.array([0, *(len(gate.plays) for gate in gates)], dtype=np.int64)
    acquisition_count = np.array([0, *(len(gate.acquisitions) for gate in gates)], dtype=np.int64)
    return Numbers(
        length=np.array([0, *(gate.length for gate in gates)], dtype=np.int64),
        shift=shift,
        has_shift=_ever(shift.constant) | _ever(shift.factors.T),
        width=width,
        play_first=np.cumsum(play_count) - play_count,
        play_count=play_count,
        plays=_play_numbers(gates, envelopes, line_index, value),
        acquisition_first=np.cumsum(acquisition_count) - acquisition_count,
        acquisition_count=acquisition_count,
        acquisitions=_acquisition_numbers(gates, envelopes, line_index, value),
    )


_ZERO = Affine(constant=0.0)


def _play_numbers(
    gates: Sequence[ResolvedGate], envelopes: EnvelopeTable, lines: dict[str, int], value: ParameterValue
) -> PlayNumbers:
    plays = [play for gate in gates for play in gate.plays]
    angles = [gate.angles for gate in gates for _ in gate.plays]
    return PlayNumbers(
        line=np.array([lines[play.line] for play in plays], dtype=np.int64),
        position=np.array([play.position for play in plays], dtype=np.int64),
        frame=np.array([play.frame for play in plays], dtype=np.int64),
        envelope=np.array([envelopes.index_of(play.envelope) for play in plays], dtype=np.int64),
        length=np.array([play.envelope.length for play in plays], dtype=np.int64),
        amplitude=_angled([(names, play.amplitude) for names, play in zip(angles, plays, strict=True)], value),
        phase=_angled([(names, play.phase) for names, play in zip(angles, plays, strict=True)], value),
        frequency=_side_by_side([_total(play.frequency, (), value) for play in plays]),
    )


def _acquisition_numbers(
    gates: Sequence[ResolvedGate], envelopes: EnvelopeTable, lines: dict[str, int], value: ParameterValue
) -> AcquisitionNumbers:
    acquisitions = [acquisition for gate in gates for acquisition in gate.acquisitions]
    return AcquisitionNumbers(
        line=np.array([lines[a.line] for a in acquisitions], dtype=np.int64),
        qubit=np.array([a.qubit for a in acquisitions], dtype=np.int64),
        delay=np.array([a.delay for a in acquisitions], dtype=np.int64),
        length=np.array([a.length for a in acquisitions], dtype=np.int64),
        frequency=_side_by_side([_total(a.frequency, (), value) for a in acquisitions]),
        kernel=np.array(
            [BOXCAR if a.kernel is None else envelopes.index_of(a.kernel) for a in acquisitions], dtype=np.int64
        ),
    )


def _angled(entries: Sequence[tuple[tuple[str, ...], Affine]], value: ParameterValue) -> Angled:
    """Columns from (names of the angles, sum) of each entry."""
    factors = [[dict(total.terms).get(name, 0.0) for name in names] for names, total in entries]
    most = max((len(row) for row in factors if any(row)), default=0)
    return Angled(
        constant=_side_by_side([_total(total, names, value) for names, total in entries]),
        factors=np.array([[*row, *[0.0] * most][:most] for row in factors]).reshape(len(entries), most),
    )


def _total(total: Affine, angles: tuple[str, ...], value: ParameterValue) -> float | Floats:
    """Add up the terms that are no angles."""
    constant: float | Floats = total.constant
    for name, factor in total.terms:
        if name not in angles:
            constant = constant + factor * value(name)
    return constant


def _side_by_side(entries: Sequence[float | Floats]) -> Floats:
    """Give a column of the entries; with an axis in front if any of them has several values."""
    points = [len(entry) for entry in entries if isinstance(entry, np.ndarray)]
    if not points:
        return np.array(entries, dtype=np.float64)
    column = np.empty((points[0], len(entries)))
    for i, entry in enumerate(entries):
        column[:, i] = entry
    return column


def _with_room(values: Floats, params: Floats) -> Floats:
    """Give values that can take in what depends on params: with the axis that these have in front."""
    if params.ndim <= values.ndim:
        return values
    return np.repeat(values[np.newaxis], len(params), axis=0)


def _ever(values: Floats) -> NDArray[np.bool_]:
    """Tell which entries are not always 0; shape (..., entries)."""
    found: NDArray[np.bool_] = np.logical_or.reduce((values != 0).reshape(-1, values.shape[-1]), axis=0)
    return found
