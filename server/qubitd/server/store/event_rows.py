"""Events <-> rows. Two numbers count them, both never reused and in the order of the commits: the table's key, for the
daemons of a group, and one within the project, which is all that its people see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, assert_never

from qubitd.core.job import JobStatus
from qubitd.server.jobs.events import Dated
from qubitd.server.store.database import Database
from qubitd.wire.jobs import ExecutionSpan, Happening, JobEvent, LogLine, Progress, StageTime, StatusChange

Events = tuple[JobEvent, ...]
_Columns = tuple[str, str, str, int, int]
COLUMNS = "event.own, time_ns, kind, name, text, done, total"
NO_STAGES = " AND kind <> 'stage'"
FLOOR = "(SELECT coalesce(max(own), 0) FROM event_floor)"
"""Number within a project before its first: not 0 in a store that counted all projects' events together once."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Which job events are of: a row of `WHOSE`."""

    job: int
    """Its number."""
    owner: str
    session: int
    """Number of its session; 0 for none."""


WHOSE = "number, owner, coalesce((SELECT session.number FROM session WHERE session.id = job.session), 0)"


@dataclass(slots=True, kw_only=True, eq=False)
class _Project:
    number: int
    written: int
    """Events that its row counts."""
    events: int
    """Those and the ones that are not written yet."""


class EventWrites:
    """Appends events; lives in the writer's thread. Those of one commit are written together, and counted once."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection
        self._postpones = False
        self._rows: list[tuple[Any, ...]] = []
        self._projects: dict[str, _Project] = {}
        """By name, those that events were counted of since they were settled last."""

    def append(self, whose: Whose, events: Sequence[Dated]) -> Events:
        """Append events of a job, in the commit that is going on; gives them with their numbers within the project."""
        if not events:
            return ()
        project = self._counted(whose.owner, len(events))
        numbered = list(enumerate(events, start=project.events - len(events) + 1))
        self._rows += [
            (whose.job, project.number, whose.session, own, dated.time_ns, *_columns(dated.what))
            for own, dated in numbered
        ]
        if not self._postpones:
            self.settle()
        return tuple([JobEvent(sequence=own, time_ns=dated.time_ns, what=dated.what) for own, dated in numbered])

    def postpone(self) -> None:
        """Keep events from now on until they are settled."""
        self._postpones = True

    def settle(self) -> None:
        """Write the events that were kept: before anybody asks for them in the same commit."""
        if not self._rows:
            return
        self._connection.executemany(
            "INSERT INTO event (job, project, session, own, time_ns, kind, name, text, done, total)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._rows,
        )
        for project in self._projects.values():
            if project.events > project.written:
                self._connection.execute(
                    "UPDATE project SET events = ? WHERE number = ?", (project.events, project.number)
                )
        self.drop()

    def drop(self) -> None:
        """Forget the events that were kept, and how far the projects have come."""
        self._rows.clear()
        self._projects.clear()

    def _counted(self, owner: str, more: int) -> _Project:
        project = self._projects.get(owner)
        if project is not None:
            project.events += more
            return project
        number, events = self._connection.execute(
            f"INSERT INTO project (name, events) VALUES (?, ? + {FLOOR})"  # noqa: S608 (constant)
            " ON CONFLICT (name) DO UPDATE SET events = project.events + ? RETURNING number, events",
            (owner, more, more),
        ).fetchone()
        project = self._projects[owner] = _Project(number=number, written=events, events=events)
        return project


def event_of(row: Any) -> JobEvent:
    """Read a row of `COLUMNS`."""
    sequence, time_ns, kind, name, text, done, total = row
    return JobEvent(sequence=sequence, time_ns=time_ns, what=_happening(kind, time_ns, name, text, done, total))


def _columns(what: Happening) -> _Columns:
    match what:
        case StatusChange(status=status, message=message):
            return "status", status.value, message, 0, 0
        case StageTime(stage=stage):
            return "stage", stage, "", 0, 0
        case Progress(done=done, total=total, span=span):
            return "progress", "", _span_text(span), done, total
        case LogLine(text=text):
            return "log", "", text, 0, 0
    assert_never(what)


def _happening(kind: str, time_ns: int, name: str, text: str, done: int, total: int) -> Happening:
    if kind == "status":
        return StatusChange(status=JobStatus(name), message=text)
    if kind == "stage":
        return StageTime(stage=name, time_ns=time_ns)
    if kind == "progress":
        return Progress(done=done, total=total, span=_span_of(text))
    return LogLine(text=text)


def _span_text(span: ExecutionSpan | None) -> str:
    """Six numbers; nothing for none, as in rows that were written before there were any."""
    return "" if span is None else " ".join(map(str, astuple(span)))


def _span_of(text: str) -> ExecutionSpan | None:
    if not text:
        return None
    first_program, programs, first_shot, shots, began_ns, ended_ns = map(int, text.split())
    return ExecutionSpan(
        first_program=first_program,
        programs=programs,
        first_shot=first_shot,
        shots=shots,
        began_ns=began_ns,
        ended_ns=ended_ns,
    )
