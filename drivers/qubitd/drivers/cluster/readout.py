"""Downloaded bins to IQ points per program: the one place where the Cluster's sums become fractions of full scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qubitd.drivers.cluster.assembly import ClusterAssembly, ReadoutMap
from qubitd.drivers.cluster.protocol import acquisition_iq


def program_iq(assembly: ClusterAssembly, bins: Sequence[NDArray[np.void]]) -> tuple[NDArray[np.complex64], ...]:
    """Sort IQ points by program.

    Args:
        assembly: what was run.
        bins: of each sequencer that acquires, in the order of the assembly.

    Returns:
        per program, shape (shots, acquisitions).
    """
    programs = tuple(np.zeros((assembly.shots, count), dtype=np.complex64) for count in assembly.acquisitions)
    integrations = [load.integration for load in assembly.sequencers if load.bins]
    for readout, integration, filled in zip(assembly.readouts, integrations, bins, strict=True):
        points = acquisition_iq(filled, integration).reshape(assembly.shots, -1) * readout.rotation
        _sort_into(programs, readout, points)
    return programs


def _sort_into(programs: tuple[NDArray[np.complex64], ...], readout: ReadoutMap, points: NDArray[np.complex64]) -> None:
    """Copy the points of one sequencer to where they belong; those of one program stand side by side."""
    owners, first = np.unique(readout.program, return_index=True)
    for owner, begin, end in zip(owners.tolist(), first, np.append(first[1:], len(readout.program)), strict=True):
        programs[owner][:, readout.column[begin:end]] = points[:, begin:end]
