"""What a chunk takes of a Cluster's memories, exactly as the assembler writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from qubitd.core.capacity import Usage
from qubitd.core.program import Chunk
from qubitd.drivers.cluster.columns import TAIL, lead_of
from qubitd.drivers.cluster.line_memory import LineMemory
from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.modules import (
    MAX_ACQUISITIONS,
    MAX_BINS,
    MAX_WAVEFORM_SAMPLES,
    MAX_WAVEFORMS,
    MAX_WEIGHT_SAMPLES,
    MAX_WEIGHTS,
)
from qubitd.drivers.cluster.q1asm import instruction_count
from qubitd.drivers.cluster.scope import scope_loads
from qubitd.drivers.cluster.work import ChunkWork, Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCapacity:
    """The memories of a Cluster as wired."""

    workbench: Workbench

    def usage(self, chunk: Chunk) -> Sequence[Usage]:
        """Count what a chunk takes of every memory of every sequencer that takes part.

        Raises:
            UnplayableProgramError: it could not be played whatever its size.
        """
        return chunk_usage(chunk, self.workbench.work_of(chunk), self.workbench.memory)

    def pause(self, reset: int, *, feeds: bool) -> int:
        """Give the ticks from the end of one program to the beginning of the next."""
        return lead_of(reset, feeds=feeds) + TAIL


def chunk_usage(chunk: Chunk, work: ChunkWork, memory: LineMemory) -> list[Usage]:
    """Count what a chunk takes, given what each sequencer does for it, and a memory of lines."""
    sequencers: list[Usage] = []
    for part, instructions in zip(work.parts, work.instructions, strict=True):
        count = partial(line_usage, shots=chunk.shots, instructions=instructions)
        sequencers += memory.usage(part, chunk.shots, count)
    return [*sequencers, *_scope_usage(chunk, work)]


def most_usage(chunk: Chunk, work: ChunkWork) -> list[Usage]:
    """Count what one shot of a chunk of one program takes at most, whatever the phases of its plays."""
    sequencers = (usage for part in work.parts for usage in _most_line_usage(part))
    return [*sequencers, *_scope_usage(chunk, work)]


def _most_line_usage(part: LineProgram) -> list[Usage]:
    tones = part.tones
    if tones is not None:
        tones = replace(tones, play_sets_phase=np.ones_like(tones.play_sets_phase))
    written_out = replace(part, tones=tones, turns=None, folds=())
    return line_usage(part, 1, instructions=instruction_count(written_out))


def _scope_usage(chunk: Chunk, work: ChunkWork) -> list[Usage]:
    return [usage for load in scope_loads(chunk, work.parts) for usage in load.usage()]


def line_usage(part: LineProgram, shots: int, *, instructions: int) -> list[Usage]:
    """Count what one sequencer's part takes."""
    waveforms = part.waveforms.waveforms
    counts = [
        ("instructions", instructions, part.wired.module.instructions),
        ("waveforms", len(waveforms), MAX_WAVEFORMS),
        ("waveform samples", sum(len(waveform.samples) for waveform in waveforms), MAX_WAVEFORM_SAMPLES),
    ]
    acquisitions = len(part.acquisitions.start)
    if acquisitions:
        weights = part.weights.weights
        counts += [
            ("bins", shots * acquisitions, MAX_BINS),
            ("acquisitions", 1, MAX_ACQUISITIONS),
            ("weights", len(weights), MAX_WEIGHTS),
            ("weight samples", sum(len(weight.samples) for weight in weights), MAX_WEIGHT_SAMPLES),
        ]
    return [
        Usage(
            sequencer=part.wired.name,
            memory=memory,
            used=used,
            limit=limit,
            written_out=part.written_out if memory == "instructions" and used > limit else "",
        )
        for memory, used, limit in counts
    ]
