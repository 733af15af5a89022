"""What the compiler does for a job, from the bytes that came in to the messages that go out. Pure: it may run in any
thread.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from qubitd.compiler.block import Block
from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import Compiled as CheckedJob
from qubitd.compiler.compile import compile_job, passive_reset
from qubitd.compiler.expected import Distribution, expected
from qubitd.compiler.explain import explain
from qubitd.compiler.survey import Survey, disregard, survey
from qubitd.compiler.verify import Ceilings, Verify
from qubitd.compiler.verify_circuit import compared
from qubitd.core.device import Device
from qubitd.core.job import InitialReset, JobSpec, MeasLevel
from qubitd.core.plan import JobPlan, StagePlan
from qubitd.core.program import Chunk
from qubitd.core.snapshot import Snapshot
from qubitd.drivers.controller import Controller
from qubitd.server.compiling.compiled_job import Compiled, Part, Validated, assembled, is_light
from qubitd.server.compiling.result_messages import ResultMessages
from qubitd.server.compiling.spec_memory import MOST_REMEMBERED_BYTES, SpecMemory
from qubitd.server.jobs.events import Dated, Stage, reached
from qubitd.server.telemetry.meters import Meters
from qubitd.server.telemetry.spending import Activity

MOST_KEPT_BYTES = 4 * 2**20
"""Bytes of a job that may stay in memory, decoded and compiled, until it starts."""
_REMEMBERED = 32
"""Small jobs that are known when they come again."""
_STAGES = ("check", "schedule", "assemble", "run")
"""Of a job that is explained."""
_LONGEST_WAIT = 1_000_000
"""Ticks: before each shot an active reset is the usual one where a passive one takes longer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Known:
    """A job of one chunk that was looked at before, under a calibration of the same content."""

    spec: JobSpec
    part: Part
    instrument_seconds: float
    log: tuple[str, ...]


class Toolchain:
    """Compiler passes for one device on one controller."""

    def __init__(
        self,
        device: Device,
        controller: Controller,
        *,
        ceilings: Ceilings,
        run_time: int,
        waits_for_real: bool = False,
        now: Callable[[], int],
        meters: Meters | None = None,
    ) -> None:
        """Prepare for one device on one controller.

        Args:
            device: the chip.
            controller: what plays the programs.
            ceilings: of its lines.
            run_time: ticks that a chunk runs at most.
            waits_for_real: whether the instruments take the time that they are told to.
            now: ns since 1970-01-01 UTC.
            meters: that are told whether jobs were known; None for nobody's.
        """
        self._meters = meters or Meters()
        self.specs = SpecMemory()
        self._device = device
        self._run_time = run_time
        self._waits_for_real = waits_for_real
        self._verify = Verify(ceilings=ceilings, feedforward=controller.feedforward)
        self._controller = controller
        self._now = now
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[bytes, str], _Known] = OrderedDict()
        self.results = ResultMessages(device)
        """What was read of a chunk to what its job asked for."""

    def validate(self, spec: bytes, snapshot: Snapshot) -> Validated:
        """Decode, check, schedule: every program is made once and held against the rack, so that none is refused later.

        A small job that comes again with the same bytes, under a calibration of the same content, is known already.

        Raises:
            InvalidInputError: with every problem of the job.
        """
        known = self.recall(spec, snapshot)
        if known is not None:
            return known
        validated = self._looked_at(spec, snapshot)
        self._told(spec, snapshot)
        return validated

    def look_ahead(self, spec: bytes, snapshot: Snapshot) -> None:
        """Get to know a small job before it is to be validated; who validates it then is told what that took.

        Raises:
            InvalidInputError: as `validate`.
        """
        if not self.knows(spec, snapshot):
            self._looked_at(spec, snapshot)

    def _looked_at(self, spec: bytes, snapshot: Snapshot) -> Validated:
        self._meters.count("compiled", "no")
        began = time.monotonic()
        decoded = self.specs.of_bytes(spec)
        job = self._checked(decoded, snapshot)
        decoded = replace(decoded, sweep=job.sweep)
        checked = reached(Stage.CHECKED, self._now())
        pack = self._pack(job, decoded)
        opening: list[Part] = []
        found = self._surveyed(
            self._verified(job), pack, decoded, begin=lambda chunk: opening.append(self._opening(chunk, began))
        )
        events = (checked, reached(Stage.SCHEDULED, self._now()))
        is_whole = found.is_only_group and found.first.shots == decoded.shots
        if is_whole and len(spec) <= MOST_REMEMBERED_BYTES:
            known = _Known(
                spec=decoded,
                part=assembled(opening[0]),
                instrument_seconds=found.instrument_seconds,
                log=job.log,
            )
            self._remember(spec, snapshot, known)
            return _validated(known, snapshot, events)
        following = (
            self._parts(pack.cut(found.first, shots=decoded.shots))
            if found.is_only_group
            else self._made_again(spec, snapshot)
        )
        parts = itertools.chain(opening, itertools.islice(following, 1, None))
        is_kept = len(spec) <= MOST_KEPT_BYTES and (found.is_only_group or is_light(found.first))
        return Validated(
            instrument_seconds=found.instrument_seconds,
            events=events,
            log=job.log,
            compiled=Compiled(spec=decoded, snapshot=snapshot, parts=parts) if is_kept else None,
        )

    def _opening(self, chunk: Chunk, began: float) -> Part:
        """Give a job's first part, assembled if it may stay in memory until the job starts."""
        spent = {Activity.COMPILE: time.monotonic() - began}
        part = Part(chunk=chunk, assemble=partial(self._controller.assemble, chunk), spent=spent)
        return assembled(part) if is_light(chunk) else part

    def _made_again(self, spec: bytes, snapshot: Snapshot) -> Iterator[Part]:
        """Give all parts of a job; nothing is done before the first is asked for."""
        yield from self.compile(spec, snapshot).parts

    def _remember(self, spec: bytes, snapshot: Snapshot, known: _Known) -> None:
        """Know a job of one part from now on; the one that was asked for longest ago is forgotten."""
        with self._lock:
            self._known[spec, snapshot.digest] = known
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def _told(self, spec: bytes, snapshot: Snapshot) -> None:
        """Tell nobody else what a job took."""
        key = (spec, snapshot.digest)
        with self._lock:
            known = self._known.get(key)
            if known is not None and known.part.spent:
                self._known[key] = replace(known, part=replace(known.part, spent={}))

    def knows(self, spec: bytes, snapshot: Snapshot) -> bool:
        """Whether a job of the same bytes came before; who asks is about to bring it again."""
        key = (spec, snapshot.digest)
        with self._lock:
            is_known = key in self._known
            if is_known:
                self._known.move_to_end(key)
        return is_known

    def recall(self, spec: bytes, snapshot: Snapshot) -> Validated | None:
        """Say at once what `validate` would, if a job of the same bytes came before; None if it did not."""
        key = (spec, snapshot.digest)
        with self._lock:
            known = self._known.get(key)
            if known is None:
                return None
            self._known.move_to_end(key)
        self._told(spec, snapshot)
        self._meters.count("compiled", "yes")
        now = self._now()
        return _validated(known, snapshot, (reached(Stage.CHECKED, now), reached(Stage.SCHEDULED, now)))

    def compile(self, spec: bytes, snapshot: Snapshot) -> Compiled:
        """Prepare a validated job for its start; its programs are made as its chunks are taken.

        Raises:
            InvalidInputError: with every problem of the job.
        """
        began = time.monotonic()
        decoded = self.specs.of_bytes(spec)
        job = self._checked(decoded, snapshot)
        decoded = replace(decoded, sweep=job.sweep)
        chunks = self._pack(job, decoded)(self._verified(job), shots=decoded.shots)
        parts = self._parts(chunks, before=time.monotonic() - began)
        return Compiled(spec=decoded, snapshot=snapshot, parts=parts)

    def explain(self, spec: JobSpec, snapshot: Snapshot, *, wants_expected: bool = False) -> JobPlan:
        """Say what a job would take, having looked at it as `validate` does, and compared programs with their circuits;
        and what it would give if that is wanted.

        Raises:
            InvalidInputError: with every problem of the job.
            DriverError: the controller has no way to play it.
        """
        times = [self._now()]
        job = self._checked(spec, snapshot)
        times.append(self._now())
        pack = self._pack(job, spec)
        look = partial(self._surveyed, pack=pack, spec=spec)
        programs = itertools.chain.from_iterable(self._verified(job))
        found = explain(job, compared(job, programs), look=look, capacity=pack.capacity)
        times.append(self._now())
        assembly = self._controller.assemble(found.survey.first)
        times.append(self._now())
        seconds = [max(0, after - before) * 1e-9 for before, after in pairwise(times)]
        stages = zip(_STAGES, (*seconds, found.survey.instrument_seconds), strict=True)
        return JobPlan(
            programs=found.programs,
            memories=found.memories,
            upload_bytes=assembly.upload_bytes,
            loops=tuple(assembly.loops),
            stages=tuple(StagePlan(name=name, seconds=time) for name, time in stages),
            instrument_seconds=found.survey.instrument_seconds,
            revision=snapshot.revision,
            expected=self._expected(spec, snapshot) if wants_expected else (),
            log=job.log,
        )

    def _checked(self, spec: JobSpec, snapshot: Snapshot) -> CheckedJob:
        controller = self._controller
        spec = replace(spec, initial_reset=self._reset(spec, snapshot))
        return compile_job(self._device, snapshot, spec, feedforward=controller.feedforward, grid=controller.grid)

    def _expected(self, spec: JobSpec, snapshot: Snapshot) -> tuple[Distribution, ...]:
        return expected(
            self._device,
            snapshot,
            spec.batch,
            scheduling=spec.scheduling,
            dd=spec.dd,
            reset_rounds=spec.reset_rounds,
            initial_reset=self._reset(spec, snapshot),
            rep_delay=spec.rep_delay,
            feedforward=self._controller.feedforward,
        )

    def _reset(self, spec: JobSpec, snapshot: Snapshot) -> InitialReset:
        is_open = spec.initial_reset is InitialReset.AUTO
        return self._usual_reset(spec, snapshot) if is_open else spec.initial_reset

    def _usual_reset(self, spec: JobSpec, snapshot: Snapshot) -> InitialReset:
        """Active where a wait would really take long, and where nothing that was asked for rules it out."""
        is_possible = self._controller.feedforward is not None and spec.dd is None
        if not self._waits_for_real or not is_possible or spec.meas_level is MeasLevel.RAW:
            return InitialReset.PASSIVE
        is_long = passive_reset(self._device, snapshot) > _LONGEST_WAIT
        return InitialReset.ACTIVE if is_long else InitialReset.PASSIVE

    def _parts(self, chunks: Iterator[Chunk], *, before: float = 0.0) -> Iterator[Part]:
        """Give a job's parts; `before` are seconds that were spent on all of them, which the first one tells."""
        began = time.monotonic() - before
        for chunk in chunks:
            spent = {Activity.COMPILE: time.monotonic() - began}
            yield Part(chunk=chunk, assemble=partial(self._controller.assemble, chunk), spent=spent)
            began = time.monotonic()

    def _surveyed(
        self,
        blocks: Iterable[Block],
        pack: Pack,
        spec: JobSpec,
        *,
        begin: Callable[[Chunk], None] = disregard,
    ) -> Survey:
        return survey(
            blocks,
            pack,
            check=self._controller.check,
            shots=spec.shots,
            most_seconds=spec.max_execution_time,
            begin=begin,
            vouch=self._controller.vouch,
        )

    def _pack(self, job: CheckedJob, spec: JobSpec) -> Pack:
        is_raw = spec.meas_level is MeasLevel.RAW
        return Pack(capacity=self._controller.capacity, reset=job.reset, run_time=self._run_time, raw=is_raw)

    def _verified(self, job: CheckedJob) -> Iterator[Block]:
        for block in job.blocks():
            self._verify.check(block)
            yield block


def _validated(known: _Known, snapshot: Snapshot, events: tuple[Dated, ...]) -> Validated:
    return Validated(
        instrument_seconds=known.instrument_seconds,
        events=events,
        log=known.log,
        compiled=Compiled(spec=known.spec, snapshot=snapshot, parts=iter((known.part,)), is_made=True),
    )
