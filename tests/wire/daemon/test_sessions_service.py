"""Sessions, slots, job terms and the operator's switches through the plain client, on a rack of paper."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from qubitd.client import (
    Bookmark,
    JobEvent,
    NotFoundError,
    QubitdClient,
    QueuePlace,
    RefusedError,
    StateError,
    StatusChange,
)
from qubitd.core.job import InitialReset, JobSpec, JobStatus
from qubitd.server import composition
from qubitd.server.clocks import Clocks
from qubitd.server.services import jobs
from qubitd.wire.jobs import Job
from qubitd.wire.lab import LabState
from qubitd.wire.sessions import AtExpiry, SessionInfo, SessionMode, SessionState, SessionTerms
from qubitd.wire.slots import Reservation, SlotKind
from qubitd.wire.specs import decode_spec
from qubitd.wire.terms import JobTerms, RevisionPolicy, Urgency

pytestmark = pytest.mark.both_stores
Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRequest = Callable[..., Any]
Result = TypeVar("Result")


class Desk:
    """A client whose calls are awaited, and the job that it submits."""

    def __init__(self, client: QubitdClient, spec: JobSpec, rack: Any) -> None:
        self.client = client
        self.spec = spec
        self.rack = rack

    async def __call__(self, call: Callable[..., Result], *args: Any, **fields: Any) -> Result:
        return await asyncio.to_thread(call, *args, **fields)

    async def submit(self, **terms: Any) -> str:
        return await self(self.client.submit, self.spec, "line5", terms=JobTerms(**terms))

    async def session(self, **terms: Any) -> SessionInfo:
        asked = SessionTerms(key=secrets.token_hex(8), backend="line5", **terms)
        return await self(self.client.sessions.open, asked)

    async def ended(self, job_id: str) -> Job:
        await self(lambda: list(self.client.watch(job_id)))
        return await self(self.client.get_job, job_id)

    async def reaches(self, job_id: str, status: JobStatus) -> None:
        def follow() -> None:
            for event in self.client.watch(job_id):
                if isinstance(event.what, StatusChange) and event.what.status is status:
                    return

        await self(follow)

    async def starts(self, job_ids: list[str]) -> list[str]:
        """Give the jobs in the order in which they started."""
        jobs = [await self.ended(job_id) for job_id in job_ids]
        begin = {job.job_id: stage.time_ns for job in jobs for stage in job.timeline if stage.stage == "started"}
        return sorted(job_ids, key=lambda job_id: begin[job_id])


@pytest.fixture
def desk(serve: Serve, shut_rack: Any, request_of: MakeRequest) -> Callable[[], AbstractAsyncContextManager[Desk]]:
    @asynccontextmanager
    async def open_desk() -> AsyncGenerator[Desk]:
        async with serve(rack=shut_rack) as daemon:
            with QubitdClient(daemon.address) as client:
                yield Desk(client, decode_spec(request_of().spec), shut_rack)

    return open_desk


OpenDesk = Callable[[], AbstractAsyncContextManager[Desk]]


async def test_a_job_that_is_longer_than_its_session_is_refused_with_both_numbers(desk: OpenDesk) -> None:
    """Also one that is known, which needs no look; without the session it runs."""
    async with desk() as at:
        at.rack.gate.set()
        at.spec = replace(at.spec, shots=10_000, initial_reset=InitialReset.PASSIVE)
        assert (await at.ended(await at.submit())).status is JobStatus.DONE
        session = await at.session(max_seconds=2.0)
        for shots in (10_000, 11_000):
            at.spec = replace(at.spec, shots=shots)
            ended = await at.ended(await at.submit(session_id=session.session_id))
            assert ended.status is JobStatus.ERROR
            assert re.search(r"lasts 2 s at most, and the job takes 2\.\d+ s on the instruments", ended.message)
        at.spec = replace(at.spec, shots=5_000)
        assert (await at.ended(await at.submit(session_id=session.session_id))).status is JobStatus.DONE


async def test_a_job_may_take_its_whole_session_and_not_a_tick_more(desk: OpenDesk) -> None:
    async with desk() as at:
        at.rack.gate.set()
        at.spec = replace(at.spec, shots=10_000, initial_reset=InitialReset.PASSIVE)
        takes = (await at(at.client.explain, at.spec, "line5")).instrument_seconds
        for most, status in ((takes, JobStatus.DONE), (takes - 1e-9, JobStatus.ERROR)):
            session = await at.session(max_seconds=most)
            ended = await at.ended(await at.submit(session_id=session.session_id))
            assert ended.status is status
        assert f"lasts {most} s at most, and the job takes {takes} s on the instruments" in ended.message


async def test_a_session_has_the_rack_to_itself_from_its_first_job_until_it_is_closed(desk: OpenDesk) -> None:
    async with desk() as at:
        session = await at.session(idle_seconds=600.0)
        assert (session.state, session.holds_rack) == (SessionState.PENDING, False)
        blocker = await at.submit()
        await at.reaches(blocker, JobStatus.RUNNING)
        stranger = await at.submit()
        mine = [await at.submit(session_id=session.session_id) for _ in range(2)]
        at.rack.gate.set()
        for job_id in (blocker, *mine):
            assert (await at.ended(job_id)).status is JobStatus.DONE
        active = await at(at.client.sessions.get, session.session_id)
        assert (active.state, active.holds_rack) == (SessionState.ACTIVE, True)
        assert active.qpu_seconds > 0
        assert (await at(at.client.get_job, stranger)).status is JobStatus.QUEUED
        closed = await at(at.client.sessions.close, session.session_id)
        assert closed.state is SessionState.CLOSED
        assert closed.closed_ns >= closed.started_ns > 0
        assert (await at.ended(stranger)).status is JobStatus.DONE
        usage = await at(at.client.sessions.usage, session.session_id)
        assert (usage.jobs, usage.qpu_seconds) == (2, closed.qpu_seconds)
        listed = await at(at.client.list_jobs, session_id=session.session_id)
        assert sorted(job.job_id for job in listed) == sorted(mine)
        assert {job.session_id for job in listed} == {session.session_id}


async def test_a_session_that_idles_gives_the_rack_back_and_takes_it_again(desk: OpenDesk) -> None:
    async with desk() as at:
        at.rack.gate.set()
        session = await at.session(idle_seconds=0.0)
        await at.ended(await at.submit(session_id=session.session_id))
        assert (await at.ended(await at.submit())).status is JobStatus.DONE
        assert (await at.ended(await at.submit(session_id=session.session_id))).status is JobStatus.DONE
        assert (await at(at.client.sessions.renew, session.session_id)).state is SessionState.ACTIVE


async def test_a_closed_session_takes_no_job_and_is_found_by_its_id_for_ever(desk: OpenDesk) -> None:
    async with desk() as at:
        session = await at.session(mode=SessionMode.BATCH)
        await at(at.client.sessions.close, session.session_id)
        with pytest.raises(StateError, match="is closed and takes no more jobs; open another one"):
            await at.submit(session_id=session.session_id)
        with pytest.raises(StateError, match="is closed"):
            await at(at.client.sessions.renew, session.session_id)
        again = await at(at.client.sessions.close, session.session_id)
        assert again == await at(at.client.sessions.get, session.session_id)
        assert (again.mode, again.state) == (SessionMode.BATCH, SessionState.CLOSED)
        assert [s.session_id for s in await at(at.client.sessions.list)] == [session.session_id]
        assert await at(at.client.sessions.list, open_only=True) == ()
        with pytest.raises(NotFoundError, match="there is no session 'nobody' of yours"):
            await at(at.client.sessions.get, "nobody")
        with pytest.raises(NotFoundError, match="there is no session 'nobody' of yours"):
            await at.submit(session_id="nobody")


async def test_the_same_key_opens_the_same_session_once(desk: OpenDesk) -> None:
    async with desk() as at:
        asked = SessionTerms(key="k", backend="line5")
        first = await at(at.client.sessions.open, asked)
        assert (await at(at.client.sessions.open, asked)).session_id == first.session_id


async def test_cancelling_a_session_ends_its_jobs(desk: OpenDesk) -> None:
    async with desk() as at:
        session = await at.session()
        running = await at.submit(session_id=session.session_id)
        await at.reaches(running, JobStatus.RUNNING)
        waiting = await at.submit(session_id=session.session_id)
        await at(at.client.sessions.cancel, session.session_id)
        assert (await at.ended(waiting)).status is JobStatus.CANCELLED
        at.rack.gate.set()
        assert (await at.ended(running)).status is JobStatus.CANCELLED
        assert (await at(at.client.sessions.get, session.session_id)).state is SessionState.CLOSED


@pytest.mark.parametrize(
    ("at_expiry", "end"), [(AtExpiry.CANCEL, JobStatus.CANCELLED), (AtExpiry.REQUEUE, JobStatus.DONE)]
)
async def test_when_a_sessions_time_is_over_its_waiting_jobs_go_as_was_asked(
    desk: OpenDesk, monkeypatch: pytest.MonkeyPatch, at_expiry: AtExpiry, end: JobStatus
) -> None:
    ahead = 0.0
    monkeypatch.setattr(composition, "Clocks", lambda: Clocks(steady=lambda: time.monotonic() + ahead))
    async with desk() as at:
        session = await at.session(max_seconds=600.0, at_expiry=at_expiry)
        running = await at.submit(session_id=session.session_id)
        await at.reaches(running, JobStatus.RUNNING)
        waiting = await at.submit(session_id=session.session_id)
        await at.reaches(waiting, JobStatus.QUEUED)
        ahead = 601.0
        at.rack.gate.set()
        assert (await at.ended(running)).status is JobStatus.DONE
        assert (await at.ended(waiting)).status is end
        assert (await at(at.client.sessions.get, session.session_id)).state is SessionState.CLOSED


async def test_a_session_survives_a_restart_and_the_time_between_does_not_count(
    serve: Serve, open_rack_of: Callable[..., Any], request_of: MakeRequest
) -> None:
    spec = decode_spec(request_of().spec)
    async with serve(rack=open_rack_of()) as daemon:
        with QubitdClient(daemon.address) as client:
            at = Desk(client, spec, daemon.rack)
            session = await at.session()
            await at.ended(await at.submit(session_id=session.session_id))
            used = await at(client.sessions.get, session.session_id)
    async with serve(rack=open_rack_of()) as daemon:
        with QubitdClient(daemon.address) as client:
            at = Desk(client, spec, daemon.rack)
            found = await at(client.sessions.get, session.session_id)
            assert found.state is SessionState.ACTIVE
            assert found.elapsed_seconds >= used.elapsed_seconds
            assert found.qpu_seconds == used.qpu_seconds
            assert (await at.ended(await at.submit(session_id=session.session_id))).status is JobStatus.DONE


async def test_priority_and_background_decide_who_is_next(desk: OpenDesk) -> None:
    async with desk() as at:
        blocker = await at.submit()
        await at.reaches(blocker, JobStatus.RUNNING)
        background = await at.submit(urgency=Urgency.BACKGROUND)
        normal = await at.submit()
        urgent = await at.submit(priority=5)
        safety = await at.submit(urgency=Urgency.SAFETY)
        await at.reaches(safety, JobStatus.QUEUED)
        at.rack.gate.set()
        assert await at.starts([background, normal, urgent, safety]) == [safety, urgent, normal, background]


async def test_a_queued_job_is_told_its_place_and_when_it_may_start(desk: OpenDesk) -> None:
    async with desk() as at:
        blocker = await at.submit()
        await at.reaches(blocker, JobStatus.RUNNING)
        ahead = await at.submit()
        await at.reaches(ahead, JobStatus.QUEUED)
        job_id = await at.submit()

        def first_place() -> QueuePlace:
            return next(event.what for event in at.client.watch(job_id) if isinstance(event.what, QueuePlace))

        place = await at(first_place)
        assert place.position == 1
        assert place.expected_start_ns > 0
        told = (await at(at.client.get_job, job_id)).queue
        assert told is not None
        assert told.position == 1
        explained = await at(at.client.explain, at.spec, "line5")
        assert explained.queue_length == 2
        assert explained.expected_start_ns > told.expected_start_ns
        at.rack.gate.set()
        assert (await at.ended(job_id)).queue is None


async def test_in_a_maintenance_slot_nothing_starts_until_it_is_released(desk: OpenDesk) -> None:
    async with desk() as at:
        at.rack.gate.set()
        asked = Reservation(key="k", backend="line5", kind=SlotKind.MAINTENANCE, seconds=3600.0, note="warm up")
        slot = await at(at.client.slots.reserve, asked)
        assert await at(at.client.slots.reserve, asked) == slot
        assert await at(at.client.slots.list) == (slot,)
        job_id = await at.submit()
        await at.reaches(job_id, JobStatus.QUEUED)
        with pytest.raises(StateError, match=f"slot {slot.slot_id} has the time from"):
            await at(at.client.slots.reserve, Reservation(key="l", backend="line5", kind=slot.kind, seconds=1.0))
        await at(at.client.slots.release, slot.slot_id)
        assert (await at.ended(job_id)).status is JobStatus.DONE
        assert await at(at.client.slots.list) == ()
        with pytest.raises(NotFoundError, match="or it is over"):
            await at(at.client.slots.release, slot.slot_id)


async def test_a_calibration_slot_takes_the_rack_at_a_chunk_boundary_and_the_job_goes_on_later(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    spec = decode_spec(request_of(shots=2000).spec)
    async with serve(rack=shut_rack) as daemon:
        with QubitdClient(daemon.address) as client:
            at = Desk(client, spec, shut_rack)
            long = await at.submit()
            await at.reaches(long, JobStatus.RUNNING)
            asked = Reservation(key="k", backend="line5", kind=SlotKind.CALIBRATION, seconds=3600.0)
            slot = await at(client.slots.reserve, asked)
            mine = await at.submit(slot_id=slot.slot_id)
            await at.reaches(mine, JobStatus.QUEUED)
            shut_rack.gate.set()
            assert (await at.ended(mine)).status is JobStatus.DONE
            assert (await at(client.get_job, long)).status is JobStatus.QUEUED
            await at(client.slots.release, slot.slot_id)
            assert (await at.ended(long)).status is JobStatus.DONE
            results = await at(lambda: list(client.results(long)))
            assert sorted((r.first_shot, r.shots) for r in results) == [(0, 1000), (1000, 1000)]
            with pytest.raises(NotFoundError, match="or it is over"):
                await at.submit(slot_id=slot.slot_id)


async def test_force_breaks_off_the_running_chunk(desk: OpenDesk) -> None:
    async with desk() as at:
        job_id = await at.submit()
        await at.reaches(job_id, JobStatus.RUNNING)
        await at(at.rack.running.wait)
        await at(at.client.cancel, job_id, force=True)
        job = await at.ended(job_id)
        assert (job.status, job.message) == (
            JobStatus.CANCELLED,
            "cancelled by its owner; finished parts of the result stay readable",
        )


async def test_an_operator_stops_the_lab_and_lets_it_go_on(desk: OpenDesk) -> None:
    async with desk() as at:
        job_id = await at.submit()
        await at.reaches(job_id, JobStatus.RUNNING)
        await at(at.rack.running.wait)
        await at(at.client.lab.stop, "helium level")
        job = await at.ended(job_id)
        assert job.status is JobStatus.ERROR
        assert job.message == "the lab was stopped by an operator: helium level; ask when it resumes"
        with pytest.raises(StateError, match="stopped by an operator: helium level"):
            await at.submit()
        health = await at(at.client.lab.health)
        assert (health.state, health.reason, health.operational) == (LabState.STOPPED, "helium level", True)
        await at(at.client.lab.resume)
        at.rack.gate.set()
        assert (await at.ended(await at.submit())).status is JobStatus.DONE


async def test_a_drained_lab_starts_nothing_and_keeps_what_waits(desk: OpenDesk) -> None:
    async with desk() as at:
        running = await at.submit()
        await at.reaches(running, JobStatus.RUNNING)
        waiting = await at.submit()
        await at.reaches(waiting, JobStatus.QUEUED)
        await at(at.client.lab.drain, "")
        at.rack.gate.set()
        assert (await at.ended(running)).status is JobStatus.DONE
        health = await at(at.client.lab.health)
        assert (health.state, health.queued, health.running) == (LabState.DRAINED, 1, "")
        with pytest.raises(StateError, match="the lab was drained by an operator; ask when it resumes"):
            await at.session()
        assert (await at(at.client.get_job, waiting)).queue == QueuePlace(position=0, expected_start_ns=0)
        explained = await at(at.client.explain, at.spec, "line5")
        assert (explained.queue_length, explained.expected_start_ns) == (1, 0)
        await at(at.client.lab.resume)
        assert (await at.ended(waiting)).status is JobStatus.DONE
        [instrument] = await at(at.client.lab.instruments)
        assert (instrument.kind, instrument.answers, instrument.fault) == ("cluster", True, "")


async def test_a_job_runs_under_the_calibration_that_it_asked_for(desk: OpenDesk) -> None:
    async with desk() as at:
        at.rack.gate.set()
        snapshot = await at(at.client.snapshot, "line5")
        parameter = snapshot.parameters["q0.t1"]
        newer = await at(
            at.client.commit, "line5", base_revision=snapshot.revision, parameters=[parameter], message="again"
        )
        pinned = await at.submit(revision_policy=RevisionPolicy.PINNED, revision=snapshot.revision)
        assert (await at.ended(pinned)).revision == snapshot.revision
        exact = await at.submit(revision_policy=RevisionPolicy.EXACT, revision=newer.revision)
        assert (await at.ended(exact)).revision == newer.revision
        late = await at.ended(await at.submit(revision_policy=RevisionPolicy.EXACT, revision=snapshot.revision))
        assert late.status is JobStatus.ERROR
        assert late.message.startswith(f"the job asked for exactly calibration revision {snapshot.revision}")
        unnamed = await at.submit(revision_policy=RevisionPolicy.PINNED)
        assert (await at.ended(unnamed)).revision == newer.revision
        with pytest.raises(NotFoundError, match="there is no calibration revision 99"):
            await at.submit(revision_policy=RevisionPolicy.PINNED, revision=99)


async def test_terms_that_contradict_each_other_are_refused(desk: OpenDesk) -> None:
    async with desk() as at:
        with pytest.raises(RefusedError, match="priority: is 101; the limits are -100 and 100"):
            await at.submit(priority=101)


async def test_one_watch_tells_of_all_jobs_of_a_session_and_goes_on_after_a_restart(desk: OpenDesk) -> None:
    async with desk() as table:
        session = await table.session()
        watched = table.client.watch_session(session.session_id)
        first = await table(watched.__next__)
        assert isinstance(first.what, Bookmark)
        mine = [await table.submit(session_id=session.session_id) for _ in range(2)]
        other = await table.submit()
        table.rack.gate.set()
        for job in mine:
            await table.ended(job)
        told = await table(until_both_end, watched, mine)
        watched.cancel()
        await table(table.client.sessions.close, session.session_id)
        await table.ended(other)
    assert {event.job_id for event in told} == set(mine)
    sequences = [event.sequence for event in told]
    assert sequences == sorted(set(sequences))
    async with desk() as table:
        again = table.client.watch_session(session.session_id, after=sequences[3])
        rest = await table(until_both_end, again, mine)
        again.cancel()
    assert rest == told[4:]


def until_both_end(events: Iterable[JobEvent], jobs: list[str]) -> list[JobEvent]:
    """Read events until all jobs have told their end."""
    left, told = set(jobs), []
    for event in events:
        if not isinstance(event.what, Bookmark):
            told.append(event)
        if isinstance(event.what, StatusChange) and event.what.status.is_final:
            left.discard(event.job_id)
        if not left:
            break
    return told


async def test_a_watch_of_a_backend_begins_now_and_tells_whose_event_it_is(desk: OpenDesk) -> None:
    async with desk() as table:
        table.rack.gate.set()
        await table.ended(await table.submit())
        watched = table.client.watch_jobs("line5")
        begin = await table(watched.__next__)
        assert isinstance(begin.what, Bookmark)
        job = await table.submit()
        told = await table(until_both_end, watched, [job])
        watched.cancel()
    assert {event.job_id for event in told} == {job}
    assert all(event.sequence > begin.sequence for event in told)


async def test_a_watch_of_what_is_not_there_is_refused(desk: OpenDesk) -> None:
    async with desk() as table:
        with pytest.raises(NotFoundError, match="no session 'nobody'"):
            await table(table.client.watch_session("nobody").__next__)
        with pytest.raises(NotFoundError, match="no backend"):
            await table(table.client.watch_jobs("nothing").__next__)


async def test_a_cursor_that_is_far_behind_is_refused_with_where_to_go_on(
    desk: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_MOST_BEHIND", 3)
    async with desk() as table:
        table.rack.gate.set()
        await table.ended(await table.submit())
        with pytest.raises(RefusedError, match=r"after_sequence: is 1, and \d+ is the newest; the limit is 3 behind"):
            await table(table.client.watch_jobs("line5", after=1).__next__)


async def test_a_cursor_that_nobody_can_have_is_refused_and_says_where_to_go_on(desk: OpenDesk) -> None:
    async with desk() as table:
        table.rack.gate.set()
        job = await table.submit()
        await table.ended(job)
        beyond = 2**63
        what = rf"after_sequence: is {beyond}, and \d+ is the newest; the store may be an earlier copy: watch from 0 on"
        for watch in (table.client.watch(job, beyond), table.client.watch_jobs("line5", after=beyond)):
            with pytest.raises(RefusedError, match=what):
                await table(watch.__next__)
