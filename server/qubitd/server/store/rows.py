"""Jobs as the store holds them. None of these carries circuits: listing jobs parses nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from qubitd.core.errors import Problem
from qubitd.core.job import JobStatus
from qubitd.server.jobs.events import Dated
from qubitd.wire.jobs import Job, JobEvent, TimeSpent
from qubitd.wire.terms import JobTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job on its way in."""

    job_id: str
    """Made by the server."""
    owner: str
    key: str
    """Made by the client, unique among its jobs."""
    backend: str
    request_digest: str
    """SHA-256 of the request's bytes: tells a repeated Submit from a reused key."""
    spec: bytes
    """`qubitd.v1.JobSpec` as it came."""
    client_data: bytes = b""
    """What the client wants back with the job."""
    result_bytes: int = 0
    """How big its result will be."""
    shots: int
    circuits: int
    programs: int
    """Circuits x bindings x grid points."""
    tags: tuple[str, ...]
    created_ns: int
    terms: JobTerms = field(default_factory=JobTerms)
    author: str = "local"
    """Who submitted it; the job belongs to the owner, which is a project."""
    opened_ns: int | None = None
    """When its upload was opened; None if it came in one message."""
    served: float | None = None
    """Seconds for which its backend had been served when it was taken; None to go by the last note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a project used of a rack."""

    backend: str
    owner: str
    seconds: float
    """At the weight that they had when they were noted."""
    age: float
    """Seconds for which the backend was served since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of a Submit."""

    job_id: str
    number: int
    """Order of acceptance."""
    is_new: bool
    """False if the same request had been accepted before."""
    events: tuple[JobEvent, ...] = field(default=(), compare=False)
    """Its first ones, if it is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A job's step from one state to the next; refused if the store holds it in another."""

    job_id: str
    before: JobStatus
    version: int
    """Before the step."""
    after: JobStatus
    time_ns: int
    message: str = ""
    problems: tuple[Problem, ...] = ()
    is_interruption: bool = False
    """Whether the attempt that ends by it was interrupted by the daemon's death."""
    revision: int | None = None
    """Calibration revision that the job is pinned to from now on; None leaves it."""
    events: tuple[Dated, ...] = ()
    """What happened before the step; the step's own event follows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Programs first_program..+programs x shots first_shot..+shots."""

    first_program: int
    programs: int
    first_shot: int
    shots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChunk:
    """The result of one chunk, ready to be kept."""

    n: int
    """0, 1, 2... in the order in which they ran."""
    span: Span
    pieces: tuple[bytes, ...]
    """`qubitd.v1.ResultsResponse` messages of one piece each, in order."""
    instrument_ns: int
    """Time that the chunk took on the instruments."""
    spent: tuple[TimeSpent, ...] = ()
    """Wall time since the chunk before was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRow:
    """A kept chunk."""

    n: int
    span: Span
    pieces: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A job that is DONE."""

    job_id: str
    backend: str
    """The one that ran it."""
    revision: int
    """Calibration revision that it ran under."""
    shots: int
    """Of each program."""
    instrument_seconds: float
    result_bytes: int
    """Of all its chunks, as they are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs of a list."""

    jobs: tuple[Job, ...]
    next_below: str
    """Id of the job below which the next page goes on; empty if none follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliveJob:
    """A job that has not ended, as the engine keeps it in memory."""

    number: int
    job_id: str
    backend: str
    status: JobStatus
    version: int
    attempt: int
    revision: int
    cancelling: bool
    shots: int
    """Of each program."""
    owner: str
    created_ns: int
    """When it was accepted, ns since 1970-01-01 UTC."""
    served: float | None
    """Seconds for which its backend had been served then; None if that is not known."""
    size: int
    """Bytes, as it was sent."""
    terms: JobTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How big a job is."""

    programs: int
    bytes: int
    """As it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs of an owner a page shows, newest first."""

    owner: str
    limit: int
    below: str = ""
    """Only jobs accepted before this one of the owner's; empty for all."""
    statuses: tuple[JobStatus, ...] = ()
    tags: tuple[str, ...] = ()
    """All of them."""
    backend: str = ""
    session_id: str = ""
    """Only jobs of this session; empty for all."""
    since_ns: int = 0
    """Only jobs accepted at this time or later, ns since 1970-01-01 UTC."""
