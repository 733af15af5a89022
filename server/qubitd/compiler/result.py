"""What the IQ points of some shots become for a job's owner: bits, points, or both. One way for every kind of job.

Shots whose herald is not 0 are taken out first, so that nothing that follows can count them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.readout import classify, pack_bits, writers
from qubitd.core.device import Device
from qubitd.core.discriminator import Discriminator
from qubitd.core.job import Assignment, MeasLevel, MeasReturn, ProgramResult
from qubitd.core.program import HERALD, Program
from qubitd.core.snapshot import Snapshot

Points = NDArray[np.complex64]
Told = NDArray[np.int8]
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is made of a program's points."""

    level: MeasLevel
    meas_return: MeasReturn
    herald: bool
    discriminators: Mapping[int, Discriminator]
    """By qubit; may be empty where neither bits nor heralds are wanted."""
    assignment: tuple[Assignment, ...] = ()
    """Goes with the bits."""


def readouts_of(programs: Iterable[Program]) -> Iterator[tuple[object, ...]]:
    """Give the `readout_of` each program; neighbours that share it are asked once."""
    before: tuple[object, ...] | None = None
    readout: tuple[object, ...] = ()
    for program in programs:
        same = (program.acquisitions, program.num_clbits, program.dynamics)
        if before is None or any(one is not other for one, other in zip(same, before, strict=True)):
            before, readout = same, readout_of(program)
        yield readout


def readout_of(program: Program) -> tuple[object, ...]:
    """Give what decides how a program's points become results: those for which it is equal can be read together."""
    rows = program.acquisitions
    order = np.argsort(rows.order, kind="stable")
    return (
        rows.qubit.tobytes(),
        rows.clbit.tobytes(),
        order.tobytes(),
        program.num_clbits,
        program.dynamics is None,
    )


def program_results(
    program: Program,
    points: Sequence[Points],
    wanted: Wanted,
    *,
    first: int,
    first_shot: int,
    told: Sequence[Told] = (),
) -> list[ProgramResult]:
    """Give the results of some shots of programs that follow one another and have the same `readout_of`.

    Args:
        program: one of them.
        points: of each, shape (shots, acquisitions), columns in the order of the program's rows; NaN where one did not
            take place.
        wanted: what is made of them.
        first: index of the first program in the job.
        first_shot: index of the first shot.
        told: outcomes that the hardware told itself, in the shapes of `points`; negative where it told none. Empty: it
            told nothing.
    """
    iq = np.concatenate(points)
    outcomes_told = np.concatenate(told) if told else None
    shots = [len(one) for one in points]
    kept = shots
    if wanted.herald:
        counted = counts_as_shot(program, iq, wanted.discriminators)
        kept = [int(part.sum()) for part in _split(counted, shots)]
        iq, outcomes_told = iq[counted], None if outcomes_told is None else outcomes_told[counted]
    bits: Sequence[NDArray[np.uint8] | None] = [None] * len(points)
    if wanted.level.has_bits:
        bits = _split(_bits(program, iq, wanted.discriminators, outcomes_told), kept)
    results = [
        ProgramResult(
            program=first + i,
            first_shot=first_shot,
            shots=shots[i],
            discarded=shots[i] - kept[i],
            bits=bits[i],
            assignment=wanted.assignment if wanted.level.has_bits else (),
        )
        for i in range(len(points))
    ]
    if wanted.level is MeasLevel.CLASSIFIED:
        return results
    parts = _split(iq, kept)
    if wanted.meas_return is MeasReturn.AVERAGE:
        parts = [averaged(part) for part in parts]
    return _with_points(results, program, parts)


def _split(rows: NDArray[_Scalar], lengths: Sequence[int]) -> list[NDArray[_Scalar]]:
    """Cut rows that were put together."""
    ends = np.cumsum(lengths).tolist()
    return [rows[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _bits(
    program: Program, iq: Points, discriminators: Mapping[int, Discriminator], told: Told | None
) -> NDArray[np.uint8]:
    outcomes = classify(iq, program.acquisitions, discriminators)
    if told is not None:
        outcomes = np.where(told >= 0, told == 1, outcomes)
    taken = None if program.dynamics is None else ~np.isnan(iq.real)
    return pack_bits(outcomes, program.acquisitions, program.num_clbits, taken)


def counts_as_shot(program: Program, iq: Points, discriminators: Mapping[int, Discriminator]) -> NDArray[np.bool_]:
    """Tell which shots began with all heralds 0; shape (shots,)."""
    outcomes = classify(iq, program.acquisitions, discriminators)
    return np.asarray(~outcomes[:, program.acquisitions.clbit == HERALD].any(axis=1))


def averaged(iq: Points) -> Points:
    """Take the mean over the shots in which an acquisition took place: shape (1, acquisitions), or (0, acquisitions) of
    no shot at all. One that never took place stays NaN.
    """
    if not len(iq):
        return iq
    taken = ~np.isnan(iq.real)
    if taken.all():
        return np.asarray(iq.mean(axis=0, keepdims=True, dtype=np.complex128), dtype=np.complex64)
    total = np.where(taken, iq, 0).sum(axis=0, keepdims=True, dtype=np.complex128)
    count = taken.sum(axis=0, keepdims=True)
    return np.asarray(np.where(count > 0, total / np.maximum(1, count), np.nan), dtype=np.complex64)


def assignments(device: Device, snapshot: Snapshot, program: Program) -> tuple[Assignment, ...]:
    """Give the errors of the outcomes that the program's classical bits end up with, as far as they are known."""
    rows = sorted(writers(program.acquisitions).items())
    found = (_assignment(device, snapshot, clbit, int(program.acquisitions.qubit[row])) for clbit, row in rows)
    return tuple(one for one in found if one is not None)


def _assignment(device: Device, snapshot: Snapshot, clbit: int, qubit: int) -> Assignment | None:
    one, zero = (f"{device.qubits[qubit]}.measure.{name}" for name in ("prob_meas1_prep0", "prob_meas0_prep1"))
    if one not in snapshot or zero not in snapshot:
        return None
    return Assignment(
        clbit=clbit, qubit=qubit, prob_meas1_prep0=snapshot.value(one), prob_meas0_prep1=snapshot.value(zero)
    )


def _with_points(results: list[ProgramResult], program: Program, points: list[Points]) -> list[ProgramResult]:
    """Add points in the order of the measurements; those without a classical bit, such as a herald's, are nobody's."""
    rows = program.acquisitions
    order = np.argsort(rows.order, kind="stable")
    order = order[rows.clbit[order] >= 0]
    qubits, clbits = tuple(rows.qubit[order].tolist()), tuple(rows.clbit[order].tolist())
    return [
        replace(one, iq=iq[:, order].astype(np.complex64), iq_qubits=qubits, iq_clbits=clbits)
        for one, iq in zip(results, points, strict=True)
    ]
