"""Many callers at once on the same few jobs: every history could have been written one call after the other.

A job only moves forward: through its states to one final state, and from there to being deleted. Each answer says
between which places of that way the job stood at some moment of the call. Thus a history is linearisable exactly if no
answer puts a job before where an answer that was complete earlier had seen it, if its final state is one, its key names
one job, and one caller alone deleted it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest

from qubitd.v1 import jobs_pb2

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]

CALLERS = 12
CALLS, MANY_CALLS = 250, 8_500
"""Of each caller."""
FRESH = 12
"""Keys that are spoken of at a time; the oldest makes room for a new one every few calls."""
CALLS_PER_KEY = 40
DEEDS = {"submit": 8, "get": 8, "list": 3, "cancel": 1, "delete": 3, "rack": 6}
"""And how often each is done."""
ALIVE = ("INITIALIZING", "VALIDATING", "QUEUED", "RUNNING")
FINAL, DELETED = len(ALIVE), len(ALIVE) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One answer about one job."""

    asked: int
    """When, by a count that all callers share."""
    answered: int
    job_id: str
    least: int = 0
    """Where on its way the job stood at the least when this was done, at some moment between the two."""
    most: int = DELETED
    """Where it stood at the most just before that."""
    status: str = ""
    """The state that was told, if one was."""
    is_delete: bool = False
    """Whether this call deleted it."""


@dataclass(slots=True)
class History:
    """What all callers saw."""

    clock: itertools.count[int] = field(default_factory=itertools.count)
    seen: list[Seen] = field(default_factory=list[Seen])
    ids: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """By key."""
    calls: Counter[str] = field(default_factory=Counter[str])
    """By what was asked and what was answered."""

    def fresh(self) -> list[str]:
        """Give the ids that belong to the newest keys."""
        return sorted(set().union(*list(self.ids.values())[-FRESH:]))


def place(status: str) -> int:
    return ALIVE.index(status) if status in ALIVE else FINAL


def violations(history: Sequence[Seen]) -> list[tuple[Seen, Seen]]:
    """Give pairs of answers about one job that no order of the calls explains."""
    by_job: dict[str, list[Seen]] = {}
    for seen in history:
        by_job.setdefault(seen.job_id, []).append(seen)
    return [pair for answers in by_job.values() for pair in [*going_back(answers), *ending_twice(answers)]]


def going_back(answers: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Hold each answer against the furthest that was complete before it was asked for."""
    complete = sorted(answers, key=lambda seen: seen.answered)
    furthest: Seen | None = None
    at = 0
    for seen in sorted(answers, key=lambda seen: seen.asked):
        while at < len(complete) and complete[at].answered < seen.asked:
            if furthest is None or complete[at].least > furthest.least:
                furthest = complete[at]
            at += 1
        if furthest is not None and seen.most < furthest.least:
            yield furthest, seen


def ending_twice(answers: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Hold each final state against the first that was told, and each deletion against the first."""
    finals = [seen for seen in answers if seen.status and seen.status not in ALIVE]
    yield from ((finals[0], seen) for seen in finals if seen.status != finals[0].status)
    deletes = [seen for seen in answers if seen.is_delete]
    yield from ((deletes[0], seen) for seen in deletes[1:])


def name(status: jobs_pb2.Status.ValueType) -> str:
    return str(jobs_pb2.Status.Name(status)).removeprefix("STATUS_")


def told(status: jobs_pb2.Status.ValueType) -> dict[str, Any]:
    where = place(name(status))
    return {"least": where, "most": where, "status": name(status)}


class Caller:
    """Calls at random, and lets the rack run or hold it."""

    def __init__(self, daemon: Any, history: History, request_of: MakeRequest, seed: int) -> None:
        self.daemon = daemon
        self.history = history
        self.request_of = request_of
        self.chance = random.Random(seed)

    async def call(self) -> None:
        """Do one thing and note what was answered."""
        what = self.chance.choices(list(DEEDS), list(DEEDS.values()))[0]
        known = self.history.fresh()
        job_id = self.chance.choice(known) if known else ""
        asked = next(self.history.clock)
        answers: dict[str, dict[str, Any]] = {}
        if what == "submit":
            answers = await self.submit(asked)
        elif what == "rack":
            rack = self.daemon.rack
            (rack.gate.set if self.chance.random() < 0.3 else rack.gate.clear)()
        elif what == "list":
            page = await self.daemon.jobs.List(jobs_pb2.JobsListRequest(page_size=100))
            answers = {each: {"least": DELETED} for each in known}
            answers |= {job.job_id: told(job.status) for job in page.jobs if job.job_id in answers}
        elif job_id:
            answers[job_id] = await self.about(what, job_id)
        answered = next(self.history.clock)
        self.history.seen += [Seen(asked=asked, answered=answered, job_id=j, **said) for j, said in answers.items()]

    async def submit(self, asked: int) -> dict[str, dict[str, Any]]:
        """Send a new key, or one that others send too."""
        keys = list(self.history.ids)[-FRESH:]
        is_new = not keys or asked // CALLS_PER_KEY > len(self.history.ids)
        key = f"key {len(self.history.ids)}" if is_new else self.chance.choice(keys)
        request = self.request_of(key=key)
        ids = self.history.ids.setdefault(key, set())
        ids.add((await self.daemon.jobs.Submit(request)).job_id)
        return {job_id: {} for job_id in ids}

    async def about(self, what: str, job_id: str) -> dict[str, Any]:
        """Ask about a job, cancel or delete it, and say where that puts it."""
        try:
            match what:
                case "get":
                    said = told((await self.daemon.jobs.Get(jobs_pb2.JobsGetRequest(job_id=job_id))).job.status)
                case "cancel":
                    force = self.chance.random() < 0.5
                    cancel = jobs_pb2.JobsCancelRequest(job_id=job_id, force=force)
                    said = told((await self.daemon.jobs.Cancel(cancel)).status)
                case _:
                    await self.daemon.jobs.Delete(jobs_pb2.JobsDeleteRequest(job_id=job_id))
                    said = {"least": DELETED, "most": FINAL, "is_delete": True}
        except grpc.aio.AioRpcError as error:
            self.history.calls[f"{what} {error.code().name}"] += 1
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return {"least": DELETED}
            if (what, error.code()) != ("delete", grpc.StatusCode.FAILED_PRECONDITION):
                raise
            return {"most": FINAL - 1}
        self.history.calls[f"{what} {said.get('status', 'OK')}"] += 1
        return said


@pytest.mark.timeout(900)
async def test_what_concurrent_callers_see_could_have_happened_one_call_after_the_other(
    serve: Serve, shut_rack: Any, request_of: MakeRequest, soak: bool
) -> None:
    history = History()
    async with serve(rack=shut_rack) as daemon:

        async def many_calls(seed: int) -> None:
            caller = Caller(daemon, history, request_of, seed)
            for _ in range(MANY_CALLS if soak else CALLS):
                await caller.call()

        await asyncio.gather(*map(many_calls, range(CALLERS)))
        daemon.rack.gate.set()
    assert all(len(ids) == 1 for ids in history.ids.values())
    assert violations(history.seen) == []
    assert_busy(history)


def assert_busy(history: History) -> None:
    """Callers met each other at jobs that were alive, and saw every kind of answer."""
    calls = history.calls
    answers = {"get": ("QUEUED", "DONE", "CANCELLED", "NOT_FOUND"), "cancel": ("CANCELLED", "NOT_FOUND")}
    answers |= {"delete": ("OK", "NOT_FOUND", "FAILED_PRECONDITION")}
    assert [(what, answer) for what, told in answers.items() for answer in told if not calls[f"{what} {answer}"]] == []
    assert sum(seen.status in ALIVE for seen in history.seen) > 50
    last: dict[str, int] = {}
    overlapping = 0
    for seen in sorted(history.seen, key=lambda seen: seen.asked):
        overlapping += seen.asked < last.get(seen.job_id, -1)
        last[seen.job_id] = max(seen.answered, last.get(seen.job_id, -1))
    assert overlapping > len(history.seen) / 10


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"least": 3, "most": 3}, {"least": 2, "most": 2}),
        ({"least": FINAL, "most": FINAL}, {"most": FINAL - 1}),
        ({"least": DELETED}, {"least": FINAL, "most": FINAL}),
        ({"least": DELETED, "most": FINAL, "is_delete": True}, {"least": FINAL, "most": FINAL}),
    ],
    ids=["running, then queued", "ended, then too early to delete", "not found, then done", "deleted, then done"],
)
def test_the_checker_finds_a_history_that_goes_back(first: dict[str, Any], second: dict[str, Any]) -> None:
    before = Seen(asked=0, answered=1, job_id="j", **first)
    after = Seen(asked=2, answered=3, job_id="j", **second)
    assert violations([before, after]) == [(before, after)]
    assert violations([before, Seen(asked=0, answered=3, job_id="j", **second)]) == []


def test_the_checker_finds_two_ends_and_two_deletions() -> None:
    done, cancelled = (
        Seen(asked=0, answered=1, job_id="j", least=FINAL, most=FINAL, status=status)
        for status in ("DONE", "CANCELLED")
    )
    assert violations([done, cancelled]) == [(done, cancelled)]
    one, two = (Seen(asked=at, answered=2, job_id="j", least=DELETED, most=FINAL, is_delete=True) for at in (0, 1))
    assert violations([one, two]) == [(one, two)]
