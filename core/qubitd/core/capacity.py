"""How much a controller holds: exact counts per sequencer and memory, so that a chunk fits or is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from qubitd.core.program import Chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a chunk takes of one memory of one sequencer."""

    sequencer: str
    """Such as `slot1.seq0 (q0.drive)`."""
    memory: str
    """`instructions`, `waveforms`, `waveform samples`, `weights`, `weight samples`, `bins` or `acquisitions`."""
    used: int
    limit: int
    written_out: str = ""
    """Why what repeats in it is not played as loops, where these would have been needed; else empty."""

    @property
    def fits(self) -> bool:
        """Whether the memory holds it."""
        return self.used <= self.limit


class Capacity(Protocol):
    """A controller's limits, as a pure function."""

    def usage(self, chunk: Chunk) -> Sequence[Usage]:
        """Count what a chunk takes of every memory, exactly as the assembler will emit it."""
        ...

    def pause(self, reset: int, *, feeds: bool) -> int:
        """Give the ticks from the end of one program to the beginning of the next.

        Args:
            reset: ticks of passive reset before each program.
            feeds: whether the programs act on outcomes while they run.
        """
        ...
