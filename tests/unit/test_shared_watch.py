"""Who follows a job is fed until it has ended, and told when that cannot go on; nothing is kept open for nobody."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import cast

import pytest

from qubitd.client import DaemonFaultError, JobEvent, QubitdClient, StatusChange
from qubitd.client.addresses import parse_address
from qubitd.client.link import Link
from qubitd.client.sources import EventsOfSome
from qubitd.core.job import JobStatus
from qubitd.provider import shared_watch
from qubitd.provider.follower import Follower
from qubitd.v1 import jobs_pb2, jobs_pb2_grpc

PATIENCE = 30.0


class Feed:
    """Stands for a stream."""

    def __init__(self, after: Mapping[str, int]) -> None:
        self.after = after
        self.is_cancelled = False
        self._events: queue.Queue[JobEvent | None] = queue.Queue()

    def tell(self, job_id: str, sequence: int, status: JobStatus) -> None:
        self._events.put(JobEvent(sequence=sequence, time_ns=1, what=StatusChange(status=status), job_id=job_id))

    def __iter__(self) -> Iterator[JobEvent]:
        while not self.is_cancelled and (event := self._events.get(timeout=PATIENCE)) is not None:
            yield event

    def cancel(self) -> None:
        self.is_cancelled = True
        self._events.put(None)


class Client:
    """Stands for a client; what it was asked for is in `feeds`."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.feeds: queue.Queue[Feed] = queue.Queue()
        link = Link(parse_address("127.0.0.1:1"), token=None, patience=0.0, now=time.monotonic)
        self.wire = SimpleNamespace(link=link)

    def watch_some(self, after: Mapping[str, int], *, outcome: bool, stages: bool) -> Feed:
        assert outcome
        assert not stages
        if self._failures:
            raise self._failures.pop()
        feed = Feed(dict(after))
        self.feeds.put(feed)
        return feed

    def opened(self) -> Feed:
        return self.feeds.get(timeout=PATIENCE)


def followers(client: Client, *job_ids: str) -> list[Follower]:
    return [Follower(cast("QubitdClient", client), job_id) for job_id in job_ids]


def opened_for(client: Client, *job_ids: str) -> Feed:
    """Give the stream that is opened for just these jobs, after others that were cancelled."""
    while set((feed := client.opened()).after) != set(job_ids):
        assert feed.is_cancelled
    return feed


def test_a_failure_that_nobody_foresaw_is_told_and_the_next_who_asks_is_fed() -> None:
    client = Client(RuntimeError("cannot start new thread"))
    (one,) = followers(client, "a")
    with pytest.raises(DaemonFaultError, match="cannot start new thread"):
        one.status(0, PATIENCE)
    one.start()
    client.opened().tell("a", 1, JobStatus.DONE)
    assert one.status(0, PATIENCE) is not None


def test_the_stream_ends_when_only_those_who_left_have_not_ended() -> None:
    client = Client()
    long, short = followers(client, "long", "short")
    long.start()
    short.start()
    feed = opened_for(client, "long", "short")
    long.stop()
    feed.tell("long", 1, JobStatus.RUNNING)
    feed.tell("short", 1, JobStatus.DONE)
    assert short.status(0, PATIENCE) is not None
    assert not long.story.statuses
    long.start()
    assert opened_for(client, "long").after == {"long": 0}
    assert feed.is_cancelled
    long.stop()


def test_one_more_than_a_watch_may_have_waits_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_watch, "MAX_WATCHED", 2)
    client = Client()
    a, b, c, d = followers(client, "a", "b", "c", "d")
    a.start()
    b.start()
    feed = opened_for(client, "a", "b")
    c.start()
    d.start()
    assert not feed.is_cancelled
    b.stop()
    feed = opened_for(client, "a", "c")
    feed.tell("a", 1, JobStatus.DONE)
    feed = opened_for(client, "c", "d")
    for job_id in ("c", "d"):
        feed.tell(job_id, 1, JobStatus.DONE)
    assert d.status(0, PATIENCE) is not None


def test_an_event_that_names_no_job_moves_no_cursor() -> None:
    source = EventsOfSome(cast("jobs_pb2_grpc.JobsStub", None), {"a": 3})
    source.read(jobs_pb2.JobsWatchResponse(events=[jobs_pb2.JobEvent(sequence=9, log=jobs_pb2.LogLine(text="a"))]))
    assert source._last == {"a": 3}
