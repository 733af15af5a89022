"""qubitd.v1.Jobs: jobs in, their events and results out."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from qubitd.core.job import JobStatus
from qubitd.server.auth.identity import Role, caller
from qubitd.server.engine import Engine
from qubitd.server.errors import (
    OldCursorError,
    RemovedEventsError,
    ServedElsewhereError,
    StoreCorruptError,
    TooBusyError,
    UnknownBackendError,
    UnknownCursorError,
)
from qubitd.server.front.admission import Newcomer, check_predictable
from qubitd.server.front.pages import query_of, unknown_token
from qubitd.server.front.reading import ELSEWHERE_BYTES, EXPLANATION, SUBMISSION, Asked, Kind, Look, Reader
from qubitd.server.front.receiving import Parcel
from qubitd.server.front.rpc import Service, receive, stream, unary, whole
from qubitd.server.front.uploads import LEAST_PIECE_BYTES, TOGETHER_BYTES, Uploads
from qubitd.server.group.group import Group
from qubitd.server.group.roster import Roster
from qubitd.server.instruments.backend import Backend
from qubitd.server.persistence import unbroken
from qubitd.server.queueing.book import JobBook, jobs_of
from qubitd.server.queueing.dispatch import Dispatch
from qubitd.server.store.frames import merged
from qubitd.server.store.store import Store
from qubitd.server.watching.announcer import Announcer
from qubitd.server.watching.event_pages import EventPages
from qubitd.server.watching.silence import Silence
from qubitd.server.watching.watched import Watch, Watched
from qubitd.server.watching.watches import Watches
from qubitd.v1 import jobs_pb2
from qubitd.wire.jobs import MAX_WATCHED, STATUS_NUMBER, Bookmark, JobEvent, encode_events, encode_job
from qubitd.wire.parsing import check_count
from qubitd.wire.plans import encode_plan
from qubitd.wire.terms import JobTerms
from qubitd.wire.uploads import MAX_PIECE_BYTES, MAX_UNARY_BYTES, Upload, decode_upload

_Result = TypeVar("_Result")
_Message = TypeVar("_Message", jobs_pb2.SubmitRequest, jobs_pb2.ExplainRequest)
_MOST_READERS = 256
"""Results that are sent at the same time: each takes about 2 MiB while its reader is slow."""
_MOST_RESULT_BYTES = 2**18
"""Of small pieces of a result that are sent in one message."""
_MOST_BEHIND = 100_000
"""Events of a project's jobs that a watch of a backend goes through to catch up."""
_UNHURRIED = 0.5
"""Seconds for which the note that a result was read may wait for another commit."""


class JobsService:
    """Its RPCs, named like them."""

    def __init__(
        self,
        *,
        backend: Backend,
        engine: Engine,
        dispatch: Dispatch,
        store: Store,
        book: JobBook,
        announcer: Announcer,
        watches: Watches,
        uploads: Uploads,
        roster: Roster,
        group: Group | None,
        reader: Reader,
    ) -> None:
        """Serve; `group` is None for a daemon that shares its store with no other."""
        self._roster = roster
        self._group = group
        self._uploads = uploads
        self._backend = backend
        self._dispatch = dispatch
        self._engine = engine
        self._store = store
        self._book = book
        self._announcer = announcer
        self._watches = watches
        self._watch = Watch(
            pages=EventPages(store=store, recent=book.recent, announcer=announcer),
            announcer=announcer,
            place_of=dispatch.place,
            now=book.now,
            steady=dispatch.clocks.steady,
            on_read=self._was_read,
        )
        self._readers = 0
        self._note_due: asyncio.TimerHandle | None = None
        """When the notes that results were read wait for other commits no longer."""
        self._reader = reader

    def service(self) -> Service:
        """Give the handlers."""
        return Service(
            name="qubitd.v1.Jobs",
            rpcs={
                "Submit": whole(jobs_pb2.SubmitRequest, self.Submit, most=MAX_UNARY_BYTES),
                "Upload": receive(jobs_pb2.UploadRequest, self.Upload, most=2 * MAX_PIECE_BYTES),
                "Get": unary(jobs_pb2.JobsGetRequest, self.Get),
                "List": unary(jobs_pb2.JobsListRequest, self.List),
                "Watch": stream(jobs_pb2.JobsWatchRequest, self.Watch),
                "Results": stream(jobs_pb2.ResultsRequest, self.Results),
                "Cancel": unary(jobs_pb2.JobsCancelRequest, self.Cancel),
                "Explain": whole(jobs_pb2.ExplainRequest, self.Explain, most=MAX_UNARY_BYTES),
                "Delete": unary(jobs_pb2.JobsDeleteRequest, self.Delete),
            },
        )

    async def Submit(self, parcel: Parcel) -> jobs_pb2.SubmitResponse:
        """Take a job."""
        new, upload = await self._read(SUBMISSION, parcel, self._check_place)
        if upload is not None:
            with _kept_here():
                self._check_place(new.backend, new.terms)
            new = replace(new, opened_ns=self._uploads.opened_ns(caller().project, upload))
        job_id = await self._engine.submit(new, to=self._roster.find(new.backend))
        if upload is not None:
            self._uploads.drop(caller().project, upload)
        return jobs_pb2.SubmitResponse(job_id=job_id)

    def _check_place(self, backend: str, terms: JobTerms) -> None:
        if self._roster.known(backend) is not None and terms.is_bound:
            self._roster.check_own(backend, "a job of a session, a slot or a fixed calibration")
        for name in terms.equivalents:
            self._roster.known(name)

    async def _read(self, kind: Kind[_Message, _Result], parcel: Parcel, look: Look) -> tuple[_Result, Upload | None]:
        try:
            return await self._reader.read(kind, parcel, self._asked(), look)
        except UnknownBackendError as error:
            self._roster.find(error.name)  # looks again for one that is new
            return await self._reader.read(kind, parcel, self._asked(), look)

    def _asked(self) -> Asked:
        who = caller()
        others = {member.backend: self._roster.described(member).limits for member in self._roster.others()}
        return Asked(
            identity=who,
            newcomer=Newcomer(job_id=str(uuid.uuid4()), owner=who.project, author=who.name, time_ns=self._book.now()),
            limits={**others, self._roster.own: self._backend.limits},
        )

    async def Upload(self, requests: AsyncGenerator[jobs_pb2.UploadRequest]) -> jobs_pb2.UploadResponse:
        """Let an upload grow."""
        first = await anext(requests, jobs_pb2.UploadRequest())
        upload = decode_upload(first.upload)
        self._engine.check_serving()  # that of a job whose answer was lost may come while the lab is closed
        self._store.check_room(upload.size)
        if upload.size >= ELSEWHERE_BYTES:
            await asyncio.to_thread(self._reader.expect)
        with self._uploads.under_way(caller().project, upload) as growing:
            pieces: list[tuple[int, bytes]] = []
            held = 0
            try:
                async for request in requests:
                    pieces.append((request.piece.offset, request.piece.data))
                    held += max(len(request.piece.data), LEAST_PIECE_BYTES)
                    if held >= TOGETHER_BYTES:
                        together, pieces, held = pieces, [], 0
                        await unbroken(asyncio.to_thread(growing.add, together))
            finally:  # a connection that is cut goes on where it was
                if pieces:
                    await unbroken(asyncio.to_thread(growing.add, pieces))
            return jobs_pb2.UploadResponse(received=growing.received)

    async def Get(self, request: jobs_pb2.JobsGetRequest) -> jobs_pb2.JobsGetResponse:
        """Describe a job."""
        find = partial(self._store.jobs.get, owner=caller().project, job_id=request.job_id)
        job = find()
        try:
            data = self._store.blob(self._store.jobs.client_digest(request.job_id))
        except StoreCorruptError:
            find()  # of a job whose content went meanwhile nothing is damaged
            raise
        placed = replace(job, queue=self._dispatch.place(request.job_id))
        return jobs_pb2.JobsGetResponse(job=encode_job(placed), client_data=data)

    async def List(self, request: jobs_pb2.JobsListRequest) -> jobs_pb2.JobsListResponse:
        """List jobs, newest first."""
        query = query_of(request, owner=caller().project)
        if query.below and not self._store.jobs.had(owner=query.owner, job_id=query.below):
            raise unknown_token(query.below)
        page = self._store.jobs.page(query)
        return jobs_pb2.JobsListResponse(
            jobs=[encode_job(job) for job in page.jobs],
            next_page_token=page.next_below,
        )

    async def Watch(self, request: jobs_pb2.JobsWatchRequest) -> AsyncGenerator[bytes]:
        """Send the events after the cursor, then those that come, to the last; of a session or backend for ever."""
        with self._watches.one_more():
            async with aclosing(
                self._some(request) if request.job_id or request.jobs else self._many(request)
            ) as events:
                async for event in events:
                    yield event

    async def _many(self, request: jobs_pb2.JobsWatchRequest) -> AsyncGenerator[bytes]:
        owner, session_id = caller().project, request.session_id
        if session_id:
            self._dispatch.sessions.info(session_id, owner=owner)
        else:
            self._roster.find(request.backend)
        newest = self._store.jobs.newest_of(owner)
        cursor = request.after_sequence or (0 if session_id else newest)
        _check_cursor(cursor, newest=newest)
        if not session_id and newest - cursor > _MOST_BEHIND:
            raise OldCursorError(cursor=cursor, newest=newest, most=_MOST_BEHIND)
        # From the beginning means all that is left; from a number, all that came since.
        known = (
            0 if request.after_sequence or not session_id else self._store.jobs.removed_of(owner, session_id=session_id)
        )
        silence, is_marked = Silence(self._dispatch.clocks.steady), False
        with self._announcer.listen(jobs_of(owner)) as listener:
            while True:
                listener.clear()
                removed = self._store.jobs.removed_of(owner, session_id=session_id)
                if removed > max(cursor, known):
                    raise RemovedEventsError(cursor=cursor, removed=removed)
                newest = self._store.jobs.newest_of(owner)
                events = self._store.jobs.events_of_many(
                    owner=owner, session_id=session_id, backend=request.backend, after=cursor
                )
                if events:
                    yield encode_events(events).SerializeToString()
                cursor = events[-1].sequence if events else max(cursor, newest)
                if events:
                    silence.end()
                    continue
                if not is_marked or not silence.left:
                    is_marked = True
                    mark = JobEvent(sequence=cursor, time_ns=self._book.now(), what=Bookmark())
                    yield encode_events([mark]).SerializeToString()
                    silence.end()
                await listener.wait(silence.left)

    def _some(self, request: jobs_pb2.JobsWatchRequest) -> AsyncGenerator[bytes]:
        owner = caller().project
        check_count(len(request.jobs), where="jobs", most=MAX_WATCHED)
        after = {cursor.job_id: cursor.after_sequence for cursor in request.jobs}
        if request.job_id:
            after = {request.job_id: request.after_sequence}
        if cursor := max(after.values(), default=0):
            _check_cursor(cursor, newest=self._store.jobs.newest_of(owner))
        return self._watch.events(
            [
                Watched(
                    job_id=job_id,
                    number=self._number(owner, job_id),
                    cursor=last,
                    is_named=not request.job_id,
                    wants_outcome=request.outcome,
                    wants_stages=not request.without_stages,
                )
                for job_id, last in after.items()
            ]
        )

    def _number(self, owner: str, job_id: str) -> int:
        entry = self._book.find(job_id)
        if entry is not None and entry.owner == owner:
            return entry.number
        known = self._book.recent.number(job_id, owner=owner)
        return self._store.jobs.number(owner=owner, job_id=job_id) if known is None else known

    async def Results(self, request: jobs_pb2.ResultsRequest) -> AsyncGenerator[bytes]:
        """Send what is durable, piece by piece."""
        if self._readers >= _MOST_READERS:
            raise TooBusyError(what=f"{self._readers} results are being sent already", limit=_MOST_READERS)
        find = partial(self._store.jobs.number, owner=caller().project, job_id=request.job_id)
        number = find()
        self._readers += 1
        try:
            async with aclosing(self._pieces(number, request.skip)) as pieces:
                async for piece in pieces:
                    yield piece
        except StoreCorruptError:
            find()  # of a job that was deleted meanwhile nothing is damaged
            raise
        finally:
            self._readers -= 1
        self._was_read(request.job_id, number)

    def _was_read(self, job_id: str, number: int) -> None:
        is_unread = self._book.recent.is_unread(job_id)
        if not (self._store.jobs.is_unread(number) if is_unread is None else is_unread):
            return
        self._book.recent.note_read(job_id)
        self._store.write(lambda w: w.jobs.mark_read(number, time_ns=self._book.now()), hurried=False)
        if self._note_due is None:
            self._note_due = asyncio.get_running_loop().call_later(_UNHURRIED, self._hurry_notes)

    def _hurry_notes(self) -> None:
        self._note_due = None
        self._store.hurry()

    async def _pieces(self, number: int, skip: int) -> AsyncGenerator[bytes]:
        for chunk in self._store.jobs.chunks(number):
            if skip >= chunk.pieces:
                skip -= chunk.pieces
                continue
            with closing(await asyncio.to_thread(self._store.pieces, chunk.digest)) as pieces:
                for message in merged(itertools.islice(pieces, skip, None), most=_MOST_RESULT_BYTES):
                    yield message
            skip = 0

    async def Cancel(self, request: jobs_pb2.JobsCancelRequest) -> jobs_pb2.JobsCancelResponse:
        """End a job."""
        owner = self._store.jobs.owner_of(request.job_id) if caller().may(Role.OPERATOR) else caller().project
        status = await self._cancel(owner=owner, job_id=request.job_id, force=request.force)
        return jobs_pb2.JobsCancelResponse(status=STATUS_NUMBER[status])

    async def _cancel(self, *, owner: str, job_id: str, force: bool) -> JobStatus:
        job = self._store.jobs.get(owner=owner, job_id=job_id)
        if not job.status.is_final:
            self._engine.note(f"asked to cancel job {job_id}{' by force' if force else ''}", by=caller().name)
        if self._group is None or job.status.is_final or self._engine.knows(job_id):
            return await self._engine.cancel(owner=owner, job_id=job_id, force=force)
        # Another daemon's, or one that another daemon took for this one just now.
        return await self._group.cancel(job.backend, owner=owner, job_id=job_id, force=force)

    async def Explain(self, parcel: Parcel) -> jobs_pb2.ExplainResponse:
        """Say what a job would take."""
        asked_for, upload = await self._read(EXPLANATION, parcel, self._check_own)
        if upload is not None:
            with _kept_here():
                self._check_own(asked_for.backend, JobTerms())
        if asked_for.wants_expected:
            check_predictable(asked_for.spec, self._backend.device)
        owner = caller().project
        plan = await self._engine.explain(asked_for.spec, owner=owner, wants_expected=asked_for.wants_expected)
        return encode_plan(plan)

    def _check_own(self, backend: str, _terms: JobTerms) -> None:
        self._roster.known(backend)
        self._roster.check_own(backend, "an explanation")

    async def Delete(self, request: jobs_pb2.JobsDeleteRequest) -> jobs_pb2.JobsDeleteResponse:
        """Remove an ended job."""
        await self._engine.delete(owner=caller().project, job_id=request.job_id, by=caller().name)
        return jobs_pb2.JobsDeleteResponse()


def _check_cursor(cursor: int, *, newest: int) -> None:
    """Make sure that a watch goes on from what a project has seen.

    Raises:
        UnknownCursorError: it never came so far.
    """
    if cursor > newest:
        raise UnknownCursorError(cursor=cursor, newest=newest)


@contextmanager
def _kept_here() -> Generator[None]:
    """Pass nothing on: what was uploaded is here."""
    try:
        yield
    except ServedElsewhereError as error:
        error.can_pass_on = False
        raise
