"""The sessions that are not over, in memory and in the store, kept in step. All of it in the event loop's thread."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import math
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from qubitd.core.errors import InvalidInputError, Problem
from qubitd.core.job import JobStatus
from qubitd.core.ticks import seconds_text
from qubitd.server.auth.identity import LOCAL
from qubitd.server.clocks import Clocks
from qubitd.server.errors import SessionClosedError
from qubitd.server.failpoints import failpoint
from qubitd.server.front.quotas import Quotas
from qubitd.server.persistence import durable, to_the_end
from qubitd.server.scheduling.waiting import Window
from qubitd.server.sessions import rules
from qubitd.server.sessions.rules import Outcome, Session
from qubitd.server.store.sessions import NewSession, SessionProgress, SessionRow
from qubitd.server.store.store import Store
from qubitd.v1 import sessions_pb2
from qubitd.wire.sessions import SessionInfo, SessionState, SessionUsage, decode_terms


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A session in memory beside its row."""

    row: SessionRow
    session: Session
    due: float = math.inf
    """When it is looked at next, s on the steady clock."""


class SessionBook:
    """Every session that is not over. What is asked at each decision costs the number of those that have to do with it,
    however many are open.
    """

    def __init__(
        self, *, store: Store, clocks: Clocks, quotas: Quotas, served: str, backend: str | None = None
    ) -> None:
        """Keep sessions, those of one backend or all; the time of those whose backend is not `served` stands still."""
        self._store = store
        self._served = served
        self._quotas = quotas
        self._backend = backend
        self._clocks = clocks
        self._kept: dict[str, _Kept] = {}
        self._in_play: dict[str, _Kept] = {}
        self._dues: list[tuple[float, str]] = []
        """A heap of when sessions may change by time alone; some of it is out of date, and early."""

    def __len__(self) -> int:
        return len(self._kept)

    def load(self, jobs: Collection[tuple[str, JobStatus]]) -> None:
        """Take over the sessions that an earlier process left, with the jobs (session, state) that have not ended."""
        for row in self._store.sessions.alive(self._backend):
            states = [status for session_id, status in jobs if session_id == row.session_id]
            running = states.count(JobStatus.RUNNING)
            session = replace(_session_of(row), waiting=len(states) - running, running=running)
            if row.backend == self._served:
                session = rules.resumed(session, self._clocks.steady(), has_begun=row.started_ns > 0)
            self._keep(row, session)
            self._settle(row.session_id)

    def lost(self, session_id: str) -> Outcome:
        """Say what becomes of a job that waits for a session: all but `KEEP` if that is over, or of no daemon here."""
        if session_id in self._kept:
            return Outcome.KEEP
        row = self._store.sessions.find(session_id)
        return Outcome.REQUEUE if row is None else rules.at_end(row.at_expiry)

    def is_known(self, *, owner: str, key: str) -> bool:
        """Whether an owner has opened a session with this key."""
        return self._store.sessions.is_known(owner=owner, key=key)

    async def open(self, request: sessions_pb2.OpenRequest, *, owner: str, author: str) -> SessionInfo:
        """Open a session; durable on return.

        Raises:
            MalformedMessageError: a field is outside its limits.
            InvalidInputError: it would last longer than an operator lets a project's.
            KeyReusedError: the key stands for a session that was asked for otherwise.
            QuotaExceededError: the project has enough open.
        """
        terms = decode_terms(request)
        is_bounded = owner != LOCAL.project and not self.is_known(owner=owner, key=terms.key)
        if is_bounded and terms.max_seconds > self._quotas.session_seconds:
            most = seconds_text(self._quotas.session_seconds)
            what = f"is {seconds_text(terms.max_seconds)}; the limit that the operator set is {most}"
            raise InvalidInputError([Problem(where="max_seconds", what=what)])
        new = NewSession(
            session_id=str(uuid.uuid4()),
            owner=owner,
            author=author,
            key=terms.key,
            request_digest=hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest(),
            backend=terms.backend,
            mode=terms.mode,
            max_seconds=terms.max_seconds,
            idle_seconds=terms.idle_seconds,
            at_expiry=terms.at_expiry,
            created_ns=self._clocks.wall(),
        )
        # A caller that hangs up now finds the session open with its next try, not closed since nobody kept it.
        return self.info(await to_the_end(self._take(new)), owner=owner)

    def owner_of(self, session_id: str) -> str:
        """Give whose a session is.

        Raises:
            UnknownSessionError: there is none.
        """
        return self._store.sessions.owner_of(session_id)

    def info(self, session_id: str, *, owner: str) -> SessionInfo:
        """Describe a session, also one that is over.

        Raises:
            UnknownSessionError: the owner has no such session.
        """
        kept = self._kept.get(session_id)
        if kept is not None and kept.row.owner == owner:
            return self._describe(kept)
        return self._described_by(self._store.sessions.get(owner=owner, session_id=session_id))

    def newest(self, *, owner: str, limit: int, open_only: bool) -> list[SessionInfo]:
        """List sessions, newest first."""
        rows = self._store.sessions.newest(owner=owner, limit=limit, open_only=open_only)
        return [
            self._describe(self._kept[row.session_id]) if row.session_id in self._kept else self._described_by(row)
            for row in rows
        ]

    def usage(self, session_id: str, *, owner: str) -> SessionUsage:
        """Say what a session used.

        Raises:
            UnknownSessionError: the owner has no such session.
        """
        info = self.info(session_id, owner=owner)
        return SessionUsage(
            qpu_seconds=info.qpu_seconds,
            elapsed_seconds=info.elapsed_seconds,
            jobs=self._store.sessions.jobs(session_id),
        )

    async def renew(self, session_id: str, *, owner: str) -> SessionInfo:
        """Note that a session's client is alive; how far it has come is durable on return.

        Raises:
            UnknownSessionError: the owner has no such session.
            SessionClosedError: it is closed.
        """
        info = self.info(session_id, owner=owner)
        if info.state is SessionState.CLOSED:
            raise SessionClosedError(session_id=session_id)
        await self._change(session_id, rules.renewed(self._kept[session_id].session, self._clocks.steady()))
        return self.info(session_id, owner=owner)

    async def close(self, session_id: str, *, owner: str) -> SessionInfo:
        """Let a session take no more jobs; durable on return.

        Raises:
            UnknownSessionError: the owner has no such session.
        """
        self.info(session_id, owner=owner)
        kept = self._kept.get(session_id)
        if kept is not None:
            await self._change(session_id, rules.closed(kept.session))
        return self.info(session_id, owner=owner)

    def admit(self, session_id: str, *, owner: str) -> None:
        """Count a job that is about to be taken.

        Raises:
            UnknownSessionError: the owner has no such session.
            SessionClosedError: it takes no more jobs.
        """
        self.info(session_id, owner=owner)
        kept = self._kept.get(session_id)
        if kept is None:
            raise SessionClosedError(session_id=session_id)
        self._put(kept, rules.submitted(kept.session, self._clocks.steady()))

    def withdraw(self, session_id: str) -> None:
        """Take back an `admit` whose job was not taken after all."""
        self._job_gone(session_id, had_started=False, qpu_seconds=0.0)

    def moved(self, session_id: str, before: JobStatus, after: JobStatus, *, qpu_seconds: float) -> None:
        """A job of a session took a step."""
        kept = self._kept.get(session_id)
        if kept is None:
            return
        if after is JobStatus.RUNNING:
            self._start(kept)
        elif before is JobStatus.RUNNING and not after.is_final:
            self._put(kept, rules.job_put_back(kept.session))
        elif after.is_final:
            self._job_gone(session_id, had_started=before is JobStatus.RUNNING, qpu_seconds=qpu_seconds)

    def leave(self, session_id: str) -> None:
        """A waiting job of a session went to the common queue."""
        self._change(session_id, rules.left(self._kept[session_id].session))

    def expired(self) -> list[tuple[str, Outcome]]:
        """Close the sessions whose time is over, and say what becomes of the jobs that wait."""
        now = self._clocks.steady()
        found: list[tuple[str, Outcome]] = []
        for session_id, kept in {**self._due(now), **self._in_play}.items():
            session, outcome = rules.look(kept.session, now)
            if outcome is not Outcome.KEEP:
                found.append((session_id, outcome))
            if session is not kept.session:
                self._change(session_id, session)
            else:
                self._note_due(kept, now)
        return found

    def windows(self) -> Sequence[Window]:
        """Give the sessions that want the rack, or hold it, as the scheduler sees them."""
        now = self._clocks.steady()
        return [rules.window_of(kept.session, now, opened=kept.row.number) for kept in self._in_play.values()]

    def next_look(self) -> float:
        """Give when a session may change by time alone, s on the steady clock, or a time before."""
        return self._dues[0][0] if self._dues else math.inf

    async def settle_all(self) -> None:
        """Write how far every session has come, before the daemon ends."""
        await asyncio.gather(*(self._write(kept) for kept in self._kept.values()))

    async def _take(self, new: NewSession) -> str:
        most = None if new.owner == LOCAL.project else self._quotas.sessions
        row, is_new = await durable(self._store.write(lambda w: w.sessions.open(new, most=most)))
        failpoint("session.written")
        if is_new:
            self._keep(row, rules.renewed(_session_of(row), self._clocks.steady()))
        return row.session_id

    def _keep(self, row: SessionRow, session: Session) -> None:
        kept = self._kept[row.session_id] = _Kept(row=row, session=session)
        self._put(kept, session)

    def _put(self, kept: _Kept, session: Session) -> None:
        kept.session = session
        if kept.row.backend != self._served:
            return
        if session.is_in_play:
            self._in_play[session.session_id] = kept
        else:
            self._in_play.pop(session.session_id, None)
        self._note_due(kept, self._clocks.steady())

    def _note_due(self, kept: _Kept, now: float) -> None:
        """Have a session looked at in time. What is noted too early already is noted anew when that time comes."""
        due = rules.next_look(kept.session, now)
        if due < kept.due:
            kept.due = due
            heapq.heappush(self._dues, (due, kept.row.session_id))

    def _due(self, now: float) -> dict[str, _Kept]:
        """Take the sessions whose time to be looked at has come."""
        due: dict[str, _Kept] = {}
        while self._dues and self._dues[0][0] <= now:
            kept = self._kept.get(heapq.heappop(self._dues)[1])
            if kept is not None and kept.due <= now:
                kept.due = math.inf
                due[kept.row.session_id] = kept
        return due

    def _start(self, kept: _Kept) -> None:
        self._put(kept, rules.job_started(kept.session, self._clocks.steady()))
        if kept.row.started_ns == 0:
            kept.row = replace(kept.row, started_ns=self._clocks.wall())
        self._write(kept)

    def _job_gone(self, session_id: str, *, had_started: bool, qpu_seconds: float) -> None:
        kept = self._kept[session_id]
        now = self._clocks.steady()
        session = rules.job_ended(kept.session, now, had_started=had_started, qpu_seconds=qpu_seconds)
        self._change(session_id, session)

    def _change(self, session_id: str, session: Session) -> asyncio.Future[None]:
        self._put(self._kept[session_id], session)
        return self._settle(session_id)

    def _settle(self, session_id: str) -> asyncio.Future[None]:
        """Write a session; forget it in memory if it is over."""
        kept = self._kept[session_id]
        if kept.session.is_over:
            kept.row = replace(kept.row, closed_ns=self._clocks.wall())
            del self._kept[session_id]
            self._in_play.pop(session_id, None)
        return self._write(kept)

    def _write(self, kept: _Kept) -> asyncio.Future[None]:
        progress = SessionProgress(
            session_id=kept.row.session_id,
            started_ns=kept.row.started_ns,
            closed_ns=kept.row.closed_ns,
            accepting=kept.session.accepting,
            elapsed=kept.session.elapsed(self._clocks.steady()),
            qpu_seconds=kept.session.qpu_seconds,
            holding=kept.session.holding,
        )
        return durable(self._store.write(lambda w: w.sessions.update(progress)))

    def _described_by(self, row: SessionRow) -> SessionInfo:
        """Describe one that is not kept here: it is over, or another daemon's."""
        is_own = self._backend in (None, row.backend)
        return _info_of(row, SessionState.CLOSED if is_own else _state_of(row))

    def _describe(self, kept: _Kept) -> SessionInfo:
        now = self._clocks.steady()
        session = kept.session
        return replace(
            _info_of(kept.row, session.state),
            elapsed_seconds=session.elapsed(now),
            qpu_seconds=session.qpu_seconds,
            holds_rack=session.holds_until(now) > now,
        )


def _session_of(row: SessionRow) -> Session:
    return Session(
        session_id=row.session_id,
        mode=row.mode,
        max_seconds=row.max_seconds,
        idle_seconds=row.idle_seconds,
        at_expiry=row.at_expiry,
        accepting=row.accepting,
        used_before=row.elapsed,
        qpu_seconds=row.qpu_seconds,
        holding=row.holding,
    )


def _state_of(row: SessionRow) -> SessionState:
    """How another daemon's session stands, as that one wrote last."""
    if row.closed_ns:
        return SessionState.CLOSED
    if not row.accepting:
        return SessionState.CLOSING
    return SessionState.ACTIVE if row.started_ns else SessionState.PENDING


def _info_of(row: SessionRow, state: SessionState) -> SessionInfo:
    return SessionInfo(
        session_id=row.session_id,
        backend=row.backend,
        mode=row.mode,
        state=state,
        max_seconds=row.max_seconds,
        idle_seconds=row.idle_seconds,
        at_expiry=row.at_expiry,
        created_ns=row.created_ns,
        started_ns=row.started_ns,
        closed_ns=row.closed_ns,
        elapsed_seconds=row.elapsed,
        qpu_seconds=row.qpu_seconds,
        owner=row.owner,
    )
