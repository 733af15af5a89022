"""The scope of a readout module: one averaged trace of its input per run, started by the acquisitions of one sequencer.

So a chunk that wants traces holds one program, in which the sequencer that starts the trace acquires once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.capacity import Usage
from qubitd.core.job import Trace
from qubitd.core.program import Chunk
from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.modules import MAX_SCOPE_SAMPLES
from qubitd.drivers.cluster.timeline import Kind
from qubitd.drivers.cluster.wiring import SequencerAddress

FULL_SCALE = 1 << 11
"""Per average: samples have 12 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeLoad:
    """What one module's scope is to record."""

    trigger: SequencerAddress
    """The sequencer whose acquisition starts the trace: the first on the feedline."""
    triggers: int
    """Acquisitions of that sequencer in one iteration of the shot loop."""
    programs: int
    """Programs that acquire on the feedline."""
    samples: int
    """From the first window's start to the last one's end, ns."""
    qubits: tuple[int, ...]
    """That are read through the feedline."""

    @property
    def changes(self) -> dict[str, object]:
        """Give the changes to the configuration of the module's scope."""
        number = self.trigger.sequencer
        return {
            "sel_path": [number, number],
            "trig": {"mode_path": [False, False]},
            "avg_en_path": [True, True],
        }

    def usage(self) -> Iterator[Usage]:
        """Count what is taken of the scope."""
        name = f"slot{self.trigger.slot}.scope"
        yield Usage(sequencer=name, memory="scope traces", used=self.programs, limit=1)
        yield Usage(sequencer=name, memory="acquisitions in one trace", used=self.triggers, limit=1)
        yield Usage(sequencer=name, memory="scope samples", used=self.samples, limit=MAX_SCOPE_SAMPLES)


def scope_loads(chunk: Chunk, parts: Sequence[LineProgram]) -> tuple[ScopeLoad, ...]:
    """Say what the scopes record for a chunk; nothing unless it wants traces."""
    reading = [part for part in parts if len(part.acquisitions.start)] if chunk.raw else []
    slots = sorted({part.wired.address.slot for part in reading})
    return tuple(_scope_load(chunk, [part for part in reading if part.wired.address.slot == slot]) for slot in slots)


def trace_of(load: ScopeLoad, sums: NDArray[np.complex128], averages: int) -> Trace:
    """Turn what was downloaded, a sum over averages, into a trace."""
    samples = sums[: load.samples] / (averages * FULL_SCALE)
    return Trace(qubits=load.qubits, samples=samples.astype(np.complex64))


def _scope_load(chunk: Chunk, parts: Sequence[LineProgram]) -> ScopeLoad:
    starts = [int(_times(part).min()) for part in parts]
    first = int(np.argmin(starts))
    end = max(int((_times(part) + part.acquisitions.length).max()) for part in parts)
    lines = {part.wired.line for part in parts}
    rows = [
        int(qubit)
        for program in chunk.programs
        for qubit, line in zip(program.acquisitions.qubit, program.acquisitions.line, strict=True)
        if program.lines[line] in lines
    ]
    return ScopeLoad(
        trigger=parts[first].wired.address,
        triggers=len(parts[first].acquisitions.start),
        programs=len({int(program) for part in parts for program in part.acquisitions.program}),
        samples=end - starts[first],
        qubits=tuple(sorted(set(rows))),
    )


def _times(part: LineProgram) -> NDArray[np.int64]:
    """When the acquisitions of a sequencer start within an iteration."""
    return np.asarray(part.timeline.time[part.timeline.kind == Kind.ACQUIRE])
