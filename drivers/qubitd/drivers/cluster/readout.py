"""Downloaded bins to points and outcomes per program: the one place where the Cluster's sums become fractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.core.job import Trace
from qubitd.drivers.cluster.assembly import ClusterAssembly, ReadoutMap
from qubitd.drivers.cluster.protocol import acquisition_iq
from qubitd.drivers.controller import NOT_TAKEN, UNTOLD

T = TypeVar("T", np.complex64, np.int8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClusterReadings:
    """What a run gave, as it was downloaded."""

    assembly: ClusterAssembly
    """What was run."""
    bins: tuple[NDArray[np.void], ...]
    """Of each sequencer that acquires, in the order of the assembly."""
    traces: tuple[Trace, ...]
    """Of a chunk that wants them: one per feedline."""

    @property
    def points(self) -> tuple[NDArray[np.complex64], ...]:
        """Per program, shape (shots, acquisitions): mean over the window, fraction of ADC full scale."""
        return program_iq(self.assembly, self.bins)

    @property
    def outcomes(self) -> tuple[NDArray[np.int8], ...]:
        """Per program, shape (shots, acquisitions), as the hardware told them; nothing if none feed."""
        return program_outcomes(self.assembly, self.bins)


def program_iq(assembly: ClusterAssembly, bins: Sequence[NDArray[np.void]]) -> tuple[NDArray[np.complex64], ...]:
    """Sort IQ points by program.

    Args:
        assembly: what was run.
        bins: of each sequencer that acquires, in the order of the assembly.

    Returns:
        per program, shape (shots, acquisitions).
    """
    sorted_points = _Sorted(assembly, fill=np.complex64(0))
    for readout, filled in zip(assembly.readouts, bins, strict=True):
        points = acquisition_iq(filled, readout.norm)
        points *= readout.rotation
        sorted_points.put(readout, points)
    return sorted_points.programs


def program_outcomes(assembly: ClusterAssembly, bins: Sequence[NDArray[np.void]]) -> tuple[NDArray[np.int8], ...]:
    """Sort outcomes by program, as the hardware told them; nothing if none feed. Arguments as for `program_iq`.

    Returns:
        per program, shape (shots, acquisitions).
    """
    if not assembly.feeds:
        return ()
    sorted_outcomes = _Sorted(assembly, fill=np.int8(UNTOLD))
    loads = [load for load in assembly.sequencers if load.bins]
    for readout, load, filled in zip(assembly.readouts, loads, bins, strict=True):
        told = np.full(len(filled), UNTOLD) if load.trigger is None else filled["threshold"].astype(np.int64)
        outcomes = np.where(filled["count"] == 0, NOT_TAKEN, told).astype(np.int8)
        sorted_outcomes.put(readout, outcomes.reshape(assembly.shots, -1))
    return sorted_outcomes.programs


class _Sorted(Generic[T]):
    """What the acquisitions of a chunk gave, by program: one row for each acquisition of each program."""

    def __init__(self, assembly: ClusterAssembly, *, fill: T) -> None:
        self._first = np.cumsum([0, *assembly.acquisitions])
        self._rows = np.full((self._first[-1], assembly.shots), fill)

    def put(self, readout: ReadoutMap, values: NDArray[T]) -> None:
        """Take in what one sequencer gave, shape (shots, acquisitions)."""
        self._rows[self._first[readout.program] + readout.column] = values.T

    @property
    def programs(self) -> tuple[NDArray[T], ...]:
        """Give each program's, shape (shots, acquisitions)."""
        return tuple(self._rows[first:last].T for first, last in pairwise(self._first.tolist()))
