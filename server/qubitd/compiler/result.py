"""What the IQ points of some shots become for a job's owner: bits, points, or both. One way for every kind of job.

Shots whose herald is not 0 are taken out first, so that nothing that follows can count them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

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


def program_result(
    program: Program, iq: Points, wanted: Wanted, *, index: int, first_shot: int, told: Told | None = None
) -> ProgramResult:
    """Give the result of some shots.

    Args:
        program: that ran.
        iq: shape (shots, acquisitions), columns in the order of the program's rows; NaN where one did not take place.
        wanted: what is made of them.
        index: of the program in the job.
        first_shot: index of the first shot.
        told: outcomes that the hardware told itself, in the shape of `iq`; negative where it told none.
    """
    shots = len(iq)
    if wanted.herald:
        counted = counts_as_shot(program, iq, wanted.discriminators)
        iq, told = iq[counted], None if told is None else told[counted]
    result = ProgramResult(program=index, first_shot=first_shot, shots=shots, discarded=shots - len(iq))
    if wanted.level.has_bits:
        outcomes = classify(iq, program.acquisitions, wanted.discriminators)
        if told is not None:
            outcomes = np.where(told >= 0, told == 1, outcomes)
        taken = None if program.dynamics is None else ~np.isnan(iq.real)
        bits = pack_bits(outcomes, program.acquisitions, program.num_clbits, taken)
        result = replace(result, bits=bits, assignment=wanted.assignment)
    if wanted.level is MeasLevel.CLASSIFIED:
        return result
    return _with_points(result, program, averaged(iq) if wanted.meas_return is MeasReturn.AVERAGE else iq)


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


def _with_points(result: ProgramResult, program: Program, iq: Points) -> ProgramResult:
    """Add points in the order of the measurements; those without a classical bit, such as a herald's, are nobody's."""
    rows = program.acquisitions
    order = np.argsort(rows.order, kind="stable")
    order = order[rows.clbit[order] >= 0]
    return replace(
        result,
        iq=iq[:, order].astype(np.complex64),
        iq_qubits=tuple(rows.qubit[order].tolist()),
        iq_clbits=tuple(rows.clbit[order].tolist()),
    )
