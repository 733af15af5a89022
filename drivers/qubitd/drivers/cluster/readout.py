"""Downloaded bins to points and outcomes per program: the one place where the Cluster's sums become fractions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.drivers.cluster.assembly import ClusterAssembly, ReadoutMap
from qubitd.drivers.cluster.protocol import acquisition_iq
from qubitd.drivers.controller import NOT_TAKEN, UNTOLD

T = TypeVar("T", np.complex64, np.int8)


def program_iq(assembly: ClusterAssembly, bins: Sequence[NDArray[np.void]]) -> tuple[NDArray[np.complex64], ...]:
    """Sort IQ points by program.

    Args:
        assembly: what was run.
        bins: of each sequencer that acquires, in the order of the assembly.

    Returns:
        per program, shape (shots, acquisitions).
    """
    programs = tuple(np.zeros((assembly.shots, count), dtype=np.complex64) for count in assembly.acquisitions)
    for readout, filled in zip(assembly.readouts, bins, strict=True):
        points = acquisition_iq(filled, readout.norm) * readout.rotation
        _sort_into(programs, readout, points)
    return programs


def program_outcomes(assembly: ClusterAssembly, bins: Sequence[NDArray[np.void]]) -> tuple[NDArray[np.int8], ...]:
    """Sort outcomes by program, as the hardware told them; nothing if none feed. Arguments as for `program_iq`.

    Returns:
        per program, shape (shots, acquisitions).
    """
    if not assembly.feeds:
        return ()
    programs = tuple(np.full((assembly.shots, count), UNTOLD, dtype=np.int8) for count in assembly.acquisitions)
    loads = [load for load in assembly.sequencers if load.bins]
    for readout, load, filled in zip(assembly.readouts, loads, bins, strict=True):
        told = np.full(len(filled), UNTOLD) if load.trigger is None else filled["threshold"].astype(np.int64)
        outcomes = np.where(filled["count"] == 0, NOT_TAKEN, told).astype(np.int8)
        _sort_into(programs, readout, outcomes.reshape(assembly.shots, -1))
    return programs


def _sort_into(programs: tuple[NDArray[T], ...], readout: ReadoutMap, points: NDArray[T]) -> None:
    """Copy the points of one sequencer to where they belong; those of one program stand side by side."""
    owners, first = np.unique(readout.program, return_index=True)
    for owner, begin, end in zip(owners.tolist(), first, np.append(first[1:], len(readout.program)), strict=True):
        programs[owner][:, readout.column[begin:end]] = points[:, begin:end]
