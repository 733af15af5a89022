"""Reads the requests that bring a job: small ones at once, bigger ones in a thread, in turn, and uploads in another
process, in turn too. So nobody who asks for a status waits for the bytes of others, and few of them are in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from qubitd.core.job import JobSpec
from qubitd.server.auth.errors import require
from qubitd.server.auth.identity import Identity, Role, calling
from qubitd.server.compiling.helper_process import HelperProcess, Long
from qubitd.server.compiling.spec_memory import SpecMemory
from qubitd.server.errors import UnknownBackendError
from qubitd.server.failpoints import failpoint
from qubitd.server.front.admission import Memory, Newcomer, admit, check_limits
from qubitd.server.front.receiving import Parcel
from qubitd.server.front.uploads import Uploads, read_part, read_whole
from qubitd.server.persistence import to_the_end
from qubitd.server.store.rows import NewJob
from qubitd.v1 import jobs_pb2
from qubitd.wire.backends import Limits
from qubitd.wire.parsing import parse
from qubitd.wire.specs import decode_spec
from qubitd.wire.tables import MissingTablesError, TableStore
from qubitd.wire.terms import JobTerms, decode_terms
from qubitd.wire.uploads import Upload, decode_upload

INLINE_BYTES = 16_384
"""Requests up to this size are read at once."""
_ENTRIES_IN_BYTES = 64
"""Entries of columns that are written by copying rows of a table in the time in which a byte is read and checked."""
LONGEST = 120.0
"""Seconds after which reading is taken to have no end: 64 MiB take one or two."""
ELSEWHERE_BYTES = 2**20
"""Bytes of an upload from which it is read in another process: while a message is parsed, no other thread goes on."""

_Message = TypeVar("_Message", jobs_pb2.SubmitRequest, jobs_pb2.ExplainRequest)
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asks for something about a job, and what is to be known to read it, in any process."""

    identity: Identity
    newcomer: Newcomer
    limits: Mapping[str, Limits]
    """Of each backend that is served, by its name."""

    def limits_of(self, backend: str) -> Limits:
        """Give the limits of a backend.

        Raises:
            UnknownBackendError: nobody served it at the last look.
        """
        if backend not in self.limits:
            raise UnknownBackendError(name=backend, served=sorted(self.limits))
        return self.limits[backend]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explained:
    """A job that is to be explained."""

    backend: str
    spec: JobSpec
    wants_expected: bool
    """Whether its circuits are to be simulated, too."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind(Generic[_Message, _Read]):
    """A request that brings a job."""

    message: type[_Message]
    terms: Callable[[_Message], JobTerms]
    read: Callable[[_Message, Asked, Memory, int], _Read]
    """Reads it, of so many bytes as it came. Raises MissingTablesError, MalformedMessageError, InvalidRequestError,
    DeniedError, UnknownBackendError.
    """
    part: Callable[[_Read], tuple[_Read, bytes]]
    """Takes the bulk out of what was read."""
    join: Callable[[_Read, bytes], _Read]
    """Puts it back."""


Look = Callable[[str, JobTerms], None]
"""Makes sure that a job of such terms may be for a backend."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _There(Generic[_Read]):
    """What the other process found."""

    read: _Read
    """Without its bulk."""
    bulk: Long | slice
    """Or where it stands in the upload."""
    tables: tuple[Long, ...]
    """Contents that came with it and may be named from now on."""


class ReadingProcess(HelperProcess[None]):
    """Another process that reads uploads. It is told of tables that came with earlier ones, and tells of new ones."""

    def __init__(self) -> None:
        super().__init__(_nothing, name="read", task="reads big requests", niceness=0, longest=LONGEST)

    def read(self, kind: Kind[_Message, _Read], path: Path, upload: Upload, asked: Asked, tables: TableStore) -> _Read:
        """Read an upload.

        Raises:
            QubitdError: as for the kind; UnknownUploadError if it is not here, or not whole.
            HelperProcessError: the process does not survive it.
        """
        project = asked.identity.project
        try:
            found = self.do(_read_there, kind, path, upload, asked, ())
        except MissingTablesError as error:
            given = tables.find(error.hashes, project=project)
            found = self.do(_read_there, kind, path, upload, asked, tuple(map(Long, given)))
        tables.keep((table.data for table in found.tables), project=project)
        bulk = found.bulk.data if isinstance(found.bulk, Long) else read_part(path, upload, found.bulk)
        return kind.join(found.read, bulk)


class _Turn:
    """One piece of work at a time, in a thread; if its caller leaves, the next one begins when it has ended."""

    def __init__(self) -> None:
        self._is_free = asyncio.Semaphore()

    async def take(self, work: Callable[[], _Read]) -> _Read:
        await self._is_free.acquire()
        return await to_the_end(self._taken(work))

    async def _taken(self, work: Callable[[], _Read]) -> _Read:
        try:
            return await asyncio.to_thread(work)
        finally:
            self._is_free.release()


class Reader:
    """Whoever reads, with what came before."""

    def __init__(self, *, uploads: Uploads, specs: SpecMemory, process: ReadingProcess) -> None:
        self._uploads = uploads
        self._process = process
        self._memory = Memory(tables=TableStore(), specs=specs)
        self._here, self._there = _Turn(), _Turn()

    async def read(
        self, kind: Kind[_Message, _Read], parcel: Parcel, asked: Asked, look: Look
    ) -> tuple[_Read, Upload | None]:
        """Read a request, or the one that went ahead under the name that it gives; with that name.

        Raises:
            QubitdError: as for the kind; what `look` raises, for an upload after it was read.
            UnknownUploadError: it went ahead and is not here, or not whole.
        """
        if len(parcel.data) > INLINE_BYTES:
            read = await self._here.take(lambda: self._opened(kind, parcel, asked, look))
            parcel.make_way()
            return read, None
        request = parse(kind.message, parcel.data)
        if request.HasField("upload"):
            upload = decode_upload(request.upload)
            return await self._uploaded(kind, upload, asked), upload
        size = _size(request, len(parcel.data))
        work = partial(self._looked_at, kind, request, parcel, asked, look)
        return (work() if size <= INLINE_BYTES else await self._here.take(work)), None

    def expect(self) -> None:
        """Be ready for an upload that has begun."""
        self._process.start()

    def _opened(self, kind: Kind[_Message, _Read], parcel: Parcel, asked: Asked, look: Look) -> _Read:
        return self._looked_at(kind, parse(kind.message, parcel.data), parcel, asked, look)

    def _looked_at(
        self, kind: Kind[_Message, _Read], request: _Message, parcel: Parcel, asked: Asked, look: Look
    ) -> _Read:
        """What may be passed on to another daemon is kept as it came until that is known."""
        asked.limits_of(request.backend)
        look(request.backend, kind.terms(request))
        size = len(parcel.data)
        parcel.drop()
        return kind.read(request, asked, self._memory, size)

    async def _uploaded(self, kind: Kind[_Message, _Read], upload: Upload, asked: Asked) -> _Read:
        """Read and decoded in one go, or all that wait for their turn would be in memory; so they are files."""
        path = self._uploads.path(asked.identity.project, upload)
        memory = self._memory
        if upload.size < ELSEWHERE_BYTES:
            read = await self._here.take(lambda: _read(kind, read_whole(path, upload), asked, memory))
        else:
            read = await self._there.take(lambda: self._process.read(kind, path, upload, asked, memory.tables))
        failpoint("upload.whole")
        return read


def _read(kind: Kind[_Message, _Read], data: bytes, asked: Asked, memory: Memory) -> _Read:
    request = parse(kind.message, data)
    request.ClearField("upload")
    return kind.read(request, asked, memory, len(data))


def _submission(request: jobs_pb2.SubmitRequest, asked: Asked, memory: Memory, size: int) -> NewJob:
    with calling(asked.identity):
        _check_role(request)
    return admit(request, asked.newcomer, asked.limits_of(request.backend), memory, size=size)


def _explained(request: jobs_pb2.ExplainRequest, asked: Asked, memory: Memory, _size: int) -> Explained:
    limits = asked.limits_of(request.backend)
    memory.tables.fill_in(request.spec, project=asked.identity.project)
    spec = decode_spec(request.spec)
    check_limits(spec, limits)
    return Explained(backend=request.backend, spec=spec, wants_expected=request.wants_expected)


def _submission_terms(request: jobs_pb2.SubmitRequest) -> JobTerms:
    return decode_terms(request.terms)


def _no_terms(_request: jobs_pb2.ExplainRequest) -> JobTerms:
    return JobTerms()


def _without_spec(new: NewJob) -> tuple[NewJob, bytes]:
    return replace(new, spec=b""), new.spec


def _with_spec(new: NewJob, spec: bytes) -> NewJob:
    return replace(new, spec=spec)


def _all(explained: Explained) -> tuple[Explained, bytes]:
    return explained, b""


def _same(explained: Explained, _nothing: bytes) -> Explained:
    return explained


SUBMISSION = Kind(
    message=jobs_pb2.SubmitRequest,
    terms=_submission_terms,
    read=_submission,
    part=_without_spec,
    join=_with_spec,
)
EXPLANATION = Kind(message=jobs_pb2.ExplainRequest, terms=_no_terms, read=_explained, part=_all, join=_same)


def _read_there(
    _tools: None, kind: Kind[_Message, _Read], path: Path, upload: Upload, asked: Asked, given: tuple[Long, ...]
) -> _There[_Read]:
    memory, data = _memory(given, asked), read_whole(path, upload)
    read, bulk = kind.part(_read(kind, data, asked, memory))
    start = data.find(bulk)  # it nearly always stands there as it is to be kept
    place = Long(bulk) if start < 0 else slice(start, start + len(bulk))
    return _There(read=read, bulk=place, tables=_learned(memory, given, asked))


def _memory(given: tuple[Long, ...], asked: Asked) -> Memory:
    tables = TableStore()
    tables.keep((table.data for table in given), project=asked.identity.project)
    return Memory(tables=tables, specs=SpecMemory())


def _learned(memory: Memory, given: tuple[Long, ...], asked: Asked) -> tuple[Long, ...]:
    known = {table.data for table in given}
    contents = memory.tables.all(project=asked.identity.project)
    return tuple(Long(content) for content in contents if content not in known)


def _nothing() -> None:
    """No tools."""


def _size(request: jobs_pb2.SubmitRequest | jobs_pb2.ExplainRequest, size: int) -> int:
    """Give the bytes of a request, or what its steps may stand for, in units of which as many are read in no time."""
    batch = request.spec.batch
    if len(batch.step_table.sha256):
        return max(size, INLINE_BYTES + 1)
    return max(size, len(batch.steps) * len(batch.step_table.content) // _ENTRIES_IN_BYTES)


def _check_role(request: jobs_pb2.SubmitRequest) -> None:
    """What a job asks for may ask for a role."""
    if request.spec.sweep.axes or request.spec.sweep.HasField("along"):
        require(Role.CALIBRATOR, "a sweep of calibration parameters")
    if request.spec.envelopes:
        require(Role.CALIBRATOR, "a job with envelopes of its own")
    if request.terms.slot_id:
        require(Role.CALIBRATOR, "a job in a slot")
    if request.terms.job_class == jobs_pb2.JOB_CLASS_SAFETY:
        require(Role.OPERATOR, "a job of the class safety")
