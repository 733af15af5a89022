"""A watch that tells nothing for a while says where it stands, whatever it watches, and however often it is woken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio
import pytest

from qubitd.client import Bookmark, JobEvent, StatusChange
from qubitd.core.job import JobStatus
from qubitd.server.queueing import dispatch
from qubitd.server.queueing.book import jobs_of
from qubitd.server.watching import silence
from qubitd.server.watching.announcer import Announcer
from qubitd.server.watching.silence import PERIOD, Silence
from qubitd.v1 import backends_pb2, calibrations_pb2, jobs_pb2
from qubitd.wire.backends import decode_backend
from qubitd.wire.jobs import decode_events

Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is short, and no start is forecast, which would be told anew each time that a watch looks."""
    monkeypatch.setattr(silence, "PERIOD", 0.05)
    monkeypatch.setattr(dispatch, "places", lambda *_, **__: {})


async def following(watch: Any) -> list[JobEvent]:
    """Give the events of the next message."""
    async with asyncio.timeout(30):
        return list(decode_events(await watch.read()))


async def up_to_running(watch: Any) -> list[JobEvent]:
    told: list[JobEvent] = []
    while not any(isinstance(e.what, StatusChange) and e.what.status is JobStatus.RUNNING for e in told):
        told += await following(watch)
    return told


async def bookmark_of(watch: Any) -> JobEvent:
    """Read on to the next bookmark."""
    while True:
        for event in await following(watch):
            if isinstance(event.what, Bookmark):
                return event


async def to_the_end(watch: Any) -> list[JobEvent]:
    """Read on to the end of the job, without bookmarks."""
    told: list[JobEvent] = []
    while not any(isinstance(e.what, StatusChange) and e.what.status.is_final for e in told):
        told += [event for event in await following(watch) if not isinstance(event.what, Bookmark)]
    return told


def test_a_silence_begins_anew_with_every_word() -> None:
    clock = [5.0]
    quiet = Silence(lambda: clock[0])
    clock[0] += PERIOD / 2
    assert quiet.left == PERIOD / 2
    quiet.end()
    assert quiet.left == PERIOD == 10
    clock[0] += PERIOD + 1
    assert quiet.left == 0


@pytest.mark.usefixtures("soon")
async def test_a_watch_of_one_job_that_is_quiet_tells_where_it_stands(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        job_id = await daemon.submit(request_of())
        watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id))
        told = await up_to_running(watch)
        first, second = await bookmark_of(watch), await bookmark_of(watch)
        assert first.sequence == second.sequence >= told[-1].sequence
        resumed = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id, after_sequence=second.sequence))
        shut_rack.gate.set()
        rest, again = await to_the_end(watch), await to_the_end(resumed)
    assert rest == again
    assert isinstance(rest[-1].what, StatusChange)


@pytest.mark.usefixtures("soon")
async def test_a_watch_of_several_jobs_tells_it_of_one_of_them(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        jobs = [await daemon.submit(request_of(key=key)) for key in "ab"]
        cursors = [jobs_pb2.JobCursor(job_id=job_id) for job_id in jobs]
        watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(jobs=cursors))
        last: dict[str, int] = {}
        while True:
            (*_, event) = await following(watch)
            if isinstance(event.what, Bookmark):
                break
            last[event.job_id] = event.sequence
        watch.cancel()
    assert event.job_id in jobs
    assert event.sequence == last[event.job_id]


@pytest.mark.usefixtures("soon")
async def test_a_watch_of_many_jobs_tells_it_though_others_wake_it_all_the_time(
    serve: Serve, shut_rack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    announcers: list[Announcer] = []
    begin = Announcer.__init__

    def made(announcer: Announcer) -> None:
        begin(announcer)
        announcers.append(announcer)

    monkeypatch.setattr(Announcer, "__init__", made)
    async with serve(rack=shut_rack) as daemon:
        watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(backend="line5"))
        first = await bookmark_of(watch)

        async def wake() -> None:
            while True:
                announcers[0].announce(jobs_of("local"))
                await asyncio.sleep(0)

        waking = asyncio.create_task(wake())
        second = await bookmark_of(watch)
        waking.cancel()
        watch.cancel()
    assert first.sequence == second.sequence


@pytest.mark.usefixtures("soon")
async def test_watches_of_a_backend_and_of_its_calibration_tell_where_they_stand_and_go_on_from_there(
    serve: Serve, shut_rack: Any
) -> None:
    async with serve(rack=shut_rack) as daemon:
        of_backend = daemon.backends.Watch(backends_pb2.BackendsWatchRequest(name="line5"))
        of_calibration = daemon.calibrations.Watch(calibrations_pb2.CalibrationsWatchRequest(backend="line5"))
        async with asyncio.timeout(30):
            told = [await of_backend.read() for _ in range(3)]
            revisions = [await of_calibration.read() for _ in range(3)]
        assert [(one.backend.revision, one.bookmark) for one in told] == [(1, 0), (1, 1), (1, 1)]
        assert [decode_backend(one.backend) for one in told[1:]] == [
            decode_backend(told[0].backend)
        ] * 2  # of old clients
        assert [(one.revision.revision, one.bookmark) for one in revisions] == [(1, 0), (0, 1), (0, 1)]
        of_backend.cancel()
        of_calibration.cancel()
        for _ in range(2):
            await daemon.calibrations.Rollback(calibrations_pb2.RollbackRequest(backend="line5", to_revision=1))
        request = calibrations_pb2.CalibrationsWatchRequest(backend="line5", after_revision=revisions[-1].bookmark)
        again = daemon.calibrations.Watch(request)
        async with asyncio.timeout(30):
            assert [(await again.read()).revision.revision for _ in range(2)] == [2, 3]
        again.cancel()
        request.after_revision = 4
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await daemon.calibrations.Watch(request).read()
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watch_that_would_miss_events_of_a_removed_job_is_refused_with_where_to_go_on(
    serve: Serve, open_rack_of: Callable[..., Any], request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        ends = []
        for key in "abc":
            job_id = await daemon.submit(request_of(key=key))
            ends.append((job_id, (await daemon.events(job_id))[-1].sequence))
        (_, seen), (gone, removed), (_, newest) = ends
        live = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(backend="line5", after_sequence=newest))
        assert (await bookmark_of(live)).sequence == newest
        await daemon.jobs.Delete(jobs_pb2.JobsDeleteRequest(job_id=gone))
        late = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(backend="line5", after_sequence=seen))
        with pytest.raises(grpc.aio.AioRpcError, match=f"go on from {removed}") as refusal:
            await late.read()
        assert refusal.value.code() is grpc.StatusCode.OUT_OF_RANGE
        on = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(backend="line5", after_sequence=removed))
        assert [event.sequence for event in await following(on)] == list(range(removed + 1, newest + 1))
        await daemon.submit(request_of(key="d"))
        assert (await following(live))[0].sequence == newest + 1
