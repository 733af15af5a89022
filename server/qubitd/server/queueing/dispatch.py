"""Who runs next, for the engine: the scheduler with the sessions and slots as they are now, and what was learned of
how long jobs take. All of it in the event loop's thread.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

from qubitd.drivers.rack import TimeKind
from qubitd.server.clocks import Clocks
from qubitd.server.lab import LabSwitch
from qubitd.server.queueing.book import Entry
from qubitd.server.queueing.fair_share import FairShare
from qubitd.server.queueing.slots import SlotBook
from qubitd.server.scheduling.forecast import REHEARSED, Place, Stretch, places
from qubitd.server.scheduling.scheduler import Decision, Scheduler
from qubitd.server.scheduling.waiting import QueueClass, Waiting
from qubitd.server.sessions.book import SessionBook
from qubitd.server.telemetry.meters import Meters
from qubitd.wire.jobs import QueuePlace
from qubitd.wire.terms import Urgency

_LEARNING = 0.2
"""Weight of the newest job in what is expected of the next."""
_FRESH = 0.5
"""Seconds for which a forecast is told again instead of made anew."""
MOST_LEFT = 100
"""Times its run until now that a job may go on by its pace: a first chunk that is short tells little of the others."""
_NEWCOMER = ""
"""Id of a job that is none yet."""
_CLASSES = {
    Urgency.SAFETY: QueueClass.SAFETY,
    Urgency.NORMAL: QueueClass.NORMAL,
    Urgency.BACKGROUND: QueueClass.BACKGROUND,
}


@dataclass(slots=True, kw_only=True)
class Durations:
    """Seconds that a job holds the rack: its time on the instruments, where that is real, and what comes on top."""

    time: TimeKind
    overhead: float = 0.05
    """Seconds on top, as learned."""

    def expect(self, instrument_seconds: float) -> float:
        """Estimate a job."""
        return self.overhead + self.held(instrument_seconds)

    def held(self, instrument_seconds: float) -> float:
        """Give the seconds that shots hold the rack."""
        return instrument_seconds if self.time == "real" else 0.0

    def learn(self, seconds: float, instrument_seconds: float) -> None:
        """Take in how long a job took."""
        extra = seconds - self.held(instrument_seconds)
        self.overhead += _LEARNING * (max(extra, 0.0) - self.overhead)


@dataclass(slots=True, kw_only=True)
class _Running:
    entry: Entry
    queue_class: QueueClass
    started: float
    instrument_ns: int
    """That the job had taken before."""
    expected_end: float

    @property
    def end_by_its_pace(self) -> float:
        """When it ends if it goes on as until its last chunk, s; an emulator takes as long as it takes to compute."""
        played = self.entry.instrument_ns - self.instrument_ns
        if not played:
            return self.started
        left = max(0.0, self.entry.instrument_estimate * 1e9 - self.entry.instrument_ns)
        return self.entry.recorded + (self.entry.recorded - self.started) * min(left / played, MOST_LEFT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What was told first of a job that waits."""

    at: float
    """s on the steady clock."""
    rehearsed: float
    """Seconds until its start, as rehearsed."""
    start: float
    """As it was told, s on the steady clock."""


@dataclass(slots=True, kw_only=True)
class Dispatch:
    """Chooses, forecasts, and keeps the accounts."""

    clocks: Clocks
    sessions: SessionBook
    slots: SlotBook
    durations: Durations
    meters: Meters
    fair_share: FairShare
    lab: LabSwitch = field(default_factory=LabSwitch)
    """While it is closed, nobody can tell when a job starts."""
    scheduler: Scheduler = field(init=False)
    _running: _Running | None = None
    _places: dict[str, Place] = field(default_factory=dict[str, Place])
    _places_at: float = -math.inf
    _newcomers: dict[tuple[str, float], tuple[float, Place | None]] = field(
        default_factory=dict[tuple[str, float], tuple[float, Place | None]]
    )
    """When the place of a project's next job was told that takes so long, s on the steady clock, and the place."""
    _told: dict[str, _Told] = field(default_factory=dict[str, _Told])
    _stretch: Stretch = field(default_factory=Stretch)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(shares=self.fair_share.shares)

    def __len__(self) -> int:
        return len(self.scheduler.lanes)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self.scheduler.lanes

    @property
    def running(self) -> str:
        """Id of the job that has the rack; empty if none has."""
        return "" if self._running is None else self._running.entry.job_id

    def add(self, entry: Entry) -> None:
        """Let a job wait for the rack."""
        self.scheduler.lanes.add(self._waiting(entry))
        if len(self) <= REHEARSED:  # else it most likely stands behind all whose start is forecast
            self._outdate()

    def place_anew(self, entry: Entry) -> None:
        """Let a job that waits for the rack wait as it is now; one in the runner's hands, or another's, does not."""
        if entry.job_id in self:
            self.add(entry)

    def remove(self, job_id: str) -> None:
        """Let a job wait no longer."""
        self.scheduler.lanes.remove(job_id)
        self._outdate()

    def decide(self) -> Decision:
        """Choose the next job, and leave it in its place."""
        self._refresh()
        decision = self.scheduler.decide(self.clocks.steady())
        return Decision(job_id=decision.job_id, look_again=min(decision.look_again, self.sessions.next_look()))

    def gone(self, job_id: str) -> None:
        """A job ended."""
        self._told.pop(job_id, None)

    def started(self, entry: Entry) -> None:
        """A job has the rack."""
        now = self.clocks.steady()
        told = self._told.pop(entry.job_id, None)
        if told is not None:
            self.meters.note("forecast_error", abs(now - told.start))
            self._stretch.learn(rehearsed=told.rehearsed, waited=now - told.at)
        self.meters.note("wait", now - entry.since)
        self._running = _Running(
            entry=entry,
            queue_class=self._waiting(entry).queue_class,
            started=now,
            instrument_ns=entry.instrument_ns,
            expected_end=now + self._expected(entry),
        )

    def ended(self) -> None:
        """The job gave the rack back."""
        running = self._running
        if running is None:
            return
        now = self.clocks.steady()
        self._running = None
        instrument_seconds = (running.entry.instrument_ns - running.instrument_ns) * 1e-9
        self.durations.learn(now - running.started, instrument_seconds)
        self.fair_share.charge(running.entry.owner, now - running.started)
        self._outdate()

    def must_leave(self) -> bool:
        """Say whether the running job is to leave at its next chunk boundary for a more urgent one."""
        running = self._running
        if running is None:
            return False
        self._refresh()
        terms = running.entry.terms
        return self.scheduler.preempts(running.queue_class, terms.session_id, terms.slot_id, self.clocks.steady())

    def place(self, job_id: str) -> QueuePlace | None:
        """Say where a job stands; None if it is not queued."""
        if job_id not in self:
            return None
        self._forecast()
        place = self._places.get(job_id)
        if place is None:
            return QueuePlace(position=len(self._places), expected_start_ns=0)
        now = self.clocks.steady()
        ahead = (place.start - now) * self._stretch.factor
        if self.lab.is_open:
            self._told.setdefault(job_id, _Told(at=now, rehearsed=place.start - now, start=now + ahead))
        return self._in(ahead, position=place.position)

    def place_of_newcomer(self, owner: str, instrument_seconds: float) -> QueuePlace:
        """Say where a project's next normal job would stand, if it came now and took so long on the instruments."""
        now = self.clocks.steady()
        estimate = self.durations.expect(instrument_seconds)
        # In a long queue a place is told again whatever the job takes: a rehearsal holds everybody up.
        key = (owner, estimate if len(self) < REHEARSED else 0.0)
        at, place = self._newcomers.get(key, (-math.inf, None))
        if now - at >= _FRESH:
            place = self._rehearsed_with(owner, estimate, now)
            self._newcomers = {known: one for known, one in self._newcomers.items() if now - one[0] < _FRESH}
            self._newcomers[key] = (now, place)
        if place is None:
            return QueuePlace(position=len(self), expected_start_ns=0)
        return self._in((place.start - now) * self._stretch.factor, position=place.position)

    def _rehearsed_with(self, owner: str, estimate: float, now: float) -> Place | None:
        newcomer = Waiting(job_id=_NEWCOMER, accepted=sys.maxsize, project=owner, since=now, estimate=estimate)
        self.scheduler.lanes.add(newcomer)
        try:
            return self._rehearsed(now, last=_NEWCOMER).get(_NEWCOMER)
        finally:
            self.scheduler.lanes.remove(_NEWCOMER)

    def _outdate(self) -> None:
        self._places_at = -math.inf
        self._newcomers.clear()

    def _in(self, seconds: float, *, position: int) -> QueuePlace:
        start = self.clocks.wall() + round(seconds * 1e9) if self.lab.is_open else 0
        return QueuePlace(position=position, expected_start_ns=start)

    def _forecast(self) -> None:
        now = self.clocks.steady()
        if now - self._places_at >= _FRESH:
            self._places = self._rehearsed(now)
            self._places_at = now

    def _rehearsed(self, now: float, *, last: str | None = None) -> dict[str, Place]:
        self._refresh()
        running = self._running
        busy_until = now if running is None else max(now, running.expected_end, running.end_by_its_pace)
        session = running.entry.terms.session_id if running and running.queue_class is QueueClass.SESSION else ""
        return places(self.scheduler, now=now, busy_until=busy_until, running_session=session, last=last)

    def _expected(self, entry: Entry) -> float:
        """Seconds that a job will hold the rack: for what it has not run yet."""
        return self.durations.expect(max(0.0, entry.instrument_estimate - entry.instrument_ns * 1e-9))

    def _refresh(self) -> None:
        self.scheduler.windows = self.sessions.windows()
        self.scheduler.slots = self.slots.coming()

    def _waiting(self, entry: Entry) -> Waiting:
        terms = entry.terms
        queue_class = _CLASSES[terms.urgency]
        if terms.session_id and not entry.left_session:
            queue_class = QueueClass.SESSION
        elif terms.slot_id and self.slots.keeps(terms.slot_id):
            queue_class = QueueClass.CALIBRATION
        return Waiting(
            job_id=entry.job_id,
            accepted=entry.number,
            project=entry.owner,
            queue_class=queue_class,
            priority=terms.priority,
            since=entry.since,
            estimate=self._expected(entry),
            session=terms.session_id,
            slot=terms.slot_id,
        )
