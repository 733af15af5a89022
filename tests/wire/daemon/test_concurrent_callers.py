"""Many callers at once on the same few jobs: every history could have been written one call after the other.

A job only moves forward and its final state stands. Thus a history is linearisable exactly if no answer shows an
earlier state than an answer that was complete before it was asked for, a key names one job, and no list misses a job
that was told.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import pytest

from qubitd.v1 import jobs_pb2

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]

CALLERS = 8
CALLS = 200
"""Of each caller."""
KEYS = 40
ORDER = ("INITIALIZING", "VALIDATING", "QUEUED", "RUNNING")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One answer about one job."""

    asked: int
    """When, by a count that all callers share."""
    answered: int
    job_id: str
    status: str | None
    """None if the job is not in a list, empty if the answer says only that the job exists."""


@dataclass(slots=True)
class History:
    """What all callers saw."""

    clock: itertools.count[int] = field(default_factory=itertools.count)
    seen: list[Seen] = field(default_factory=list[Seen])
    ids: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """By key."""


def rank(status: str) -> int:
    return ("", *ORDER).index(status) if status in ("", *ORDER) else len(ORDER) + 1


def violations(history: Sequence[Seen]) -> list[tuple[Seen, Seen]]:
    """Give pairs of answers about one job that no order of the calls explains."""
    by_job: dict[str, list[Seen]] = {}
    for seen in history:
        by_job.setdefault(seen.job_id, []).append(seen)
    return [pair for answers in by_job.values() for pair in [*going_back(answers), *ending_twice(answers)]]


def going_back(answers: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Hold each answer against the furthest that was complete before it was asked for."""
    complete = sorted((seen for seen in answers if seen.status is not None), key=lambda seen: seen.answered)
    furthest: Seen | None = None
    reached = -1
    at = 0
    for seen in sorted(answers, key=lambda seen: seen.asked):
        while at < len(complete) and complete[at].answered < seen.asked:
            if (far := rank(complete[at].status or "")) > reached:
                furthest, reached = complete[at], far
            at += 1
        if furthest is not None and seen.status != "" and (seen.status is None or rank(seen.status) < reached):
            yield furthest, seen


def ending_twice(answers: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Hold each final state against the first that was told."""
    finals = [seen for seen in answers if seen.status and seen.status not in ORDER]
    yield from ((finals[0], seen) for seen in finals if seen.status != finals[0].status)


def name(status: jobs_pb2.Status.ValueType) -> str:
    return str(jobs_pb2.Status.Name(status)).removeprefix("STATUS_")


async def call_at_random(daemon: Any, history: History, requests: Sequence[jobs_pb2.SubmitRequest], seed: int) -> None:
    """Submit, cancel, ask and list, and let the rack run or hold it."""
    chance = random.Random(seed)
    for _ in range(CALLS):
        known = sorted(set().union(*history.ids.values()))
        what = chance.choice(("submit", "get", "get", "list", "cancel", "rack"))
        request = chance.choice(requests)
        job_id = chance.choice(known) if known else ""
        asked = next(history.clock)
        answers: dict[str, str | None] = {}
        if what == "submit":
            told = (await daemon.jobs.Submit(request)).job_id
            history.ids.setdefault(request.key, set()).add(told)
            answers[told] = ""
        elif what == "rack":
            (daemon.rack.gate.set if chance.random() < 0.5 else daemon.rack.gate.clear)()
        elif what == "list":
            page = await daemon.jobs.List(jobs_pb2.JobsListRequest(page_size=1000))
            answers = dict.fromkeys(known) | {job.job_id: name(job.status) for job in page.jobs}
        elif job_id and what == "get":
            answers[job_id] = name((await daemon.jobs.Get(jobs_pb2.JobsGetRequest(job_id=job_id))).job.status)
        elif job_id and chance.random() < 0.2:
            force = chance.random() < 0.5
            cancel = jobs_pb2.JobsCancelRequest(job_id=job_id, force=force)
            answers[job_id] = name((await daemon.jobs.Cancel(cancel)).status)
        answered = next(history.clock)
        history.seen += [
            Seen(asked=asked, answered=answered, job_id=which, status=status) for which, status in answers.items()
        ]


async def test_what_concurrent_callers_see_could_have_happened_one_call_after_the_other(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    history = History()
    requests = [request_of() for _ in range(KEYS)]
    async with serve(rack=shut_rack) as daemon:
        await asyncio.gather(*(call_at_random(daemon, history, requests, seed) for seed in range(CALLERS)))
        daemon.rack.gate.set()
        ends = {key: [(await daemon.statuses(job_id))[-1] for job_id in ids] for key, ids in history.ids.items()}
    assert all(len(statuses) == 1 for statuses in ends.values())
    assert len(set().union(*history.ids.values())) == len(ends) > KEYS / 2
    assert {status for statuses in ends.values() for status in statuses} == {"DONE", "CANCELLED"}
    assert violations(history.seen) == []


@pytest.mark.parametrize(("first", "second"), [("RUNNING", "QUEUED"), ("DONE", "CANCELLED"), ("", None)])
def test_the_checker_finds_a_history_that_goes_back(first: str, second: str | None) -> None:
    before = Seen(asked=0, answered=1, job_id="j", status=first)
    after = Seen(asked=2, answered=3, job_id="j", status=second)
    assert (before, after) in violations([before, after])
    if second != "CANCELLED":
        overlapping = Seen(asked=0, answered=3, job_id="j", status=second)
        assert violations([before, overlapping]) == []
