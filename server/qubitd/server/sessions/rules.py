"""What may happen to a session, without clock or I/O: each step gives the session as it is afterwards.

A session's time runs from the start of its first job and ends after `max_seconds`. From the start of a job it has the
rack to itself for as long as jobs of it wait or run, and `idle_seconds` longer; after that others may run, and its next
job takes the rack again when its turn comes. Time is in seconds on a clock that never steps; what a session used before
the daemon was started last is kept as a number, so that the time in between does not count.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace

from qubitd.server.errors import SessionClosedError
from qubitd.server.scheduling.waiting import Window
from qubitd.wire.sessions import AtExpiry, SessionMode, SessionState

LEASE = 120.0
"""Seconds without a sign of its client after which a session that idles gives the rack back at once."""
UNUSED = 3600.0
"""Seconds without a sign of its client after which a session ends that never had a job run, and has none waiting."""


class Outcome(enum.Enum):
    """What is to become of a session's waiting jobs."""

    KEEP = "keep"
    REQUEUE = "requeue"
    """They wait with everybody's."""
    CANCEL = "cancel"
    """They end, save those that have started before: these wait with everybody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that has not ended."""

    session_id: str
    mode: SessionMode
    max_seconds: float
    """From the start of its first job."""
    idle_seconds: float
    """For which it keeps the rack without a job; a batch never does."""
    at_expiry: AtExpiry
    accepting: bool = True
    waiting: int = 0
    """Jobs that were submitted and have not started."""
    running: int = 0
    """Jobs that have started and not ended: 0 or 1."""
    holding: bool = False
    """The rack was given to it and it has not been seen to give it back; a batch never holds it."""
    used_before: float = 0.0
    """Seconds of its time that had passed before this process."""
    started: float | None = None
    """When its time began to run in this process, s; None before its first job."""
    active: float = -math.inf
    """When a job of it last ended or was submitted, s."""
    renewed: float = -math.inf
    """When its client was last heard of, s."""
    qpu_seconds: float = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether a job of it ever started."""
        return self.started is not None or self.used_before > 0

    @property
    def is_in_play(self) -> bool:
        """Whether the scheduler has to know of it."""
        return self.holding or self.waiting > 0 or self.running > 0

    @property
    def is_over(self) -> bool:
        """Whether nothing can happen to it any more."""
        return not self.accepting and self.waiting == 0 and self.running == 0

    @property
    def state(self) -> SessionState:
        """Where it stands."""
        if self.is_over:
            return SessionState.CLOSED
        if not self.accepting:
            return SessionState.CLOSING
        return SessionState.ACTIVE if self.has_begun else SessionState.PENDING

    def elapsed(self, now: float) -> float:
        """Give the seconds of its time that have passed."""
        return self.used_before + (0.0 if self.started is None else now - self.started)

    def expires(self) -> float:
        """Give when its time is over, s; infinite while its first job waits."""
        if self.started is not None:
            return self.started + self.max_seconds - self.used_before
        return math.inf if self.waiting else self.renewed + UNUSED

    def holds_until(self, now: float) -> float:
        """Give until when it has the rack to itself, as far as is known now; -inf if it does not have it."""
        if not self.holding or self.is_over:
            return -math.inf
        if self.waiting or self.running:
            return self.expires()
        patience = self.idle_seconds if now - self.renewed < LEASE else min(self.idle_seconds, LEASE)
        return min(self.expires(), self.active + patience)


def submitted(session: Session, now: float) -> Session:
    """A job was taken.

    Raises:
        SessionClosedError: it takes no more.
    """
    if not session.accepting:
        raise SessionClosedError(session_id=session.session_id)
    return replace(_as_held(session, now), waiting=session.waiting + 1, active=now, renewed=now)


def job_started(session: Session, now: float) -> Session:
    """A job of it has the rack."""
    started = now if session.started is None else session.started
    holding = session.mode is not SessionMode.BATCH
    return replace(session, waiting=session.waiting - 1, running=session.running + 1, started=started, holding=holding)


def job_put_back(session: Session) -> Session:
    """A running job waits again."""
    return replace(session, waiting=session.waiting + 1, running=session.running - 1)


def job_ended(session: Session, now: float, *, had_started: bool, qpu_seconds: float) -> Session:
    """A job of it ended, whether it ran or waited."""
    return replace(
        session,
        waiting=session.waiting - (not had_started),
        running=session.running - had_started,
        active=now,
        qpu_seconds=session.qpu_seconds + qpu_seconds,
    )


def renewed(session: Session, now: float) -> Session:
    """Its client is alive."""
    return replace(_as_held(session, now), renewed=now)


def resumed(session: Session, now: float, *, has_begun: bool) -> Session:
    """A new process has it: its time runs on, and it has its patience anew."""
    return replace(session, started=now if has_begun else None, active=now, renewed=now)


def closed(session: Session) -> Session:
    """It takes no new job; those that wait still run."""
    return replace(session, accepting=False)


def left(session: Session) -> Session:
    """A waiting job went to the common queue."""
    return replace(session, waiting=session.waiting - 1)


def window_of(session: Session, now: float, *, opened: int) -> Window:
    """Give a session as the scheduler sees it; `opened` is its place among the sessions."""
    is_batch = session.mode is SessionMode.BATCH
    return Window(
        session=session.session_id,
        opened=opened,
        needs=0.0 if is_batch else session.max_seconds - session.elapsed(now),
        holds_until=session.holds_until(now),
        patience=0.0 if is_batch or not session.accepting else session.idle_seconds,
    )


def look(session: Session, now: float) -> tuple[Session, Outcome]:
    """See whether its time is over, and what becomes of the jobs that wait; and whether it gave the rack back."""
    session = _as_held(session, now)
    if now < session.expires() or not (session.accepting or session.waiting):
        return session, Outcome.KEEP
    return closed(session), at_end(session.at_expiry)


def at_end(at_expiry: AtExpiry) -> Outcome:
    """Give what becomes of jobs that wait when their session's time is over."""
    return Outcome.CANCEL if at_expiry is AtExpiry.CANCEL else Outcome.REQUEUE


def next_look(session: Session, now: float) -> float:
    """Give when `look` or the right to the rack may change by time alone, s; now if its time is over already."""
    if session.accepting and session.expires() <= now:
        return now
    return min((at for at in (session.expires(), session.holds_until(now)) if at > now), default=math.inf)


def _as_held(session: Session, now: float) -> Session:
    """Once it gave the rack back, nothing but the start of a job gives it to it again: somebody else may have it."""
    return replace(session, holding=False) if session.holding and session.holds_until(now) <= now else session
