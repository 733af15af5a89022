"""The numbers of a job's gates at one point of its sweep, as arrays by row: what lowering gathers from.

Made from resolved gates, of which there are as many as distinct (gate, operands), however long the circuits are.
"""

from __future__ import annotations

from collections.abc import Sequence
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
            samples = sample_envelope(envelope)
            digest = samples_digest(samples)
            if digest not in self._by_digest:
                self._by_digest[digest] = len(self._sampled)
                self._sampled.append(SampledEnvelope(samples=samples, digest=digest))
                self._samples += len(samples)
            self._index[envelope] = self._by_digest[digest]
        return self._index[envelope]

    def tables(self) -> ProgramTables:
        """Give the envelopes so far; tables given later begin with the same."""
        if len(self._tables.envelopes) != len(self._sampled):
            self._tables = ProgramTables(envelopes=tuple(self._sampled), generation=self._generation)
        return self._tables


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Angled:
    """Numbers that may depend on an operation's angles: constant + factors . angles."""

    constant: Floats
    """Shape (entries,)."""
    factors: Floats
    """Shape (entries, angles); angles is 0 if no entry depends on one."""

    def at(self, entries: Ints, params: Floats, param_start: Ints) -> Floats:
        """Evaluate some entries, each with the angles that start at its place in `params`."""
        values = self.constant.take(entries)
        for k in range(self.factors.shape[1]):
            factor = self.factors[:, k].take(entries)
            depends = np.flatnonzero(factor)
            values[depends] += factor[depends] * params.take(param_start[depends] + k)
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


def tabulate(gates: Sequence[ResolvedGate], envelopes: EnvelopeTable, lines: Sequence[str]) -> Numbers:
    """Put resolved gates into arrays.

    Args:
        gates: what rows 1, 2, ... stand for.
        envelopes: of the job; grows if a gate needs a new one.
        lines: names that the `line` columns index.
    """
    line_index = {name: i for i, name in enumerate(lines)}
    width = max((len(gate.operands) for gate in gates), default=1)
    shifts = [(gate, gate.shifts[i] if i < len(gate.shifts) else _ZERO) for gate in gates for i in range(width)]
    shift = _angled([((), _ZERO)] * width + [(gate.angles, value) for gate, value in shifts])
    play_count = np.array([0, *(len(gate.plays) for gate in gates)], dtype=np.int64)
    acquisition_count = np.array([0, *(len(gate.acquisitions) for gate in gates)], dtype=np.int64)
    return Numbers(
        length=np.array([0, *(gate.length for gate in gates)], dtype=np.int64),
        shift=shift,
        has_shift=(shift.constant != 0) | shift.factors.any(axis=1),
        width=width,
        play_first=np.cumsum(play_count) - play_count,
        play_count=play_count,
        plays=_play_numbers(gates, envelopes, line_index),
        acquisition_first=np.cumsum(acquisition_count) - acquisition_count,
        acquisition_count=acquisition_count,
        acquisitions=_acquisition_numbers(gates, envelopes, line_index),
    )


_ZERO = Affine(constant=0.0)


def _play_numbers(gates: Sequence[ResolvedGate], envelopes: EnvelopeTable, lines: dict[str, int]) -> PlayNumbers:
    plays = [play for gate in gates for play in gate.plays]
    angles = [gate.angles for gate in gates for _ in gate.plays]
    return PlayNumbers(
        line=np.array([lines[play.line] for play in plays], dtype=np.int64),
        position=np.array([play.position for play in plays], dtype=np.int64),
        frame=np.array([play.frame for play in plays], dtype=np.int64),
        envelope=np.array([envelopes.index_of(play.envelope) for play in plays], dtype=np.int64),
        length=np.array([play.envelope.length for play in plays], dtype=np.int64),
        amplitude=_angled([(names, play.amplitude) for names, play in zip(angles, plays, strict=True)]),
        phase=_angled([(names, play.phase) for names, play in zip(angles, plays, strict=True)]),
        frequency=np.array([play.frequency for play in plays], dtype=np.float64),
    )


def _acquisition_numbers(
    gates: Sequence[ResolvedGate], envelopes: EnvelopeTable, lines: dict[str, int]
) -> AcquisitionNumbers:
    acquisitions = [acquisition for gate in gates for acquisition in gate.acquisitions]
    return AcquisitionNumbers(
        line=np.array([lines[a.line] for a in acquisitions], dtype=np.int64),
        qubit=np.array([a.qubit for a in acquisitions], dtype=np.int64),
        delay=np.array([a.delay for a in acquisitions], dtype=np.int64),
        length=np.array([a.length for a in acquisitions], dtype=np.int64),
        frequency=np.array([a.frequency for a in acquisitions], dtype=np.float64),
        kernel=np.array(
            [BOXCAR if a.kernel is None else envelopes.index_of(a.kernel) for a in acquisitions], dtype=np.int64
        ),
    )


def _angled(entries: Sequence[tuple[tuple[str, ...], Affine]]) -> Angled:
    """Columns from (names of the angles, value) of each entry."""
    most = max((len(names) for names, value in entries if value.terms), default=0)
    factors = np.zeros((len(entries), most))
    for i, (names, value) in enumerate(entries):
        for name, factor in value.terms:
            factors[i, names.index(name)] = factor
    return Angled(constant=np.array([value.constant for _, value in entries], dtype=np.float64), factors=factors)
