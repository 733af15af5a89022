"""Many who send much at once, while hundreds watch, some read slowly and more than a thousand say nothing: the daemon
keeps its memory, answers, and loses nothing. About 15 s; with --soak four times as many senders.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.followed import end_of, flip
from tests.watched import Watched

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.client import QubitdClient
from qubitd.core.job import JobSpec, JobStatus, MeasLevel
from qubitd.v1 import jobs_pb2, jobs_pb2_grpc
from qubitd.wire.jobs import StatusChange, decode_events
from qubitd.wire.terms import JobTerms, Urgency

ROOT = Path(__file__).parents[2]
SENDERS, MANY_SENDERS = 16, 64
WATCHERS = 400
SLOW_READERS = 20
IDLE = 1_500
MOST_RESIDENT, MOST_WITH_FEW = 512 * 2**20, 320 * 2**20
"""Bytes that the daemon ever had in memory; fewer senders would hide that it reads them all at once."""
LATE = 50.0
"""ms: 99 of 100 status calls are faster. Held with --soak alone, on a machine that does nothing else."""
FLOOD, AT_ONCE = 10_000, 500
"""Status calls, and how many of them wait for their answer at the same time."""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with start_daemon(data_dir=tmp_path / "data") as running:
        yield running
        running.kill()


def started(module: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"tests.system.{module}", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, start_new_session=True)


def done(client: QubitdClient, spec: JobSpec, **how: Any) -> str:
    job_id = client.submit(spec, "line5", **how)
    assert end_of(client, job_id).status is JobStatus.DONE
    return job_id


async def seen_by_all(address: str, client: QubitdClient) -> list[list[str]]:
    """Watch the backend many times, run a job before all others, and give the states that each watcher saw of it."""
    async with grpc.aio.insecure_channel(address) as channel:
        jobs = jobs_pb2_grpc.JobsStub(channel)
        watches = [jobs.Watch(jobs_pb2.JobsWatchRequest(backend="line5")) for _ in range(WATCHERS)]
        for watch in watches:
            await watch.read()
        first = JobTerms(urgency=Urgency.SAFETY)
        job_id = await asyncio.to_thread(client.submit, flip(10), "line5", "watched by all", terms=first)

        async def states(watch: Any) -> list[str]:
            seen: list[str] = []
            while not seen or seen[-1] != "DONE":
                seen += [
                    event.what.status.value
                    for event in decode_events(await watch.read())
                    if event.job_id == job_id and isinstance(event.what, StatusChange)
                ]
            return seen

        return await asyncio.gather(*map(states, watches))


async def flooded(address: str, job_id: str) -> Counter[grpc.StatusCode]:
    """Ask for a status as often and as fast as this process can; give the codes of the answers."""
    codes: Counter[grpc.StatusCode] = Counter()
    async with grpc.aio.insecure_channel(address) as channel:
        jobs: jobs_pb2_grpc.JobsAsyncStub = jobs_pb2_grpc.JobsStub(channel)

        async def ask() -> None:
            for _ in range(FLOOD // AT_ONCE):
                codes[await jobs.Get(jobs_pb2.JobsGetRequest(job_id=job_id)).code()] += 1

        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    return codes


@pytest.mark.timeout(900)
def test_many_who_send_much_take_little_memory_and_keep_nobody_waiting(daemon: DaemonProcess, soak: bool) -> None:
    count = MANY_SENDERS if soak else SENDERS
    host, _, port = daemon.address.rpartition(":")
    with ExitStack() as stack:
        client = stack.enter_context(QubitdClient(daemon.address))
        small = done(client, flip(10))
        big = done(client, replace(flip(100_000), meas_level=MeasLevel.KERNELED))
        for _ in range(IDLE):
            stack.enter_context(socket.create_connection((host, int(port))))
        slow = jobs_pb2_grpc.JobsStub(stack.enter_context(grpc.insecure_channel(daemon.address)))
        results = [iter(slow.Results(jobs_pb2.ResultsRequest(job_id=big))) for _ in range(SLOW_READERS)]
        for result in results:
            next(result)
        prober = started("status_prober", daemon.address, small)
        senders = started("big_senders", daemon.address, str(count))
        seen = asyncio.run(seen_by_all(daemon.address, client))
        sent, _ = senders.communicate()
        told, _ = prober.communicate()
        asked, jobs = json.loads(told), json.loads(sent)
        listed = {job.job_id for job in client.list_jobs(limit=1000)}
    most = Watched(daemon).most_resident()
    report = f"{count} senders: at most {most >> 20} MB resident; status calls {asked}"
    sys.stdout.write(f"{report}\n")
    assert len(set(jobs)) == count
    assert set(jobs) <= listed
    assert seen == [["INITIALIZING", "VALIDATING", "QUEUED", "RUNNING", "DONE"]] * WATCHERS
    assert most < (MOST_RESIDENT if soak else MOST_WITH_FEW)
    assert not soak or asked["p99"] <= LATE, report


def test_a_flood_of_status_calls_is_answered_to_the_last(daemon: DaemonProcess) -> None:
    with QubitdClient(daemon.address) as client:
        job_id = done(client, flip(10))
        assert asyncio.run(flooded(daemon.address, job_id)) == {grpc.StatusCode.OK: FLOOD}
        done(client, flip(10))
    assert Watched(daemon).most_resident() < MOST_RESIDENT
