"""What a job would take, found out without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qubitd.core.capacity import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramPlan:
    """One program of a job."""

    name: str
    """Of its circuit."""
    duration: float
    """Seconds from the first pulse to the end of the last slot, without the passive reset."""
    num_plays: int
    success: float
    """Probability, by the Target's errors, that no operation fails; one without an error counts as perfect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage of a job."""

    name: str
    """`check`, `schedule`, `assemble`, `run`."""
    seconds: float
    """That it took just now, or of instrument time that it would take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPlan:
    """How one sequencer plays programs that are alike but for their numbers."""

    sequencer: str
    """Such as `slot1.seq0 (q0.drive)`."""
    nests: tuple[tuple[int, ...], ...]
    """Loops on the controller: the turns of each nest, outermost first."""
    written_out: int
    """Programs that are in no loop."""
    reason: str
    """Why not; empty if there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What a job would take."""

    programs: tuple[ProgramPlan, ...]
    """In the order circuit, binding, grid point."""
    memories: tuple[Usage, ...]
    """Each memory that the first chunk would use."""
    upload_bytes: int
    """Bytes that the first chunk would send to the instruments."""
    instrument_seconds: float
    """Of the whole job, with its passive resets."""
    revision: int
    """Calibration revision that was compiled for."""
    queue_length: int = 0
    """Jobs that would start before this one, if it came now as a normal one."""
    expected_start_ns: int = 0
    """When it would be expected to start, ns since 1970-01-01 UTC; 0 if that cannot be told."""
    stages: tuple[StagePlan, ...] = ()
    """In their order; all of the daemon's, those before `run`, were gone through to find this out."""
    loops: tuple[LoopPlan, ...] = ()
    """How each sequencer plays the first chunk, if that has enough programs for a loop."""
    expected: tuple[Mapping[str, float], ...] = ()
    """What the calibration predicts that each program gives: probabilities by bit string, classical bit 0 last, each
    program running alone; empty unless it was asked for.
    """
    log: tuple[str, ...] = ()
    """Lines for the owner, such as a rounded delay."""
