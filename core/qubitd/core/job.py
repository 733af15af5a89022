"""What a job asks for, its states, and the pieces of its result."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.circuit import CircuitBatch
from qubitd.core.sweep import Sweep


class JobStatus(enum.Enum):
    """The seven states a user sees; the same names as Qiskit's."""

    INITIALIZING = "INITIALIZING"
    VALIDATING = "VALIDATING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    CANCELLED = "CANCELLED"
    ERROR = "ERROR"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self in (JobStatus.DONE, JobStatus.CANCELLED, JobStatus.ERROR)


class MeasLevel(enum.IntEnum):
    """How much of the readout a job asks for; the numbers are Qiskit's."""

    KERNELED = 1
    """IQ points."""
    CLASSIFIED = 2
    """Bits."""


class MeasReturn(enum.Enum):
    """Every shot, or the mean over shots (of IQ points only)."""

    SINGLE = "single"
    AVERAGE = "avg"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobSpec:
    """Circuits x a grid of calibration parameters x shots."""

    batch: CircuitBatch
    sweep: Sweep
    shots: int
    meas_level: MeasLevel = MeasLevel.CLASSIFIED
    meas_return: MeasReturn = MeasReturn.SINGLE
    seed_simulator: int | None = None
    """Makes an emulated chip repeatable; a real rack ignores it."""
    tags: tuple[str, ...] = ()
    client_data: bytes = b""
    """What the client needs to read the result elsewhere, at most 1 MiB; kept unread and given back with the job."""

    @property
    def num_programs(self) -> int:
        """Circuits x grid points; program = circuit * points + point."""
        return len(self.batch.circuits) * self.sweep.num_points


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProgramResult:
    """What some shots of one program (circuit x grid point) gave. Exactly one of `bits` and `iq` is there."""

    program: int
    """circuit * points + point."""
    first_shot: int
    shots: int
    bits: NDArray[np.uint8] | None = None
    """Packed as in Qiskit's BitArray: shape (shots, ceil(clbits / 8)), big-endian, bit 0 last; never written: 0."""
    iq: NDArray[np.complex64] | None = None
    """Shape (shots, measurements), or (1, measurements) if averaged: mean over the window, fraction of full scale."""
    iq_qubits: tuple[int, ...] = ()
    """Qubit of each column of `iq`."""
    iq_clbits: tuple[int, ...] = ()
    """Classical bit of each column of `iq`."""
