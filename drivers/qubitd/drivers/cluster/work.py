"""What each sequencer does for a chunk, worked out once: a chunk is counted before it is cut, then written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qubitd.core.program import Chunk, Program
from qubitd.drivers.cluster.chunk_lines import chunk_line_programs
from qubitd.drivers.cluster.columns import Layout, chunk_columns
from qubitd.drivers.cluster.line_memory import LineMemory
from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.q1asm import instruction_count
from qubitd.drivers.cluster.wiring import Wiring

MOST_ROWS = 2**17
"""Plays and acquisitions of a chunk whose work is kept: some 200 bytes each."""
_KEPT = 2
"""Chunks whose work is kept: the largest that fitted and the one that did not."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkWork:
    """A chunk as register values, for any number of shots."""

    programs: Sequence[Program]
    reset: int
    layout: Layout
    acquisitions: Sequence[int]
    """Of each program."""
    feeds: bool
    """Whether anything depends on an outcome."""
    parts: Sequence[LineProgram]
    """By the addresses of their sequencers."""
    instructions: Sequence[int]
    """Of each part's program, which are the same for any number of shots."""

    def is_of(self, chunk: Chunk) -> bool:
        """Whether it is the work of these very programs."""
        if self.reset != chunk.reset or len(self.programs) != len(chunk.programs):
            return False
        pairs = zip(self.programs, chunk.programs, strict=True)
        return self.programs is chunk.programs or all(mine is other for mine, other in pairs)


class Workbench:
    """Works chunks out for a Cluster as wired, and keeps the last few. Threads may share it."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self.memory = LineMemory()
        self._kept: tuple[ChunkWork, ...] = ()

    def work_of(self, chunk: Chunk) -> ChunkWork:
        """Give what each sequencer does for a chunk.

        Raises:
            UnplayableProgramError: the wiring or the hardware has no way to play a program.
        """
        kept = self._kept
        found = next((work for work in kept if work.is_of(chunk)), None)
        if found is None:
            found = self._worked_out(chunk)
            self._kept = (found, *kept)[:_KEPT] if chunk.num_rows <= MOST_ROWS else ()
        return found

    def _worked_out(self, chunk: Chunk) -> ChunkWork:
        columns = chunk_columns(chunk)
        parts = chunk_line_programs(columns, self._wiring, self.memory)
        return ChunkWork(
            programs=chunk.programs,
            reset=chunk.reset,
            layout=columns.layout,
            acquisitions=columns.acquisition_counts,
            feeds=columns.feedback is not None,
            parts=parts,
            instructions=[self.memory.instruction_count(part, instruction_count) for part in parts],
        )
