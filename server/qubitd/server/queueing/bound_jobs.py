"""Jobs that are bound to a session or a slot: how they join it, and what becomes of them when it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from qubitd.core.errors import InvalidInputError, Problem
from qubitd.core.job import JobStatus
from qubitd.core.ticks import seconds_text
from qubitd.server.jobs.lifecycle import Trigger
from qubitd.server.queueing.book import Entry, JobBook, Move
from qubitd.server.queueing.dispatch import Dispatch
from qubitd.server.revisions.calibrations import Calibrations
from qubitd.server.sessions.rules import Outcome
from qubitd.server.store.rows import NewJob
from qubitd.wire.terms import RevisionPolicy

_CANCELLED_AT_EXPIRY = Move(
    trigger=Trigger.CANCEL, message="cancelled, as was asked for, since its session's time was over before it ran"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoundJobs:
    """Those of one daemon."""

    book: JobBook
    dispatch: Dispatch
    calibrations: Calibrations
    wake: Callable[[], None]
    """Has the runner decide again."""

    def join(self, new: NewJob) -> NewJob:
        """Find what a new job names, and pin the calibration that it does not name; its session counts it from now on.

        Raises:
            UnknownSessionError, UnknownSlotError, UnknownRevisionError: it names what is not there.
            InvalidInputError: it names a session or slot of another backend, in which it would never run.
            SessionClosedError: its session takes no more jobs.
        """
        terms = new.terms
        if terms.slot_id:
            _check_own(new, "slot", self.dispatch.slots.find(terms.slot_id).backend)
        if terms.revision_policy is not RevisionPolicy.LATEST:
            revision = self.calibrations.snapshot(terms.revision).revision
            new = replace(new, terms=replace(terms, revision=revision))
        if terms.session_id:
            _check_own(new, "session", self.dispatch.sessions.info(terms.session_id, owner=new.owner).backend)
            self.dispatch.sessions.admit(terms.session_id, owner=new.owner)
        return new

    def withdraw(self, new: NewJob) -> None:
        """Take back a `join` whose job was not taken after all."""
        if new.terms.session_id:
            self.dispatch.sessions.withdraw(new.terms.session_id)

    def moved(self, entry: Entry, before: JobStatus) -> None:
        """Let a job's session know of its step."""
        session_id, seconds = entry.terms.session_id, entry.instrument_ns * 1e-9
        if session_id and not entry.left_session:
            self.dispatch.sessions.moved(session_id, before, entry.status, qpu_seconds=seconds)
            self.wake()

    def misfit(self, entry: Entry, instrument_seconds: float) -> InvalidInputError | None:
        """Say that a job takes longer than its whole session lasts; None if it does not, or has none."""
        session_id = entry.terms.session_id
        if not session_id or entry.left_session:
            return None
        most = self.dispatch.sessions.info(session_id, owner=entry.owner).max_seconds
        takes = self.dispatch.durations.held(instrument_seconds)
        if takes <= most:
            return None
        what = (
            f"lasts {seconds_text(most)} at most, and the job takes {seconds_text(takes)} on the instruments; "
            "open a longer session, split the job, or lower the shots"
        )
        return InvalidInputError([Problem(where=f"session {session_id}", what=what)])

    def left_behind(self, entry: Entry) -> Move | None:
        """Give the step of a job whose session was over before this process took it; None for one that waits on."""
        session_id = entry.terms.session_id
        outcome = self.dispatch.sessions.lost(session_id) if session_id else Outcome.KEEP
        if outcome is Outcome.CANCEL and entry.attempt == 0:
            return _CANCELLED_AT_EXPIRY
        entry.left_session = outcome is not Outcome.KEEP
        return None

    def tend(self) -> None:
        """Do with the jobs of sessions whose time is over what was asked for; let those of ended slots wait on."""
        for session_id, outcome in self.dispatch.sessions.expired():
            for entry in self.book.of_session(session_id):
                if entry.status is not JobStatus.RUNNING and not entry.left_session:
                    self._leave_session(entry, outcome)
        for slot_id in self.dispatch.slots.over():
            for entry in self.book.of_slot(slot_id):
                if entry.status is not JobStatus.RUNNING:
                    self.book.say(entry, "its slot is over: it waits with everybody's")
                    self.dispatch.place_anew(entry)

    def _leave_session(self, entry: Entry, outcome: Outcome) -> None:
        """End a job that waits for a session that is over, or let it wait with everybody's."""
        if outcome is Outcome.CANCEL and entry.attempt == 0:
            self.dispatch.remove(entry.job_id)
            self.book.move(entry, _CANCELLED_AT_EXPIRY)
            return
        self.dispatch.sessions.leave(entry.terms.session_id)
        entry.left_session = True
        self.book.say(entry, "its session is over: it waits with everybody's")
        self.dispatch.place_anew(entry)


def _check_own(new: NewJob, kind: str, backend: str) -> None:
    if backend != new.backend:
        what = f"is of backend {backend!r}, and the job is for {new.backend!r}; name a {kind} of its own, or none"
        raise InvalidInputError([Problem(where=f"{kind}_id", what=what)])
