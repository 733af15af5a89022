"""Two projects on one daemon: what one sees does not depend on what a hostile other does."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from qubitd.client import NotFoundError, QubitdClient
from qubitd.core.errors import QubitdError
from qubitd.core.job import JobSpec
from qubitd.server.auth.accounts import Account, new_token, read_accounts, token_digest, write_accounts
from qubitd.server.front.access import DIRECTORY
from qubitd.v1 import jobs_pb2, jobs_pb2_grpc
from qubitd.wire.jobs import ExecutionSpan, JobEvent, Progress, StageTime, StatusChange
from qubitd.wire.sessions import SessionTerms
from qubitd.wire.specs import decode_spec
from qubitd.wire.terms import JobTerms

Serve = Callable[..., AbstractAsyncContextManager[Any]]
Strike = Callable[[str], None]


def add_account(directory: Path, name: str) -> str:
    """Make an account with a project of its own and give its token."""
    token = new_token()
    account = Account(name=name, project=name, role="user", token_sha256=token_digest(token))
    write_accounts(directory, read_accounts(directory).with_account(account))
    return token


def told(event: JobEvent) -> object:
    """Give an event without its times, which differ from run to run."""
    match event.what:
        case StageTime(stage=stage):
            return event.sequence, stage
        case Progress(span=ExecutionSpan() as span) as progress:
            return event.sequence, replace(progress, span=replace(span, began_ns=0, ended_ns=0))
        case other:
            return event.sequence, other


def story(alice: QubitdClient, spec: JobSpec, strike: Strike) -> Iterator[object]:
    """Do all that a user does, with a blow after each step, and give all that she sees."""
    ids: list[str] = []
    for number in range(3):
        ids.append(alice.submit(spec, "line5", f"key {number}"))
        strike(ids[-1])
        kept = [event for event in alice.watch(ids[-1]) if isinstance(event.what, StatusChange | StageTime | Progress)]
        yield [told(event) for event in kept]
        yield [(result.shots, result.bits.tobytes()) for result in alice.results(ids[-1]) if result.bits is not None]
        job = alice.get_job(ids[-1])
        yield job.status, job.message, job.revision, job.shots, job.tags, job.client_data, job.last_sequence
        strike(ids[-1])
        yield alice.submit(spec, "line5", f"key {number}") == ids[-1]
        yield [ids.index(listed.job_id) for listed in alice.list_jobs()]
        yield alice.sessions.list()
    alice.delete(ids[0])
    strike(ids[0])
    for look in (alice.get_job, alice.cancel, alice.delete):
        with pytest.raises(NotFoundError) as refusal:
            look(ids[0])
        yield str(refusal.value).replace(ids[0], "ID")
    yield [ids.index(listed.job_id) for listed in alice.list_jobs()]


def blows(bob: QubitdClient, spec: JobSpec, other: JobSpec) -> Strike:
    """Try everything on a job of another's, under her keys too, and fill the queue."""
    numbers = itertools.count()

    def strike(job_id: str) -> None:
        for number in range(3):
            assert bob.submit(other, "line5", f"key {number}") != job_id
        for _ in range(5):
            bob.submit(spec, "line5", f"flood {next(numbers)}")
        for attack in (
            bob.cancel,
            bob.delete,
            bob.get_job,
            lambda j: list(bob.watch(j)),
            lambda j: list(bob.results(j)),
        ):
            with pytest.raises(NotFoundError):
                attack(job_id)
        with pytest.raises(QubitdError):
            bob.submit(spec, "no such backend")
        bob.sessions.open(SessionTerms(key=f"session {next(numbers)}", backend="line5"))

    return strike


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Projects:
    """A daemon, the tokens of two projects and what they submit; what the one saw while it was alone."""

    address: str
    hers: str
    """As new as that of the project that was alone."""
    theirs: str
    spec: JobSpec
    other: JobSpec
    quiet: list[object]


@pytest.fixture
async def projects(
    serve: Serve, open_rack_of: Callable[..., Any], request_of: Callable[..., jobs_pb2.SubmitRequest], tmp_path: Path
) -> AsyncGenerator[Projects]:
    """A user who was alone, one who will not be, and those who see to that."""
    directory = tmp_path / "data" / DIRECTORY
    alone, hers, theirs = (add_account(directory, name) for name in ("alice", "alice again", "bob"))
    spec, other = decode_spec(request_of().spec), decode_spec(request_of(shots=7).spec)

    def quiet(address: str) -> list[object]:
        with QubitdClient(address, alone) as alice:
            return list(story(alice, spec, lambda _: None))

    async with serve(rack=open_rack_of()) as daemon:
        yield Projects(
            address=daemon.address,
            hers=hers,
            theirs=theirs,
            spec=spec,
            other=other,
            quiet=await asyncio.to_thread(quiet, daemon.address),
        )


async def test_what_a_project_sees_is_the_same_alone_and_beside_a_hostile_one(projects: Projects) -> None:
    def beside() -> list[object]:
        with (
            QubitdClient(projects.address, projects.hers) as alice,
            QubitdClient(projects.address, projects.theirs) as bob,
        ):
            return list(story(alice, projects.spec, blows(bob, projects.spec, projects.other)))

    assert await asyncio.to_thread(beside) == projects.quiet


async def test_a_page_goes_on_from_ones_own_jobs_alone(projects: Projects) -> None:
    with QubitdClient(projects.address, projects.hers) as alice:
        job_id = await asyncio.to_thread(alice.submit, projects.spec, "line5")
    async with grpc.aio.insecure_channel(projects.address) as channel:
        jobs = jobs_pb2_grpc.JobsStub(channel)
        refusals = set()
        for token in (job_id, "no-such-job"):
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await jobs.List(
                    jobs_pb2.JobsListRequest(page_token=token),
                    metadata=(("authorization", f"Bearer {projects.theirs}"),),
                )
            refusals.add((refusal.value.code(), str(refusal.value.details()).replace(token, "X")))
    assert refusals == {
        (
            grpc.StatusCode.INVALID_ARGUMENT,
            "page_token: 'X' is none that this daemon gave; take it from the page before, or leave it empty",
        )
    }


def riot(bob: QubitdClient, spec: JobSpec, number: int, over: threading.Event) -> int:
    """Be one of a project that is never quiet: submit, cancel, delete, list, open sessions and fill in the wrong names.

    Gives how many calls did what was asked; those that were refused do not count.
    """
    done = calls = 0
    while not over.is_set():
        calls += 1
        with suppress(QubitdError):
            match calls % 7:
                case 0 | 1:
                    bob.cancel(bob.submit(spec, "line5", f"riot {number} {calls}"), force=True)
                case 2:
                    bob.submit(spec, "line5", f"key {calls % 3}")
                case 3:
                    bob.delete(bob.list_jobs(limit=5)[-1].job_id)
                case 4:
                    bob.sessions.close(
                        bob.sessions.open(SessionTerms(key=f"{number} {calls}", backend="line5")).session_id
                    )
                case 5:
                    bob.explain(spec, "line5")
                case _:
                    bob.submit(spec, "line5", terms=JobTerms(session_id="hers"))
            done += 1
    return done


async def test_what_a_project_sees_is_the_same_while_another_is_never_quiet(projects: Projects) -> None:
    def amid() -> tuple[list[object], int]:
        over = threading.Event()
        with ExitStack() as stack:
            rioters = stack.enter_context(ThreadPoolExecutor(4))
            stack.callback(over.set)
            alice = stack.enter_context(QubitdClient(projects.address, projects.hers))
            bobs = [stack.enter_context(QubitdClient(projects.address, projects.theirs)) for _ in range(4)]
            calls = [rioters.submit(riot, bob, projects.other, number, over) for number, bob in enumerate(bobs)]
            seen = list(story(alice, projects.spec, lambda _: None))
            over.set()
            return seen, min(done.result() for done in calls)

    loud, done = await asyncio.to_thread(amid)
    assert loud == projects.quiet
    assert done > 3
