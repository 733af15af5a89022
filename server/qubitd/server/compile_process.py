"""A process that looks at big jobs, at low priority, so that the daemon goes on answering.

It holds nothing: if it dies, the work is done again by another one.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Concatenate, ParamSpec, TypeVar

from qubitd.core.device import Device
from qubitd.core.job import JobSpec
from qubitd.core.plan import JobPlan
from qubitd.core.program import Chunk
from qubitd.core.snapshot import Snapshot
from qubitd.drivers.controller import Assembly
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import Rack
from qubitd.server.ceilings import ceilings_of
from qubitd.server.errors import CompileProcessError, CompileTooLongError
from qubitd.server.posix import step_back
from qubitd.server.rack import chunk_time
from qubitd.server.toolchain import Compiled, Part, Toolchain, Validated
from qubitd.v1 import calibrations_pb2, jobs_pb2
from qubitd.wire.calibrations import decode_snapshot, encode_snapshot
from qubitd.wire.parsing import parse
from qubitd.wire.specs import decode_spec

_log = logging.getLogger(__name__)
NICENESS = 10
"""Below everything else on the machine."""
ATTEMPTS = 2
"""How often the same work is begun; a second death is most likely its own doing."""
LONGEST = 600.0
"""Seconds after which work is taken to have no end: the biggest job that is accepted takes some tens."""

_P = ParamSpec("_P")
_Result = TypeVar("_Result")
_Work = Callable[Concatenate[Toolchain, _P], _Result]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What a process needs to know to compile as the daemon does."""

    device: Device
    rack: Rack


class CompileProcess:
    """Another process, started when it is first needed. Called by one thread at a time, which waits."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._is_closed = False

    @property
    def process_id(self) -> int | None:
        """Its number in the operating system; None before it is needed."""
        return None if self._process is None else self._process.pid

    @property
    def is_closed(self) -> bool:
        """Whether it does nothing more."""
        return self._is_closed

    def validate(self, spec: bytes, snapshot: Snapshot) -> Validated:
        """As `Toolchain.validate`; nothing compiled comes back.

        Raises:
            InvalidInputError: with every problem of the job.
            CompileProcessError: the process does not survive it.
            CompileTooLongError: it comes to no end.
        """
        return self._do(_validate, spec, _sent(snapshot))

    def compile(self, spec: bytes, snapshot: Snapshot) -> Compiled:
        """As `Toolchain.compile`; each part is made there, and assembled, when it is taken.

        Raises:
            InvalidInputError: with every problem of the job.
        """
        decoded = decode_spec(parse(jobs_pb2.JobSpec, spec))
        return Compiled(spec=decoded, snapshot=snapshot, parts=self._parts(spec, _sent(snapshot)))

    def _parts(self, spec: bytes, snapshot: bytes) -> Iterator[Part]:
        """A process that was started since the last part, or was given another job, is told the job again."""
        job = hashlib.sha256(spec + snapshot).digest()
        for n in itertools.count():
            made = self._do(_part, job, n, None)
            if not made.is_known:
                made = self._do(_part, job, n, (spec, snapshot))
            if made.ready is None:
                return
            chunk, assembly = made.ready
            yield Part(chunk=chunk, assemble=partial(_same, assembly))

    def explain(self, spec: JobSpec, snapshot: Snapshot, *, queue_length: int) -> JobPlan:
        """As `Toolchain.explain`.

        Raises:
            InvalidInputError: with every problem of the job.
            CompileProcessError: the process does not survive it.
            CompileTooLongError: it comes to no end.
        """
        return self._do(_explain, spec, _sent(snapshot), queue_length)

    def close(self) -> None:
        """End the process, whatever it does; who waits for it is told."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()

    def _do(self, work: _Work[_P, _Result], *arguments: _P.args, **named: _P.kwargs) -> _Result:
        for _ in range(ATTEMPTS):
            connection = self._open()
            try:
                connection.send((work, arguments, named))
                if not connection.poll(LONGEST):
                    self._bury(connection, TimeoutError(f"no answer within {LONGEST:g} s"))
                    raise CompileTooLongError(seconds=LONGEST)
                result, error = connection.recv()
            except (EOFError, OSError) as death:
                self._bury(connection, death)
                continue
            if error is not None:
                raise error
            found: _Result = result
            return found
        raise CompileProcessError(attempts=ATTEMPTS)

    def _open(self) -> Connection:
        with self._lock:
            if self._is_closed:
                raise CompileProcessError(attempts=0)
            if self._process is None:
                context = multiprocessing.get_context("spawn")
                pipe: Any = context.Pipe()
                self._connection, theirs = pipe
                self._process = context.Process(target=_main, args=(theirs, self._kit), name="compile", daemon=True)
                self._process.start()
                theirs.close()
            connection: Connection = self._connection
            return connection

    def _bury(self, connection: Connection, death: Exception) -> None:
        with self._lock:
            connection.close()
            if self._process is not None:
                self._process.kill()
                self._process.join()
                _log.warning("the compiling process died", extra={"exit": self._process.exitcode, "cause": repr(death)})
            self._process = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Made:
    """What came of asking for a part of a job."""

    is_known: bool = True
    """Whether the process was at this part of this job."""
    ready: tuple[Chunk, Assembly] | None = None
    """None after the last part."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Progress:
    """How far the process has come in the job that runs; there is one in it."""

    job: bytes = b""
    following: int = 0
    parts: Iterator[Part] = field(default_factory=lambda: iter(()))


_PROGRESS = _Progress()


def _part(tools: Toolchain, job: bytes, n: int, told: tuple[bytes, bytes] | None) -> _Made:
    if (_PROGRESS.job, _PROGRESS.following) != (job, n):
        if told is None:
            return _Made(is_known=False)
        spec, snapshot = told
        parts = tools.compile(spec, _received(snapshot)).parts
        _PROGRESS.job, _PROGRESS.parts = job, itertools.islice(parts, n, None)
    _PROGRESS.following = n + 1
    part = next(_PROGRESS.parts, None)
    return _Made(ready=None if part is None else (part.chunk, part.assemble()))


def _same(assembly: Assembly) -> Assembly:
    return assembly


def _sent(snapshot: Snapshot) -> bytes:
    data: bytes = encode_snapshot(snapshot).SerializeToString()
    return data


def _received(data: bytes) -> Snapshot:
    return decode_snapshot(parse(calibrations_pb2.SnapshotResponse, data))


def _validate(tools: Toolchain, spec: bytes, snapshot: bytes) -> Validated:
    return replace(tools.validate(spec, _received(snapshot)), compiled=None)


def _explain(tools: Toolchain, spec: JobSpec, snapshot: bytes, queue_length: int) -> JobPlan:
    return tools.explain(spec, _received(snapshot), queue_length=queue_length)


def _main(connection: Connection, kit: Kit) -> None:
    """Work until the daemon hangs up. An interrupt from the keyboard is the daemon's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    step_back(NICENESS)
    tools = Toolchain(
        kit.device,
        open_rack(kit.rack),
        ceilings=ceilings_of(kit.rack),
        run_time=chunk_time(kit.rack),
        waits_for_real=kit.rack.time == "real",
        now=time.time_ns,
    )
    with contextlib.suppress(EOFError, OSError):
        while True:
            work, arguments, named = connection.recv()
            connection.send(_outcome(work, tools, arguments, named))


def _outcome(work: Callable[..., Any], tools: Toolchain, arguments: Any, named: Any) -> tuple[Any, Exception | None]:
    try:
        return work(tools, *arguments, **named), None
    except Exception as error:  # noqa: BLE001  # whatever it is, it is raised again where the work was asked for
        return None, error
