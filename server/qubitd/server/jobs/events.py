"""What can happen to a job and be read by its owner: rows of the store, whose sequence numbers never come twice."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from qubitd.wire.jobs import Happening, StageTime


class Stage(enum.Enum):
    """What a job passes through, finer than its status."""

    ACCEPTED = "accepted"
    DECODING = "decoding"
    CHECKED = "checked"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    STARTED = "started"
    ASSEMBLED = "assembled"
    UPLOADED = "uploaded"
    RUN = "run"
    FETCHED = "fetched"
    DISCRIMINATED = "discriminated"
    RECORDED = "recorded"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """Something that happened and is not in the store yet."""

    time_ns: int
    """ns since 1970-01-01 UTC."""
    what: Happening


def reached(stage: Stage, time_ns: int) -> Dated:
    """A job began a stage."""
    return Dated(time_ns=time_ns, what=StageTime(stage=stage.value, time_ns=time_ns))
