"""What a job asks for, its states, and the pieces of its result."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.circuit import CircuitBatch
from qubitd.core.delays import MAX_DELAY
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
    """How much of the readout a job asks for; the numbers up to 2 are Qiskit's."""

    RAW = 0
    """What came into each feedline's digitiser, as the mean over all shots: it averages by itself."""
    KERNELED = 1
    """IQ points."""
    CLASSIFIED = 2
    """Bits."""
    BOTH = 3
    """Bits and the IQ points that they were made from."""

    @property
    def has_bits(self) -> bool:
        """Whether the result holds bits."""
        return self in (MeasLevel.CLASSIFIED, MeasLevel.BOTH)


class MeasReturn(enum.Enum):
    """Every shot, or the mean over shots; bits have none, traces have nothing else."""

    SINGLE = "single"
    AVERAGE = "avg"


class Scheduling(enum.Enum):
    """When operations start; the names are Qiskit's."""

    ALAP = "alap"
    """As late as possible: qubits stay in 0 for as long as they can, and are measured together at the end."""
    ASAP = "asap"
    """As soon as possible: each qubit is measured as soon as it is ready."""


class Decoupling(enum.Enum):
    """Pi pulses that fill idle stretches: axes of one sequence."""

    X2 = "x2"
    """X X: one axis, for dephasing alone."""
    XY4 = "xy4"
    """X Y X Y: errors of the pulses cancel for any state."""
    XY8 = "xy8"
    """X Y X Y Y X Y X: the same to the next order."""


class InitialReset(enum.Enum):
    """How qubits come to be in 0 before each shot."""

    AUTO = "auto"
    """Active where the wait would really take more than a millisecond and nothing rules it out, else passive."""
    PASSIVE = "passive"
    """By waiting for the longest of their reset times."""
    ACTIVE = "active"
    """Each qubit that is used is measured, and flipped if that gave 1; so are those that the circuit itself resets."""
    NONE = "none"
    """They do not: a shot begins in the state that the one before has left, after `rep_delay`."""


RESET_ROUNDS = 2
"""The first flips a qubit that was 1; it may have decayed before that, which the second sets right."""
MAX_RESET_ROUNDS = 8
MAX_REP_DELAY = MAX_DELAY
"""Seconds; as long as the longest delay of a circuit."""
MAX_EXECUTION_TIME = 86_400.0
"""Seconds of instrument time of a job: it holds the rack for as long."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnEnvelope:
    """An envelope or a kernel that a job brings for a gate, in place of the device's."""

    name: str
    """Operands, gate and what it is for: `q0.x.envelope`, `q0_q1.cz.envelope`, `q0.measure.kernel`."""
    samples: NDArray[np.complex128]
    """Shape (length,), 1 tick apart, at most 1; those of a kernel are real."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobSpec:
    """Circuits, each with its bindings, x a grid of calibration parameters x shots."""

    batch: CircuitBatch
    sweep: Sweep
    shots: int
    meas_level: MeasLevel = MeasLevel.CLASSIFIED
    meas_return: MeasReturn = MeasReturn.SINGLE
    herald: bool = False
    """Whether circuits begin with a measurement of the qubits they use; a shot with one that is not 0 is discarded."""
    scheduling: Scheduling = Scheduling.ALAP
    dd: Decoupling | None = None
    """Dynamical decoupling of idle qubits; None plays nothing that was not asked for."""
    reset_rounds: int = RESET_ROUNDS
    """Times that a reset of a used qubit measures it, and flips it if that gave 1; 1 to MAX_RESET_ROUNDS."""
    initial_reset: InitialReset = InitialReset.AUTO
    envelopes: tuple[OwnEnvelope, ...] = ()
    """In place of the device's, as long as its pulses and windows are; one for a name."""
    rep_delay: float = 0.0
    """Seconds from the end of one program to the beginning of the next, at least; 0 to MAX_REP_DELAY."""
    max_execution_time: float = MAX_EXECUTION_TIME
    """Seconds of instrument time that it may take; above 0, to MAX_EXECUTION_TIME."""
    seed_simulator: int | None = None
    """Makes an emulated chip repeatable; a real rack ignores it."""
    tags: tuple[str, ...] = ()
    client_data: bytes = b""
    """What the client needs to read the result elsewhere, at most 1 MiB; kept unread and given back with the job."""

    @property
    def num_programs(self) -> int:
        """Circuits x bindings x grid points, in this order."""
        return self.batch.num_bindings * self.sweep.num_points


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """How often the outcome in a classical bit is wrong, by the calibration that the job ran under."""

    clbit: int
    qubit: int
    """Measured last into that bit."""
    prob_meas1_prep0: float
    """Probability to read 1 where 0 was prepared."""
    prob_meas0_prep1: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """What came into the digitiser of one feedline, from the first integration window on."""

    qubits: tuple[int, ...]
    """That were read through it: their tones are in one and the same trace."""
    samples: NDArray[np.complex64]
    """Mean over shots, 1 ns apart, before demodulation; fraction of ADC full scale, shape (samples,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProgramResult:
    """What some shots of one program (circuit x binding x grid point) gave: `bits`, `iq`, both, or `traces`."""

    program: int
    """(circuits and bindings before it) * points + point."""
    first_shot: int
    shots: int
    """That were run."""
    discarded: int = 0
    """Of those, shots whose herald was not 0; they are in no array."""
    bits: NDArray[np.uint8] | None = None
    """Packed as in Qiskit's BitArray: shape (kept, ceil(clbits / 8)), big-endian, bit 0 last; never written: 0."""
    iq: NDArray[np.complex64] | None = None
    """Shape (kept, measurements), or at most one row if averaged: mean over the window, fraction of full scale."""
    iq_qubits: tuple[int, ...] = ()
    """Qubit of each column of `iq`."""
    iq_clbits: tuple[int, ...] = ()
    """Classical bit of each column of `iq`."""
    assignment: tuple[Assignment, ...] = ()
    """By classical bit, for those that a measurement writes; without an entry the calibration states none."""
    traces: tuple[Trace, ...] = ()
    """One per feedline."""
    played: tuple[tuple[str, float], ...] = ()
    """What each parameter of the sweep was at this point, as it was played: rounded to the controller's registers."""

    @property
    def kept(self) -> int:
        """Shots that count."""
        return self.shots - self.discarded
