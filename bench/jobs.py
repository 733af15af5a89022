"""Times the job service: a durable Bell job beside one bare call and one bare commit, many clients, many watchers.

Latency is what the client sees from `submit` to DONE, less the time in which the job had the (emulated) instruments.
Its physical limit is one unary call and one durable commit, measured in the same loop. The last line of `--json` is one
JSON object; its `ratio` is the median of the one over the sum of the medians of the other two. That is of a job that
comes again with the same bytes, of which the daemon keeps what it compiled; `ratio_new` is of jobs with angles that
were not seen before.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import multiprocessing
import secrets
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import grpc
import grpc.aio

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.client import JobEvent, QubitdClient, Reservation, SlotKind, StageTime, StatusChange
from qubitd.client.aio import AsyncQubitdClient
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import QubitdError
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep
from qubitd.provider.shared_watch import SharedWatch
from qubitd.wire.jobs import encode_events

GOAL_RATIO = 6.0
GOAL_MILLISECONDS = 5.0
GOAL_JOBS = 500.0
GOAL_PUSH = 10.0
COMMIT_BYTES = 2048
WATCHERS = 100
PROCESSES = 4
Watching = Callable[[str, str, int, threading.Semaphore], list[float]]
"""Watches a job of a daemon so many times, says when all do, and gives how late all its news came, s."""
REST = 0.3
"""Seconds between the last watcher's coming and the news."""
ANGLES = itertools.count(0.001, 0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Medians in seconds."""

    job: float
    """From submit to DONE, less load to fetch, of a job that the daemon knows."""
    new: float
    """The same of a job that it does not know."""
    call: float
    commit: float

    @property
    def ratio(self) -> float:
        """How many times the physical limit a known job takes."""
        return self.job / (self.call + self.commit)

    @property
    def ratio_new(self) -> float:
        """How many times the physical limit a new job takes."""
        return self.new / (self.call + self.commit)


def bell(angle: float = math.pi / 2) -> JobSpec:
    """Make a Bell pair in native gates; another angle at its beginning turns pulses and changes no outcome."""
    half = math.pi / 2
    circuit = CircuitBuilder(name="bell", num_qubits=5, num_clbits=2)
    for qubit, first in ((0, angle), (1, half)):
        circuit.add("rz", qubit, params=(first,)).add("sx", qubit).add("rz", qubit, params=(half,))
    circuit.add("cz", 0, 1).add("rz", 1, params=(half,)).add("sx", 1).add("rz", 1, params=(half,))
    circuit.measure(0, 0).measure(1, 1)
    return JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=1000)


def latency(client: QubitdClient, backend: str, rounds: int) -> Latency:
    """Measure jobs, bare calls and bare commits in turn."""
    spec = bell()
    jobs: list[float] = []
    news: list[float] = []
    calls: list[float] = []
    commits: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        commit = committer(Path(folder) / "bare.sqlite")
        for _ in range(rounds):
            jobs.append(job_seconds(client, backend, spec))
            news.append(job_seconds(client, backend, bell(next(ANGLES))))
            calls.append(seconds(client.backends))
            commits.append(seconds(commit))
    job, new, call, done = (statistics.median(times) for times in (jobs, news, calls, commits))
    return Latency(job=job, new=new, call=call, commit=done)


def job_seconds(client: QubitdClient, backend: str, spec: JobSpec) -> float:
    """Run a job and give its seconds, less those on the instruments."""
    start = time.perf_counter()
    events = list(client.watch(client.submit(spec, backend)))
    whole = time.perf_counter() - start
    times = stage_times(events)
    return whole - (times["fetched"] - times["assembled"]) * 1e-9


def stage_times(events: Sequence[JobEvent]) -> dict[str, int]:
    """Give when each stage began, ns."""
    return {event.what.stage: event.what.time_ns for event in events if isinstance(event.what, StageTime)}


def committer(path: Path) -> Callable[[], None]:
    """Give a durable commit of one row, as the daemon makes them."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE row (data BLOB)")
    data = bytes(COMMIT_BYTES)

    def commit() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO row VALUES (?)", (data,))
        connection.execute("COMMIT")

    return commit


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def throughput(address: str, backend: str, *, clients: int, jobs: int) -> tuple[float, float]:
    """Give durable submissions per second, and jobs per second to their ends, from many clients at once."""
    each = clients // PROCESSES
    start = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES) as pool:
        tasks = [pool.submit(submit_many, address, backend, each, jobs // clients) for _ in range(PROCESSES)]
        submitted = [job_id for task in tasks for job_id in task.result()]
    accepted = time.perf_counter() - start
    with QubitdClient(address) as client:
        for job_id in submitted[-1:]:
            list(client.watch(job_id))
        while client.lab.health().queued:
            time.sleep(0.02)
    return len(submitted) / accepted, len(submitted) / (time.perf_counter() - start)


def submit_many(address: str, backend: str, clients: int, jobs: int) -> list[str]:
    """Submit from several clients of one process, each with a connection of its own."""
    spec = bell()
    found: list[str] = []

    def submit() -> None:
        with QubitdClient(address) as client:
            found.extend(client.submit(spec, backend) for _ in range(jobs))

    threads = [threading.Thread(target=submit) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def push(client: QubitdClient, backend: str, *, watch: Watching, processes: int, jobs: int) -> float:
    """Give the median seconds from a change of state to its arrival, with many watchers of each job.

    Args:
        client: submits.
        backend: of its daemon.
        watch: what the watchers of one process do.
        processes: in which the watchers are: those of one take turns at its interpreter.
        jobs: how many, one after another.
    """

    def release_one() -> Iterator[tuple[str, Callable[[], object]]]:
        for _ in range(jobs):
            held = Reservation(key=secrets.token_hex(16), backend=backend, kind=SlotKind.MAINTENANCE, seconds=3600.0)
            slot = client.slots.reserve(held)
            yield client.submit(bell(), backend), partial(client.slots.release, slot.slot_id)

    return push_seconds(client.address, release_one(), watch=watch, processes=processes)


def bare_push(events: Sequence[JobEvent], *, watch: Watching, processes: int, jobs: int) -> float:
    """Give what `push` does, of a gRPC server that has nothing to do but to send these events."""
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    server = context.Process(target=serve_bare, args=(its, tuple(events)))
    server.start()
    try:
        address = f"127.0.0.1:{ours.recv()}"
        told = (("bare", partial(ours.send, True)) for _ in range(jobs))
        return push_seconds(address, told, watch=watch, processes=processes)
    finally:
        ours.send(False)
        server.join()


def serve_bare(control: Connection, events: tuple[JobEvent, ...]) -> None:
    """Tell of a job whoever watches it, at each `True`; a client takes this for a daemon."""
    asyncio.run(_serve_bare(control, events))


async def _serve_bare(control: Connection, events: tuple[JobEvent, ...]) -> None:
    parts = parted(events)
    story: list[asyncio.Future[bytes]] = []

    async def watch(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        for part in tuple(story):
            await context.write(await part)

    server = grpc.aio.server()
    method = grpc.unary_stream_rpc_method_handler(watch)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("qubitd.v1.Jobs", {"Watch": method}),))
    control.send(server.add_insecure_port("127.0.0.1:0"))
    loop = asyncio.get_running_loop()
    story[:] = [loop.create_future() for _ in parts]
    story[0].set_result(message_of(parts[0]))
    await server.start()
    while await loop.run_in_executor(None, control.recv):
        told, story[1:] = story[1:], [loop.create_future() for _ in parts[1:]]
        for future, part in zip(told, parts[1:], strict=True):
            future.set_result(message_of(part))
            await asyncio.sleep((parts[-1][-1].time_ns - part[-1].time_ns) * 1e-9)
    await server.stop(None)


def parted(events: Sequence[JobEvent]) -> list[list[JobEvent]]:
    """Give the events up to QUEUED, those up to RUNNING, and the rest: as a daemon sends them."""
    *_, queued, running, done = (n + 1 for n, event in enumerate(events) if isinstance(event.what, StatusChange))
    return [list(events[:queued]), list(events[queued:running]), list(events[running:done])]


def message_of(events: Sequence[JobEvent]) -> bytes:
    """Give the bytes of events that end with one that happens now."""
    return encode_events([*events[:-1], replace(events[-1], time_ns=time.time_ns())]).SerializeToString()


def push_seconds(
    address: str, jobs: Iterable[tuple[str, Callable[[], object]]], *, watch: Watching, processes: int
) -> float:
    """Give the median seconds that the news of jobs take; each waits until it is let go."""
    late: list[float] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool, context.Manager() as manager:
        for job_id, let_go in jobs:
            ready = manager.Semaphore(0)
            each = WATCHERS // processes
            tasks = [pool.submit(watch, address, job_id, each, ready) for _ in range(processes)]
            for _ in tasks:
                ready.acquire()
            # Watchers have watched for long when something happens; what opening a hundred costs is no part of it.
            time.sleep(REST)
            let_go()
            late += [seconds for task in tasks for seconds in task.result()]
    return statistics.median(late)


@dataclass(slots=True, kw_only=True)
class Follower:
    """Follows a job as the provider does, and notes how late its news came."""

    job_id: str
    late: list[float]
    """Seconds."""
    over: Callable[[], object]
    """Is told of its end."""
    cursor: int = 0
    is_over: bool = False

    def take(self, event: JobEvent) -> None:
        """Hear of an event."""
        self.late += lateness(event)
        self.cursor = event.sequence
        if isinstance(event.what, StatusChange) and event.what.status.is_final:
            self.is_over = True
            self.over()

    def fail(self, failure: QubitdError) -> None:
        """Hear that there is no more."""
        self.over()
        raise failure


def shared_push(client: QubitdClient, backend: str, *, jobs: int) -> float:
    """Give the median seconds from a change of state to a callback, of jobs that one stream tells of as they run."""
    held = Reservation(key=secrets.token_hex(16), backend=backend, kind=SlotKind.MAINTENANCE, seconds=3600.0)
    slot = client.slots.reserve(held)
    late: list[float] = []
    ended = threading.Semaphore(0)
    followers = [Follower(job_id=client.submit(bell(), backend), late=late, over=ended.release) for _ in range(jobs)]
    watch = SharedWatch(client)
    for follower in followers:
        watch.join(follower)
    time.sleep(REST)
    client.slots.release(slot.slot_id)
    for _ in followers:
        ended.acquire()
    return statistics.median(late)


def watch_in_threads(address: str, job_id: str, watchers: int, ready: threading.Semaphore) -> list[float]:
    """Watch a queued job so many times, each in a thread; say when all do, and give how late all its news came, s."""
    late: list[float] = []
    queued = threading.Semaphore(0)

    def watch() -> None:
        for event in client.watch(job_id):
            if is_queued(event):
                queued.release()
            late.extend(lateness(event))

    threads = [threading.Thread(target=watch) for _ in range(watchers)]
    with QubitdClient(address) as client:
        for thread in threads:
            thread.start()
        for _ in threads:
            queued.acquire()
        ready.release()
        for thread in threads:
            thread.join()
    return late


def watch_in_a_loop(address: str, job_id: str, watchers: int, ready: threading.Semaphore) -> list[float]:
    """Do what `watch_in_threads` does with the client for asyncio: all in one thread."""

    async def watch_all() -> list[float]:
        late: list[float] = []
        waiting = watchers

        async def watch(client: AsyncQubitdClient) -> None:
            nonlocal waiting
            async for event in client.watch(job_id):
                if is_queued(event):
                    waiting -= 1
                    if not waiting:
                        await asyncio.to_thread(ready.release)
                late.extend(lateness(event))

        async with AsyncQubitdClient(address) as client:
            await asyncio.gather(*(watch(client) for _ in range(watchers)))
        return late

    return asyncio.run(watch_all())


def is_queued(event: JobEvent) -> bool:
    """Whether a job waits from now on."""
    return isinstance(event.what, StatusChange) and event.what.status is JobStatus.QUEUED


def lateness(event: JobEvent) -> list[float]:
    """Give how long ago a job began or ended, s, if that is what was told."""
    if isinstance(event.what, StatusChange) and event.what.status in (JobStatus.RUNNING, JobStatus.DONE):
        return [(time.time_ns() - event.time_ns) * 1e-9]
    return []


def measure(daemon: DaemonProcess, *, rounds: int, jobs: int) -> Latency:
    """Print all figures and give those of one job."""
    with QubitdClient(daemon.address) as client:
        latency(client, daemon.backend, 10)
        found = latency(client, daemon.backend, rounds)
        above = f"ms from submit to DONE above the instruments (goal {GOAL_MILLISECONDS:g})"
        print(f"known {found.job * 1e3:7.2f} {above}, of a job that comes again")
        print(f"new   {found.new * 1e3:7.2f} {above}, of a job that was not seen before")
        print(f"call  {found.call * 1e3:7.2f} ms, one unary call")
        print(f"commit{found.commit * 1e3:7.2f} ms, one durable commit of {COMMIT_BYTES} bytes")
        print(f"ratio {found.ratio:7.2f} known, {found.ratio_new:.2f} new (goal at most {GOAL_RATIO:g})")
        accepted, ended = throughput(daemon.address, daemon.backend, clients=64, jobs=jobs)
        print(f"{accepted:.0f} durable submissions/s from 64 clients (goal {GOAL_JOBS:g}), {ended:.0f} jobs/s to DONE")
        print_push(client, daemon, jobs=5, commit=found.commit)
    return found


def print_push(client: QubitdClient, daemon: DaemonProcess, *, jobs: int, commit: float) -> None:
    """Print how late news come. The limits: what is told is durable, and a server that only sends the same bytes.

    Args:
        client: submits.
        daemon: runs.
        jobs: how many of each kind, one after another.
        commit: seconds of a durable commit.
    """
    events = list(client.watch(client.submit(bell(), daemon.backend)))
    for kind, watch in (("asyncio", watch_in_a_loop), ("threads", watch_in_threads)):
        for processes in (1, PROCESSES):
            late = push(client, daemon.backend, watch=watch, processes=processes, jobs=jobs)
            bare = bare_push(events, watch=watch, processes=processes, jobs=jobs)
            to = f"to {WATCHERS} watchers by {kind} in {processes} processes"
            floor = f"{bare * 1e3:.2f} from a bare gRPC server, {commit * 1e3:.2f} of a durable commit"
            print(f"push  {late * 1e3:7.2f} ms {to} (goal {GOAL_PUSH:g}); {floor}")
    late = shared_push(client, daemon.backend, jobs=WATCHERS)
    print(f"shared{late * 1e3:7.2f} ms to the callbacks of {WATCHERS} jobs that one stream tells of as they run")


def main() -> int:
    """Measure; the last line is JSON if asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=300, help="jobs, calls and commits (%(default)s)")
    parser.add_argument("--jobs", type=int, default=640, help="jobs of the 64 clients together (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, start_daemon(data_dir=Path(folder)) as daemon:
        found = measure(daemon, rounds=options.rounds, jobs=options.jobs)
    if options.json:
        line = {"ratio": found.ratio, "ratio_new": found.ratio_new, "job_s": found.job, "new_s": found.new}
        line |= {"call_s": found.call, "commit_s": found.commit}
        print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
