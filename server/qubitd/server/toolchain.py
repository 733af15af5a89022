"""What the compiler does for a job, from the bytes that came in to the messages that go out. Pure: it may run in any
thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qubitd.compiler.chunk import Pack
from qubitd.compiler.compile import compile_job
from qubitd.compiler.readout import discriminators
from qubitd.compiler.result import Wanted, assignments, program_result
from qubitd.compiler.verify import Ceilings, Verify
from qubitd.core.device import Device
from qubitd.core.job import JobSpec, MeasLevel, ProgramResult
from qubitd.core.program import Chunk, Program
from qubitd.core.snapshot import Snapshot
from qubitd.core.ticks import TICK
from qubitd.drivers.controller import Controller, Readings
from qubitd.server.events import Dated, Stage, reached
from qubitd.v1 import jobs_pb2
from qubitd.wire.parsing import parse
from qubitd.wire.results import encode_result, pieces
from qubitd.wire.specs import decode_spec

_DISCRIMINATOR = ("readout.rotation", "readout.threshold")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compiled:
    """A job that can run under one revision."""

    spec: JobSpec
    snapshot: Snapshot
    instrument_seconds: float
    """That all shots take on the instruments, as far as the first chunk tells."""
    chunks: Iterator[Chunk]
    """Made as they are taken, once; the first is made already."""
    events: tuple[Dated, ...]
    """The stages that it passed through."""
    log: tuple[str, ...]
    """What its owner should know."""


class Toolchain:
    """Compiler passes for one device on one controller."""

    def __init__(
        self, device: Device, controller: Controller, *, ceilings: Ceilings, run_time: int, now: Callable[[], int]
    ) -> None:
        """Prepare for one device on one controller.

        Args:
            device: the chip.
            controller: what plays the programs.
            ceilings: of its lines.
            run_time: ticks that a chunk runs at most.
            now: ns since 1970-01-01 UTC.
        """
        self._device = device
        self._run_time = run_time
        self._verify = Verify(ceilings=ceilings)
        self._controller = controller
        self._now = now

    def pack(self, spec: JobSpec, *, reset: int) -> Pack:
        """Say how a job with this passive reset, in ticks, is cut into chunks."""
        is_raw = spec.meas_level is MeasLevel.RAW
        return Pack(capacity=self._controller.capacity, reset=reset, run_time=self._run_time, raw=is_raw)

    def compile(self, spec: bytes, snapshot: Snapshot) -> Compiled:
        """Decode, check, and schedule the first chunk.

        Raises:
            InvalidInputError: with every problem of the job.
        """
        decoded = decode_spec(parse(jobs_pb2.JobSpec, spec))
        compiled = compile_job(self._device, snapshot, decoded)
        checked = reached(Stage.CHECKED, self._now())
        chunks = self.pack(decoded, reset=compiled.reset)(self._verified(compiled.blocks()), shots=decoded.shots)
        first = list(itertools.islice(chunks, 1))
        return Compiled(
            spec=decoded,
            snapshot=snapshot,
            instrument_seconds=_instrument_seconds(first, decoded),
            chunks=itertools.chain(first, chunks),
            events=(checked, reached(Stage.SCHEDULED, self._now())),
            log=compiled.log,
        )

    def results(self, compiled: Compiled, chunk: Chunk, readings: Readings) -> tuple[bytes, ...]:
        """Turn what was read of a chunk into what the job asked for, as `qubitd.v1.ResultsResponse` messages."""
        found = (self._result(compiled, chunk, offset, readings) for offset in range(len(chunk.programs)))
        return tuple(
            jobs_pb2.ResultsResponse(result=encode_result(piece)).SerializeToString()
            for result in found
            for piece in pieces(result)
        )

    def _verified(self, blocks: Iterator[tuple[Program, ...]]) -> Iterator[Program]:
        for programs in blocks:
            self._verify(*programs)
            yield from programs

    def _result(self, compiled: Compiled, chunk: Chunk, offset: int, readings: Readings) -> ProgramResult:
        program, index = chunk.programs[offset], chunk.first_program + offset
        if chunk.raw:
            return ProgramResult(program=index, first_shot=chunk.first_shot, shots=chunk.shots, traces=readings.traces)
        iq = readings.points[offset]
        wanted = self._wanted(compiled, program, index)
        return program_result(program, iq, wanted, index=index, first_shot=chunk.first_shot)

    def _wanted(self, compiled: Compiled, program: Program, index: int) -> Wanted:
        spec = compiled.spec
        snapshot = _snapshot_at(compiled, index)
        has_bits = spec.meas_level.has_bits
        return Wanted(
            level=spec.meas_level,
            meas_return=spec.meas_return,
            herald=spec.herald,
            discriminators=discriminators(self._device, snapshot, program) if has_bits or spec.herald else {},
            assignment=assignments(self._device, snapshot, program) if has_bits else (),
        )


def _snapshot_at(compiled: Compiled, index: int) -> Snapshot:
    """The job's snapshot, or that of the program's grid point if the job sweeps a discriminator."""
    sweep, snapshot = compiled.spec.sweep, compiled.snapshot
    if any(name.endswith(_DISCRIMINATOR) for axis in sweep.axes for name in axis.names):
        return snapshot.with_values(sweep.point(index % sweep.num_points))
    return snapshot


def _instrument_seconds(first: Sequence[Chunk], spec: JobSpec) -> float:
    """Scale the time of the first chunk up to the whole job."""
    ticks = sum(chunk.shots * sum(p.duration + chunk.reset for p in chunk.programs) for chunk in first)
    done = sum(chunk.shots * len(chunk.programs) for chunk in first)
    return ticks * TICK * spec.num_programs * spec.shots / max(done, 1)
