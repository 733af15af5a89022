"""Another process that looks at big jobs, so that the daemon goes on answering."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from qubitd.core.device import Device
from qubitd.core.job import JobSpec
from qubitd.core.plan import JobPlan
from qubitd.core.program import Chunk, Plays, Program, ProgramColumns
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep
from qubitd.drivers.controller import Assembly
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import Rack
from qubitd.server.compiling.compiled_job import Compiled, Part, Validated, assembled, is_light
from qubitd.server.compiling.helper_process import HelperProcess, Long, always
from qubitd.server.compiling.toolchain import Toolchain
from qubitd.server.instruments.ceilings import ceilings_of
from qubitd.server.instruments.rack import chunk_time
from qubitd.server.telemetry.spending import Activity
from qubitd.v1 import calibrations_pb2, jobs_pb2
from qubitd.wire.calibrations import decode_snapshot, encode_snapshot
from qubitd.wire.parsing import parse
from qubitd.wire.specs import decode_spec

NICENESS = 10
"""Below everything else on the machine."""
LONGEST = 600.0
"""Seconds after which work is taken to have no end: the biggest job that is accepted takes some tens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What a process needs to know to compile as the daemon does."""

    device: Device
    rack: Rack


class CompileProcess(HelperProcess[Toolchain]):
    """What a toolchain does, done in another process."""

    def __init__(self, kit: Kit, *, successor: CompileProcess | None = None) -> None:
        """Have a process.

        Args:
            kit: what it knows.
            successor: makes what follows on the first part of a job that was validated here; None where nothing that
                is compiled is wanted from here.
        """
        super().__init__(
            partial(_toolchain, kit), name="compile", task="compiles big jobs", niceness=NICENESS, longest=LONGEST
        )
        self._successor = successor

    def validate(self, spec: bytes, snapshot: Snapshot, *, is_wanted: Callable[[], bool] = always) -> Validated:
        """As `Toolchain.validate`; of what is compiled only the first part comes back, if there is a successor.

        Raises:
            InvalidInputError: with every problem of the job.
            HelperProcessError: the process does not survive it.
            HelperTooLongError: it comes to no end.
            HelperForgoneError: it is wanted no longer.
        """
        sent, is_opened = _sent(snapshot), self._successor is not None
        validated, opening = self.do_while(is_wanted, _validate, Long(spec), sent, is_opened=is_opened)
        if opening is None or self._successor is None:
            return validated
        return replace(validated, compiled=self._successor._opened(spec, snapshot, sent, opening))

    def compile(self, spec: bytes, snapshot: Snapshot) -> Compiled:
        """As `Toolchain.compile`; each part is made there, and assembled, when it is taken.

        Raises:
            InvalidInputError: with every problem of the job.
            HelperProcessError: the process does not survive it.
            HelperTooLongError: it comes to no end.
        """
        sent = _sent(snapshot)
        job = _name_of(spec, sent)
        played = self.do(_begun, job, Long(spec), sent)
        return Compiled(spec=_decoded(spec, played), snapshot=snapshot, parts=self._parts(job, spec, sent))

    def _opened(self, spec: bytes, snapshot: Snapshot, sent: bytes, opening: _Opening) -> Compiled:
        """Give a job of which another process made the first part."""
        first = Part(chunk=opening.chunk, assemble=partial(_same, opening.assembly), spent=opening.spent)
        following = iter(()) if opening.is_whole else self._parts(_name_of(spec, sent), spec, sent, first=1)
        return Compiled(
            spec=_decoded(spec, opening.played), snapshot=snapshot, parts=itertools.chain([first], following)
        )

    def _parts(self, job: bytes, spec: bytes, snapshot: bytes, *, first: int = 0) -> Iterator[Part]:
        """A process that was started since the last part, or was given another job, is told the job again."""
        for n in itertools.count(first):
            made = self.do(_part, job, n, None)
            if not made.is_known:
                made = self.do(_part, job, n, (Long(spec), snapshot))
            if made.ready is None:
                return
            chunk, assembly = made.ready
            yield Part(chunk=chunk, assemble=partial(_same, assembly), spent=made.spent)

    def explain(
        self,
        spec: JobSpec,
        snapshot: Snapshot,
        *,
        wants_expected: bool = False,
        is_wanted: Callable[[], bool] = always,
    ) -> JobPlan:
        """As `Toolchain.explain`.

        Raises:
            InvalidInputError: with every problem of the job.
            HelperProcessError: the process does not survive it.
            HelperTooLongError: it comes to no end.
            HelperForgoneError: it is wanted no longer.
        """
        sent = _sent(snapshot)
        return self.do_while(is_wanted, _explain, spec, sent, wants_expected=wants_expected)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Opening:
    """How a job that was validated begins."""

    played: Sweep
    """Its sweep, as it is played."""
    chunk: Chunk
    """Without its plays."""
    assembly: Assembly
    spent: Mapping[Activity, float]
    """Seconds that the chunk and its assembly took."""
    is_whole: bool
    """Whether nothing follows."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Made:
    """What came of asking for a part of a job."""

    is_known: bool = True
    """Whether the process was at this part of this job."""
    ready: tuple[Chunk, Assembly] | None = None
    """A chunk without its plays, assembled; None after the last part."""
    spent: Mapping[Activity, float] = field(default_factory=dict[Activity, float])
    """Seconds that these took."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Progress:
    """How far the process has come in the job that runs; there is one in it."""

    job: bytes = b""
    following: int = 0
    parts: Iterator[Part] = field(default_factory=lambda: iter(()))


_PROGRESS = _Progress()


def _begun(tools: Toolchain, job: bytes, spec: Long, snapshot: bytes) -> Sweep:
    """Be at the first part of a job, and give its sweep as it is played."""
    return _begin(tools, job, 0, spec, snapshot).spec.sweep


def _begin(tools: Toolchain, job: bytes, n: int, spec: Long, snapshot: bytes) -> Compiled:
    compiled = tools.compile(spec.data, _received(snapshot))
    _PROGRESS.job, _PROGRESS.following = job, n
    _PROGRESS.parts = itertools.islice(compiled.parts, n, None)
    return compiled


def _part(tools: Toolchain, job: bytes, n: int, told: tuple[Long, bytes] | None) -> _Made:
    if (_PROGRESS.job, _PROGRESS.following) != (job, n):
        if told is None:
            return _Made(is_known=False)
        _begin(tools, job, n, *told)
    _PROGRESS.following = n + 1
    part = next(_PROGRESS.parts, None)
    if part is None:
        return _Made()
    made = assembled(part)
    return _Made(ready=(_read_part(made.chunk), made.assemble()), spent=made.spent)


def _read_part(chunk: Chunk) -> Chunk:
    """Give a chunk without its plays, which nobody needs once it is assembled: programs that are read alike, such as
    thousands of bindings, cross as one.
    """
    if isinstance(chunk.programs, ProgramColumns):
        return replace(chunk, programs=chunk.programs.without_plays())
    silence = Plays(**{name: getattr(chunk.programs[0].plays, name)[:0] for name in Plays.__slots__})
    silent: dict[tuple[object, ...], Program] = {}
    programs: list[Program] = []
    for program in chunk.programs:
        shared = (id(program.acquisitions), id(program.tables), id(program.dynamics))
        key = (*shared, program.name, program.duration, program.num_clbits)
        if key not in silent:
            silent[key] = replace(program, plays=silence)
        programs.append(silent[key])
    return replace(chunk, programs=tuple(programs))


def _same(assembly: Assembly) -> Assembly:
    return assembly


def _sent(snapshot: Snapshot) -> bytes:
    data: bytes = encode_snapshot(snapshot).SerializeToString()
    return data


def _received(data: bytes) -> Snapshot:
    return decode_snapshot(parse(calibrations_pb2.SnapshotResponse, data))


def _validate(tools: Toolchain, spec: Long, snapshot: bytes, *, is_opened: bool) -> tuple[Validated, _Opening | None]:
    validated = tools.validate(spec.data, _received(snapshot))
    opening = None if validated.compiled is None or not is_opened else _opening(validated.compiled)
    return replace(validated, compiled=None), opening


def _opening(compiled: Compiled) -> _Opening | None:
    part, spec = next(compiled.parts), compiled.spec
    if not is_light(part.chunk):
        return None
    made = assembled(part)
    return _Opening(
        played=spec.sweep,
        chunk=_read_part(made.chunk),
        assembly=made.assemble(),
        spent=made.spent,
        is_whole=(len(part.chunk.programs), part.chunk.shots) == (spec.num_programs, spec.shots),
    )


def _name_of(spec: bytes, snapshot: bytes) -> bytes:
    return hashlib.sha256(spec + snapshot).digest()


def _decoded(spec: bytes, played: Sweep) -> JobSpec:
    return replace(decode_spec(parse(jobs_pb2.JobSpec, spec)), sweep=played)


def _explain(tools: Toolchain, spec: JobSpec, snapshot: bytes, *, wants_expected: bool) -> JobPlan:
    return tools.explain(spec, _received(snapshot), wants_expected=wants_expected)


def _toolchain(kit: Kit) -> Toolchain:
    return Toolchain(
        kit.device,
        open_rack(kit.rack),
        ceilings=ceilings_of(kit.rack),
        run_time=chunk_time(kit.rack),
        waits_for_real=kit.rack.time == "real",
        now=time.time_ns,
    )
