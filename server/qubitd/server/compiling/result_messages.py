"""From what a controller read to the messages that a job's owner gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

from qubitd.compiler.readout import discriminators
from qubitd.compiler.result import Wanted, assignments, program_results, readouts_of
from qubitd.core.device import Device
from qubitd.core.job import ProgramResult
from qubitd.core.program import Acquisitions, Chunk, Program
from qubitd.core.snapshot import Snapshot
from qubitd.core.sweep import Sweep
from qubitd.drivers.controller import Readings
from qubitd.server.compiling.compiled_job import Compiled
from qubitd.wire.results import ResultsWriter, pieces

_DISCRIMINATOR = ("readout.rotation", "readout.threshold")


class ResultMessages:
    """Makes the messages of results for one device; any thread may."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._last: tuple[object, Acquisitions, Wanted] | None = None
        """What was made of the last program, how that was read, and what else it depended on."""

    def __call__(self, compiled: Compiled, chunk: Chunk, readings: Readings) -> tuple[bytes, ...]:
        """Turn what was read of a chunk into what its job asked for.

        Returns:
            `qubitd.v1.ResultsResponse` messages of one piece each.
        """
        results, writer = self._results(compiled, chunk, readings), ResultsWriter()
        return tuple(writer.write(piece) for result in results for piece in pieces(result))

    def _results(self, compiled: Compiled, chunk: Chunk, readings: Readings) -> Iterator[ProgramResult]:
        sweep = compiled.spec.sweep
        found = _traces(chunk, readings) if chunk.raw else self._read(compiled, chunk, readings)
        if not sweep.names:
            yield from found
            return
        for result in found:
            played = tuple(_point_of(sweep, result.program).items())
            yield replace(result, played=played) if played else result

    def _read(self, compiled: Compiled, chunk: Chunk, readings: Readings) -> Iterator[ProgramResult]:
        """Programs that are read alike are read together."""
        has_own = _sweeps_discriminators(compiled.spec.sweep)
        points, outcomes = readings.points, readings.outcomes
        readouts = enumerate(readouts_of(chunk.programs))
        keys = (readout + ((offset,) if has_own else ()) for offset, readout in readouts)
        for _, group in groupby(enumerate(keys), key=itemgetter(1)):
            offsets = [offset for offset, _ in group]
            among, index = slice(offsets[0], offsets[-1] + 1), chunk.first_program + offsets[0]
            program = chunk.programs[offsets[0]]
            wanted = self._wanted(compiled, program, index)
            yield from program_results(
                program, points[among], wanted, first=index, first_shot=chunk.first_shot, told=outcomes[among]
            )

    def _wanted(self, compiled: Compiled, program: Program, index: int) -> Wanted:
        """What is made of a program; that of the last one is known if it is read alike."""
        spec, snapshot, read = compiled.spec, compiled.snapshot, program.acquisitions
        if _sweeps_discriminators(spec.sweep):
            return self._wanted_anew(compiled, program, index)
        of = (snapshot.digest, spec.meas_level, spec.meas_return, spec.herald)
        last = self._last
        if last is None or last[0] != of or last[1] is not read:
            last = self._last = (of, read, self._wanted_anew(compiled, program, index))
        return last[2]

    def _wanted_anew(self, compiled: Compiled, program: Program, index: int) -> Wanted:
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


def _traces(chunk: Chunk, readings: Readings) -> Iterator[ProgramResult]:
    for offset in range(len(chunk.programs)):
        index = chunk.first_program + offset
        yield ProgramResult(program=index, first_shot=chunk.first_shot, shots=chunk.shots, traces=readings.traces)


def _snapshot_at(compiled: Compiled, index: int) -> Snapshot:
    """The job's snapshot, or that of the program's grid point if the job sweeps a discriminator."""
    sweep, snapshot = compiled.spec.sweep, compiled.snapshot
    if _sweeps_discriminators(sweep):
        return snapshot.with_values(_point_of(sweep, index))
    return snapshot


def _sweeps_discriminators(sweep: Sweep) -> bool:
    return any(name.endswith(_DISCRIMINATOR) for name in sweep.names)


def _point_of(sweep: Sweep, index: int) -> dict[str, float]:
    """What a program of a job is played with: if bindings have values of their own, the job has one circuit."""
    return sweep.point(index if sweep.along is not None else index % sweep.num_points)
