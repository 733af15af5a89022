"""The daemon's heart: takes jobs, validates them, runs them, ends them when it is told to. All in one event loop."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.plan import JobPlan
from qubitd.server.auth.identity import LOCAL
from qubitd.server.errors import DiskFullError, DrainingError, LabClosedError
from qubitd.server.failpoints import failpoint
from qubitd.server.front.admission import check_limits
from qubitd.server.front.quotas import QuotaBook
from qubitd.server.instruments.rack import RackThread
from qubitd.server.jobs.lifecycle import Trigger
from qubitd.server.jobs.limits import limits_of
from qubitd.server.lab import LabSwitch
from qubitd.server.lab_desk import LabDesk
from qubitd.server.membership import Member
from qubitd.server.persistence import durable, settled, to_the_end
from qubitd.server.queueing.book import Entry, JobBook, Move
from qubitd.server.queueing.bound_jobs import BoundJobs
from qubitd.server.queueing.dispatch import Dispatch
from qubitd.server.queueing.recovery import interrupted
from qubitd.server.revisions.calibrations import Calibrations
from qubitd.server.running.job_run import CANCELLED
from qubitd.server.running.runner import Runner
from qubitd.server.running.validator import Validator
from qubitd.server.running.workshop import Workshop
from qubitd.server.store.group_jobs import Held
from qubitd.server.store.rows import NewJob
from qubitd.server.store.store import Store
from qubitd.server.telemetry.meters import Meters
from qubitd.server.telemetry.supervisor import Supervisor
from qubitd.v1 import jobs_pb2
from qubitd.wire.parsing import parse
from qubitd.wire.sessions import SessionInfo
from qubitd.wire.specs import decode_spec
from qubitd.wire.terms import RevisionPolicy

_log = logging.getLogger(__name__)
DRAIN_SECONDS = 25.0
"""How long the running chunk may take to end when the daemon is told to stop."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What an engine is made of."""

    store: Store
    book: JobBook
    calibrations: Calibrations
    workshop: Workshop
    rack: RackThread
    dispatch: Dispatch
    meters: Meters
    supervisor: Supervisor
    quotas: QuotaBook
    is_alone: bool = True
    """Whether no other daemon works on the store: then every job in it is this one's to keep."""


class Engine:
    """Jobs from their acceptance to their end."""

    def __init__(self, parts: Parts) -> None:
        self._meters = parts.meters
        self._quotas = parts.quotas
        self._is_alone = parts.is_alone
        self._store = parts.store
        self._book = parts.book
        self._calibrations = parts.calibrations
        self._workshop = parts.workshop
        self._rack = parts.rack
        self._dispatch = parts.dispatch
        self._sessions = parts.dispatch.sessions
        self.lab = parts.dispatch.lab
        self._is_draining = False
        self._entering = 0
        self._book.on_move = self._moved
        self._bound = BoundJobs(
            book=parts.book, dispatch=parts.dispatch, calibrations=parts.calibrations, wake=self.wake
        )
        self._validator = Validator(
            book=parts.book,
            workshop=parts.workshop,
            calibrations=parts.calibrations,
            misfit=self._bound.misfit,
            on_queued=self._enqueue,
        )
        self._runner = Runner(
            store=parts.store,
            book=parts.book,
            dispatch=parts.dispatch,
            lab=self.lab,
            tend=self._bound.tend,
            workshop=parts.workshop,
            calibrations=parts.calibrations,
            rack=parts.rack,
            validator=self._validator,
            misfit=self._bound.misfit,
            meters=parts.meters,
            turned=parts.supervisor.turned,
        )
        self.desk = LabDesk(
            switch=self.lab,
            backend=self._backend,
            store=parts.store,
            rack=parts.rack,
            runner=self._runner,
            wall=parts.dispatch.clocks.wall,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def recover(self) -> None:
        """Decide about an earlier process's jobs; durable on return. Those of another backend wait for it, or are its
        own daemon's.
        """
        failpoint("recovery.begun")
        self.desk.restore()
        alive = self._store.jobs.alive(None if self._is_alone else self._backend)
        entries = self._book.take_over(alive)
        for job in alive:
            self._quotas.keep(job.owner, job.job_id, job.size)
        self._dispatch.slots.load()
        self._sessions.load([(entry.terms.session_id, entry.status) for entry in entries])
        writes = []
        for job, entry in zip(alive, entries, strict=True):
            move = self._bound.left_behind(entry) or self._interrupted(entry)
            if move is not None:
                writes.append(self._book.move(entry, move))
            if entry.status.is_final:
                continue
            if job.backend != self._backend:
                _log.warning("a job waits for a backend that is not served", extra={"job": job.job_id})
            else:
                self._let_wait(entry)
        await asyncio.gather(*writes)
        failpoint("recovery.done")
        _log.info("recovered", extra={"waiting": len(entries) - len(writes), "interrupted": len(writes)})

    def start(self) -> list[asyncio.Task[None]]:
        """Begin to validate and run; the tasks end only by `drain` or by a mistake of ours."""
        self._tasks = [
            asyncio.create_task(self._validator.serve(), name="validator"),
            asyncio.create_task(self._runner.serve(), name="runner"),
        ]
        return self._tasks

    def knows(self, job_id: str) -> bool:
        """Whether a job is this daemon's and has not ended."""
        return self._book.find(job_id) is not None

    def adopt(self, job_id: str) -> None:
        """Let a job wait that another daemon took for this one; nothing happens if it waits already, or has ended."""
        if self.knows(job_id) or self._is_draining:
            return
        job = self._store.group_jobs.find(job_id, backend=self._backend)
        if job is not None:
            self._quotas.keep(job.owner, job.job_id, job.size)
            for entry in self._book.take_over([job]):
                self._book.announce_job(entry.job_id, entry.owner)
                move = self._bound.left_behind(entry)
                if move is None:
                    self._let_wait(entry)
                else:
                    self._book.move(entry, move)

    async def can_run(self, job_id: str) -> bool:
        """Say whether a job could run here, within the limits and under the calibration that is in force."""
        looked_at = await settled(self._look_at(job_id))
        error = looked_at.exception()
        if error is not None:
            _log.info("a job stays where it is", extra={"job": job_id, "cause": str(error) or repr(error)})
        return error is None

    async def submit(self, new: NewJob, *, to: Member | None = None) -> str:
        """Take a job; it is durable on return. Gives its id.

        Args:
            new: the job.
            to: the daemon whose it is; None for this one's own.

        Raises:
            DrainingError: the daemon stops.
            LabClosedError: an operator lets nothing in.
            DiskFullError: there is no room for it and its result.
            QuotaExceededError: its project has enough waiting, or sends too fast.
            KeyReusedError: the key stands for other content.
            UnknownSessionError, UnknownSlotError, UnknownRevisionError: it names what is not there.
            SessionClosedError: its session takes no more jobs.
        """
        self._check_taking(new, self._lab_of(to))
        if new.owner == LOCAL.project or not self._store.jobs.is_known(owner=new.owner, key=new.key):
            now, elsewhere = self._dispatch.clocks.steady(), self._held_elsewhere(new.owner)
            self._quotas.take(new.owner, new.job_id, len(new.spec), at=now, elsewhere=elsewhere)
        return await to_the_end(self._take(new) if to is None else self._pass_on(new))

    def _check_taking(self, new: NewJob, lab: LabSwitch) -> None:
        """Make sure that a job may be taken; one that was taken before always may."""
        self.check_serving()
        try:
            lab.check_open()
            self._store.check_room(len(new.spec) + new.result_bytes)
        except (LabClosedError, DiskFullError):
            if not self._store.jobs.is_known(owner=new.owner, key=new.key):
                raise

    def check_serving(self) -> None:
        """Make sure that the daemon does not stop.

        Raises:
            DrainingError: it does.
        """
        if self._is_draining:
            raise DrainingError

    async def cancel(self, *, owner: str, job_id: str, force: bool = False) -> JobStatus:
        """End a job, or have it end at its next chunk boundary, within a second; durable on return. Gives its state.

        Args:
            owner: whose job.
            job_id: its id.
            force: whether the chunk that runs is broken off at once.

        Raises:
            UnknownJobError: the owner has no such job.
        """
        status = self._store.jobs.get(owner=owner, job_id=job_id).status
        entry = self._book.find(job_id)
        if entry is None:
            return status
        await self._cancel(entry, force=force)
        # What others can read: a job that ends meanwhile is over here before that is durable.
        return self._store.jobs.get(owner=owner, job_id=job_id).status

    async def cancel_known(self, job_id: str, *, force: bool) -> None:
        """End a job that another daemon was asked to end; nothing happens if it has ended."""
        entry = self._book.find(job_id)
        if entry is not None:
            await self._cancel(entry, force=force)

    async def cancel_session(self, *, owner: str, session_id: str) -> SessionInfo:
        """Close a session and end its jobs; durable on return.

        Raises:
            UnknownSessionError: the owner has no such session.
        """
        await self._sessions.close(session_id, owner=owner)
        entries = self._book.of_session(session_id)
        await asyncio.gather(*(self._cancel(entry, force=False) for entry in entries))
        return self._sessions.info(session_id, owner=owner)

    def note(self, what: str, *, by: str) -> None:
        """Have the audit log say who asks for what is done next; durable no later than that."""
        now = self._dispatch.clocks.wall()
        self._store.write(lambda w: w.audit.append(time_ns=now, who=by, what=what), hurried=False)

    def wake(self) -> None:
        """Decide again: sessions or slots changed."""
        self._runner.wake()

    async def explain(self, spec: JobSpec, *, owner: str, wants_expected: bool) -> JobPlan:
        """Compile without queueing and say what the job would take, and what it would give if that is wanted.

        Args:
            spec: the job.
            owner: the project that it would be of.
            wants_expected: whether it is simulated.

        Raises:
            QubitdError: the job cannot run.
        """
        plan = await self._workshop.explain(spec, self._calibrations.current, wants_expected=wants_expected)
        place = self._dispatch.place_of_newcomer(owner, plan.instrument_seconds)
        return replace(plan, queue_length=place.position, expected_start_ns=place.expected_start_ns)

    async def delete(self, *, owner: str, job_id: str, by: str) -> None:
        """Remove an ended job's content.

        Raises:
            UnknownJobError: the owner has no such job.
            NotEndedError: it has not ended.
        """
        await to_the_end(self._book.delete(owner=owner, job_id=job_id, by=by))

    def refuse_new(self) -> None:
        """Take nothing more, and start no further chunk. Jobs that wait stay in the store."""
        self._is_draining = True
        failpoint("drain.begun")
        self._rack.give_up()
        self._runner.drain()

    async def drain(self) -> None:
        """Let the running chunk end, or break it off after `DRAIN_SECONDS`, and stop; after `refuse_new`."""
        validator, runner = self._tasks
        validator.cancel()
        _, late = await asyncio.wait([runner], timeout=DRAIN_SECONDS)
        for task in late:
            _log.warning("the running chunk does not end; breaking it off", extra={"seconds": DRAIN_SECONDS})
            self._rack.end_runs()
            task.cancel()
        await asyncio.gather(validator, runner, return_exceptions=True)
        failpoint("drain.done")

    @property
    def is_open(self) -> bool:
        """Whether jobs run, or could."""
        return self.lab.is_open and self._rack.is_operational and not self._is_draining

    @property
    def revision(self) -> int:
        """The calibration in force."""
        return self._calibrations.current.revision

    @property
    def _backend(self) -> str:
        return self._calibrations.device.name

    def _interrupted(self, entry: Entry) -> Move | None:
        if entry.status is not JobStatus.RUNNING:
            return None
        kept, before = self._store.jobs.chunks(entry.number), self._store.jobs.interruptions(entry.number)
        return interrupted(entry, kept, before=before)

    def _lab_of(self, member: Member | None) -> LabSwitch:
        """Give the switch of another daemon's lab, as that one told it last; None stands for this one."""
        return self.lab if member is None else LabSwitch(state=member.notice.lab, reason=member.notice.lab_reason)

    async def _look_at(self, job_id: str) -> None:
        digest, limits = self._store.jobs.spec_digest(job_id), limits_of(self._calibrations.device)

        def check() -> None:
            check_limits(decode_spec(parse(jobs_pb2.JobSpec, self._store.blob(digest))), limits)

        await self._workshop.for_waiting(check)
        await self._workshop.validate(job_id, self._calibrations.current)

    def _held_elsewhere(self, owner: str) -> Held:
        if self._is_alone or owner == LOCAL.project:
            return Held()
        return self._store.group_jobs.held(owner=owner, besides=self._backend)

    async def _pass_on(self, new: NewJob) -> str:
        """Take a job for the daemon whose it is; from then on the store counts it."""
        try:
            accepted = await durable(self._store.write(lambda w: w.group_jobs.accept(new)))
            failpoint("job.passed")
        finally:
            self._quotas.give_back(new.owner, new.job_id)
        self._book.announce_job(accepted.job_id, new.owner)
        return accepted.job_id

    async def _take(self, new: NewJob) -> str:
        """Goes on when the caller is gone: a job that is in the store must be in the book."""
        taken = False
        try:
            job_id = await self._enter(new)
            taken = job_id == new.job_id
            return job_id
        finally:
            if not taken:
                self._quotas.give_back(new.owner, new.job_id)

    async def _enter(self, new: NewJob) -> str:
        self._entering += 1  # those that go at once as well: one may be over before the store knows of it
        try:
            return await (self._enter_at_once(new) if await self._can_start_at_once(new) else self._enter_new(new))
        finally:
            self._entering -= 1

    async def _can_start_at_once(self, new: NewJob) -> bool:
        """Whether there is no other job, and of this one, new as it is, everything is known, or could be found out."""
        if not self._is_alone_with(new):
            return False
        if self._workshop.toolchain.knows(new.spec, self._calibrations.current):
            return True
        is_known = await self._workshop.knows(new.spec, new.programs, self._calibrations.current)
        # While it was compiled the lab may have been closed, or others have come, the same job among them, or another
        # calibration.
        self._check_taking(new, self.lab)
        is_alone = is_known and self._is_alone_with(new)
        return is_alone and self._workshop.toolchain.knows(new.spec, self._calibrations.current)

    def _is_alone_with(self, new: NewJob) -> bool:
        is_free = self._is_alone and self.is_open and self._book.is_empty and self._entering == 1
        return is_free and not (new.terms.is_bound or self._store.jobs.is_known(owner=new.owner, key=new.key))

    async def _enter_at_once(self, new: NewJob) -> str:
        """Take a job and let it go on at once: acceptance, states and first attempt become durable in one commit."""
        entry, accepted = self._book.take_in_passing(new)
        self._workshop.bring(entry.job_id, new.spec)
        await self._validator.validate(entry)
        entry.number = (await accepted).number
        failpoint("job.accepted")
        self._dispatch.place_anew(entry)
        return entry.job_id

    async def _enter_new(self, new: NewJob) -> str:
        has_joined = new.terms.is_bound and not self._store.jobs.is_known(owner=new.owner, key=new.key)
        if has_joined:
            new = self._bound.join(new)
        if new.terms.revision_policy is RevisionPolicy.LATEST:
            self._workshop.begin(new.spec, new.programs, self._calibrations.current)
        entry = None
        try:
            accepted, entry = await self._book.accept(new)
        finally:
            if entry is None and has_joined:
                self._bound.withdraw(new)
        if entry is not None:
            self._workshop.bring(entry.job_id, new.spec)
            self._validator.add(entry)
        return accepted.job_id

    async def _cancel(self, entry: Entry, *, force: bool) -> None:
        if entry.lifecycle.allows(Trigger.CANCEL):
            self._dispatch.remove(entry.job_id)
            await self._book.move(entry, Move(trigger=Trigger.CANCEL, message="cancelled by its owner before it ran"))
            return
        noted = self._book.note_cancel(entry)
        break_off = self._runner.break_off if force else self._runner.break_off_later
        break_off(Move(trigger=Trigger.STOP, message=CANCELLED), job_id=entry.job_id)
        await noted

    def _let_wait(self, entry: Entry) -> None:
        if entry.status is JobStatus.QUEUED:
            self._enqueue(entry)
        else:
            self._validator.add(entry)

    def _enqueue(self, entry: Entry) -> None:
        self._dispatch.add(entry)
        self._runner.wake()

    def _moved(self, entry: Entry, before: JobStatus) -> None:
        """Keep the accounts of sessions and shares."""
        self._bound.moved(entry, before)
        if entry.status.is_final:
            failpoint("job.ending")
            self._validator.forgo(entry.job_id)
            self._meters.count("jobs", entry.status.value)
            self._dispatch.gone(entry.job_id)
            self._quotas.give_back(entry.owner, entry.job_id)
        if entry.status is JobStatus.RUNNING:
            self._dispatch.started(entry)
        elif before is JobStatus.RUNNING:
            self._dispatch.ended()
