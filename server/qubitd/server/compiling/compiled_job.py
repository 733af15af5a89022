"""A job as the compiler leaves it: its parts, and what was found out about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from qubitd.core.job import JobSpec
from qubitd.core.program import Chunk
from qubitd.core.snapshot import Snapshot
from qubitd.drivers.controller import Assembly
from qubitd.server.jobs.events import Dated
from qubitd.server.telemetry.spending import Activity

MOST_KEPT_ROWS = 2**16
"""Plays and acquisitions of a job's first chunk that may: some megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A chunk of a job, and how it becomes what the controller takes."""

    chunk: Chunk
    assemble: Callable[[], Assembly]
    spent: Mapping[Activity, float] = field(default_factory=dict[Activity, float])
    """Seconds that it took already."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compiled:
    """A job that can run under one revision."""

    spec: JobSpec
    """With the values of its sweep as they are played."""
    snapshot: Snapshot
    parts: Iterator[Part]
    """Made as they are taken, once."""
    is_made: bool = False
    """Whether they are assembled already, so that taking one takes no time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Validated:
    """What was found out about a job that can run under one revision."""

    instrument_seconds: float
    """That all shots take on the instruments, with their passive resets."""
    events: tuple[Dated, ...]
    """The stages that it passed through."""
    log: tuple[str, ...]
    """What its owner should know."""
    compiled: Compiled | None
    """If it is small enough to be kept until it starts."""


def assembled(part: Part) -> Part:
    """Give a part that is assembled, and what that took with it."""
    began = time.monotonic()
    assembly = part.assemble()
    seconds = part.spent.get(Activity.ASSEMBLE, 0.0) + time.monotonic() - began
    return Part(chunk=part.chunk, assemble=lambda: assembly, spent={**part.spent, Activity.ASSEMBLE: seconds})


def is_light(chunk: Chunk) -> bool:
    """Whether a chunk, and what becomes of it, may stay in memory until its job starts."""
    return chunk.num_rows <= MOST_KEPT_ROWS
