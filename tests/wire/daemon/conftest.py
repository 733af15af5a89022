"""A daemon's parts in this process, on a rack of paper: a controller that answers at once, and fails when told to.

The emulated Cluster serves every test of real pulses; here only the engine's own decisions are of interest.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import math
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray
from tests.postgres_server import PostgresServer

from qubitd.compiler.device_file import DeviceFile, load_device
from qubitd.core.capacity import Usage
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.feedforward import FeedForward
from qubitd.core.job import JobSpec, ProgramResult, Trace
from qubitd.core.plan import LoopPlan
from qubitd.core.program import Chunk
from qubitd.core.register_grid import EXACT, RegisterGrid
from qubitd.core.sweep import Sweep
from qubitd.drivers.controller import Assembly, LoadReport, never, nothing
from qubitd.drivers.errors import RunBrokenOffError
from qubitd.drivers.rack_file import load_rack
from qubitd.server.daemon import run_daemon
from qubitd.server.daemon_settings import DaemonSettings, RunningRack
from qubitd.server.front.quotas import Quotas
from qubitd.server.running.workshop import Workshop
from qubitd.server.store.job_writes import JobWrites
from qubitd.server.store.rows import Accepted, NewJob
from qubitd.server.telemetry.supervisor import Supervisor, unsupervised
from qubitd.server.workers.papers import KitFiles
from qubitd.v1 import backends_pb2_grpc, calibrations_pb2_grpc, jobs_pb2, jobs_pb2_grpc
from qubitd.wire.jobs import Bookmark, Job, JobEvent, QueuePlace, StatusChange, decode_events, decode_job
from qubitd.wire.results import decode_results
from qubitd.wire.specs import Submission, encode_submission
from qubitd.wire.terms import JobTerms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaperAssembly:
    """A chunk as the paper rack takes it: as it is."""

    chunk: Chunk

    @property
    def shots(self) -> int:
        return self.chunk.shots

    @property
    def duration(self) -> float:
        return 1e-9 * self.shots * sum(program.duration + self.chunk.reset for program in self.chunk.programs)

    @property
    def deadline(self) -> float:
        return self.duration + 1.0

    @property
    def upload_bytes(self) -> int:
        return 0

    @property
    def loops(self) -> Sequence[LoopPlan]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaperReadings:
    """What a run on paper gave."""

    points: tuple[NDArray[np.complex64], ...]
    traces: tuple[Trace, ...] = ()
    outcomes: tuple[NDArray[np.int8], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FewShots:
    """A capacity that is full after some shots."""

    most: int

    def usage(self, chunk: Chunk) -> Sequence[Usage]:
        used = chunk.shots * len(chunk.programs)
        return (Usage(sequencer="paper.seq0", memory="bins", used=used, limit=self.most),)

    def pause(self, reset: int, *, feeds: bool) -> int:
        return reset


@dataclass(slots=True, kw_only=True, eq=False)
class PaperRack:
    """Every qubit reads 0. `gate` holds a run until it is opened; each of `faults` is raised at the end of a run.

    What `before` holds under a step's name is called in the rack's thread as that step begins.
    """

    capacity: FewShots = field(default_factory=lambda: FewShots(most=1000))
    feedforward: FeedForward | None = None
    grid: RegisterGrid = EXACT
    faults: list[Exception | None] = field(default_factory=list)
    connect_faults: list[Exception] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    running: threading.Event = field(default_factory=threading.Event)
    log: list[str] = field(default_factory=list)
    loaded: PaperAssembly | None = None
    ahead: list[Chunk] = field(default_factory=list)
    brought: threading.Event = field(default_factory=threading.Event)
    before: dict[str, Callable[[], None]] = field(default_factory=dict[str, Callable[[], None]])

    def connect(self) -> None:
        self.log.append("connect")
        if self.connect_faults:
            raise self.connect_faults.pop(0)

    def close(self) -> None:
        self.log.append("close")

    def check(self, chunk: Chunk) -> None:
        assert chunk.programs

    def vouch(self, chunk: Chunk) -> bool:
        assert len(chunk.programs) == 1
        return False

    def assemble(self, chunk: Chunk) -> PaperAssembly:
        return PaperAssembly(chunk=chunk)

    def load(self, assembly: Assembly, *, give_up: Callable[[], bool] = never) -> LoadReport:
        assert isinstance(assembly, PaperAssembly)
        self.before.get("load", nothing)()
        if give_up():
            raise RunBrokenOffError(resource="paper")
        self.loaded = assembly
        return LoadReport(upload_bytes=0, reused_bytes=0)

    def arm(self) -> None:
        assert self.loaded is not None

    def start(self) -> None:
        self.log.append("start")

    def load_ahead(self, assembly: Assembly) -> LoadReport | None:
        """Takes it in two pieces."""
        assert isinstance(assembly, PaperAssembly)
        assert assembly is not self.loaded
        self.ahead.append(assembly.chunk)
        if len(self.ahead) <= 2:
            return LoadReport(upload_bytes=0, reused_bytes=0)
        self.brought.set()
        return None

    def wait(
        self, deadline: float, *, give_up: Callable[[], bool] = never, meanwhile: Callable[[], None] = nothing
    ) -> None:
        self.running.set()
        forgotten = time.monotonic() + 60.0
        while not self.gate.wait(0.01):
            assert time.monotonic() < forgotten, "the test left the gate shut"
            meanwhile()
            if give_up():
                self.running.clear()
                raise RunBrokenOffError(resource="paper")
        self.running.clear()
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault

    def fetch(self) -> PaperReadings:
        assert self.loaded is not None
        self.before.get("fetch", nothing)()
        return PaperReadings(
            points=tuple(
                np.full((self.loaded.shots, len(program.acquisitions.start)), -1.0, dtype=np.complex64)
                for program in self.loaded.chunk.programs
            )
        )

    def stop(self) -> None:
        self.log.append("stop")
        if self.connect_faults:
            raise self.connect_faults.pop(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Served:
    """A daemon that serves."""

    rack: PaperRack
    address: str
    channel: grpc.aio.Channel
    task: asyncio.Task[None]
    """Ends when the daemon does."""
    stop: Callable[[], Coroutine[Any, Any, None]]
    """Tell it to stop, and wait until it has."""

    @property
    def jobs(self) -> jobs_pb2_grpc.JobsAsyncStub:
        return jobs_pb2_grpc.JobsStub(self.channel)

    @property
    def backends(self) -> backends_pb2_grpc.BackendsAsyncStub:
        return backends_pb2_grpc.BackendsStub(self.channel)

    @property
    def calibrations(self) -> calibrations_pb2_grpc.CalibrationsAsyncStub:
        return calibrations_pb2_grpc.CalibrationsStub(self.channel)

    async def begin_stop(self) -> asyncio.Task[None]:
        """Tell it to stop; on return it takes nothing more."""
        watch = health_pb2_grpc.HealthStub(self.channel).Watch(health_pb2.HealthCheckRequest(service=""))
        stopping = asyncio.ensure_future(self.stop())
        async for answer in watch:
            if answer.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                break
        return stopping

    async def submit(self, request: jobs_pb2.SubmitRequest) -> str:
        return str((await self.jobs.Submit(request)).job_id)

    async def events(self, job_id: str, *, after: int = 0) -> list[JobEvent]:
        """Give what is kept of a job to its end; its place in the queue, and where the watch stands, are never kept."""
        watch = self.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id, after_sequence=after))
        events = [event async for message in watch for event in decode_events(message)]
        return [event for event in events if not isinstance(event.what, QueuePlace | Bookmark)]

    async def statuses(self, job_id: str) -> list[str]:
        return [event.what.status.value for event in await self.events(job_id) if isinstance(event.what, StatusChange)]

    async def job(self, job_id: str) -> Job:
        return decode_job((await self.jobs.Get(jobs_pb2.JobsGetRequest(job_id=job_id))).job)

    async def results(self, job_id: str, *, skip: int = 0) -> list[ProgramResult]:
        stream = self.jobs.Results(jobs_pb2.ResultsRequest(job_id=job_id, skip=skip))
        return [result async for message in stream for result in decode_results(message.SerializeToString())]


Serve = Callable[..., AbstractAsyncContextManager[Served]]


class Passed:
    """Tells when the event loop comes by a place for the n-th time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, place: str, *, nth: int = 1) -> None:
        self._place = place
        self._left = nth
        self._reached = asyncio.Event()
        monkeypatch.setattr(module, "failpoint", self._come_by)

    async def wait(self) -> None:
        await self._reached.wait()

    def _come_by(self, place: str) -> None:
        self._left -= place == self._place
        if self._left == 0:
            self._reached.set()


class CompiledLate:
    """Keeps every job that starts waiting for its compiler, which nobody asked before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        take = Workshop.take

        async def take_long(workshop: Workshop, *args: Any) -> Any:
            self.begun.set()
            await self.go_on.wait()
            return await take(workshop, *args)

        def kept_by_nobody(*_: Any) -> None:
            """Have every job compiled as it starts."""

        monkeypatch.setattr(Workshop, "take", take_long)
        monkeypatch.setattr(Workshop, "kept", kept_by_nobody)


class Hold:
    """Keeps a thread from going on, the n-th time it comes by."""

    def __init__(self, nth: int = 1) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self._left = nth

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            assert self.go_on.wait(60), "the test forgot to let it go on"


def written_late(monkeypatch: pytest.MonkeyPatch, what: str) -> Hold:
    """Hold the store's writer before one kind of write, named like the method of `JobWrites`."""
    hold, write = Hold(), getattr(JobWrites, what)

    def write_late(self: JobWrites, *args: Any, **named: Any) -> Any:
        hold()
        return write(self, *args, **named)

    monkeypatch.setattr(JobWrites, what, write_late)
    return hold


def taken_late(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Have jobs written only when the event is set; other writes wait behind them."""
    may_write, accept = threading.Event(), JobWrites.accept

    def accept_late(self: JobWrites, new: NewJob) -> Accepted:
        assert may_write.wait(60), "the test forgot to let jobs be written"
        return accept(self, new)

    monkeypatch.setattr(JobWrites, "accept", accept_late)
    return may_write


@asynccontextmanager
async def served(
    data_dir: Path,
    *,
    rack: PaperRack | None = None,
    device: DeviceFile | None = None,
    host: str = "127.0.0.1",
    wants_certificates: bool = False,
    store: str = "",
    files: KitFiles | None = None,
    quotas: Quotas | None = None,
    supervisor: Supervisor | None = None,
) -> AsyncGenerator[Served]:
    """Serve in this process until the block ends."""
    paper = rack or PaperRack()
    running = RunningRack(rack=replace(load_rack(), time="real"), controller=paper)
    settings = DaemonSettings(
        device=device or load_device("line5"),
        rack=lambda: nullcontext(running),
        data_dir=data_dir,
        host=host,
        port=0,
        wants_certificates=wants_certificates,
        store=store,
        files=files,
        quotas=quotas or Quotas(),
        supervisor=supervisor or unsupervised(),
    )
    stop = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_daemon(settings, stop=stop, on_serving=port.set_result))
    either: list[asyncio.Future[Any]] = [task, port]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()

    async def end() -> None:
        stop.set()
        await task

    address = f"127.0.0.1:{port.result()}"
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            yield Served(rack=paper, address=address, channel=channel, task=task, stop=end)
        finally:
            paper.gate.set()
            await end()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_stores") and "store_kind" in metafunc.fixturenames:
        metafunc.parametrize("store_kind", ["sqlite", "postgres"])


@pytest.fixture
def store_kind() -> str:
    """What keeps the jobs; tests that are marked `both_stores` run with each."""
    return "sqlite"


@pytest.fixture
def serve(tmp_path: Path, store_kind: str, request: pytest.FixtureRequest) -> Serve:
    """Serve on a data directory, and a database, of this test; twice in a row is a restart."""
    store = request.getfixturevalue("store_url") if store_kind == "postgres" else ""
    return functools.partial(served, tmp_path / "data", store=store)


@pytest.fixture
def store_url(postgres: PostgresServer) -> str:
    """The store of this test's group."""
    return postgres.new_schema()


@pytest.fixture
def serve_fridge(tmp_path: Path, store_url: str) -> Serve:
    """Serve a fridge of this test's group, given its name; twice in a row is a restart."""

    def serve(name: str, *, folder: Path | None = None, **options: Any) -> AbstractAsyncContextManager[Served]:
        file = load_device("line5")
        device = replace(file, device=replace(file.device, name=name))
        return served(folder or tmp_path / name, device=device, store=store_url, **options)

    return serve


@pytest.fixture
def shut_rack() -> PaperRack:
    """A rack whose runs last until its gate is opened."""
    return PaperRack()


@pytest.fixture
def open_rack_of() -> Callable[..., PaperRack]:
    """A rack whose runs end at once."""

    def make(**fields: Any) -> PaperRack:
        rack = PaperRack(**fields)
        rack.gate.set()
        return rack

    return make


def bell(**fields: Any) -> JobSpec:
    """A Bell pair in native gates."""
    half = math.pi / 2
    circuit = CircuitBuilder(name="bell", num_qubits=5, num_clbits=2)
    for qubit in (0, 1):
        circuit.add("rz", qubit, params=(half,)).add("sx", qubit).add("rz", qubit, params=(half,))
    circuit.add("cz", 0, 1).add("rz", 1, params=(half,)).add("sx", 1).add("rz", 1, params=(half,))
    circuit.measure(0, 0).measure(1, 1)
    return replace(JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=100), **fields)


@pytest.fixture
def request_of() -> Callable[..., jobs_pb2.SubmitRequest]:
    """Make a request for a Bell job, each with a key of its own unless one is given."""
    numbers = itertools.count()

    def make(
        *, key: str | None = None, backend: str = "line5", terms: JobTerms | None = None, **fields: Any
    ) -> jobs_pb2.SubmitRequest:
        own = f"key-{next(numbers)}" if key is None else key
        return encode_submission(Submission(key=own, backend=backend, spec=bell(**fields), terms=terms or JobTerms()))

    return make
