"""What short lines of single programs became, by what they play: jobs that differ in a few pulses share the others."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from qubitd.core.capacity import Usage
from qubitd.drivers.cluster.assembly import Exertion, SequencerLoad
from qubitd.drivers.cluster.columns import AcquisitionColumns, ChunkColumns, PlayColumns
from qubitd.drivers.cluster.line_program import LineProgram

_MOST_ROWS = 256
"""Plays and acquisitions of a line that is remembered."""
_MOST_ENVELOPES = 256
"""Envelopes of its job."""
_MOST_SAMPLES = 16_384
"""Of the envelopes of its job, all together; so of its waveforms and weights."""
_REMEMBERED = 256
"""Lines; the one that was asked for longest ago is forgotten first."""

V = TypeVar("V")


class LineMemory:
    """Lines that were worked out lately, and what followed from them. Threads may share it."""

    def __init__(self) -> None:
        self.programs: _Recent[LineProgram] = _Recent()
        """By `line_content`."""
        self.instructions: _Recent[int] = _Recent()
        """By line program, as all that follows."""
        self.exertions: _Recent[Exertion] = _Recent()
        self.loads: _Recent[SequencerLoad] = _Recent()
        """By line program and shots, as the next."""
        self.usages: _Recent[list[Usage]] = _Recent()

    def instruction_count(self, part: LineProgram, count: Callable[[LineProgram], int]) -> int:
        """Give the instructions of a line, counted once."""
        return self.instructions.get(part, lambda: count(part)) if is_short(part) else count(part)

    def exertion(self, part: LineProgram, find: Callable[[LineProgram], Exertion]) -> Exertion:
        """Give what a line carries, found out once."""
        return self.exertions.get(part, lambda: find(part)) if is_short(part) else find(part)

    def load(self, part: LineProgram, shots: int, write: Callable[[LineProgram], SequencerLoad]) -> SequencerLoad:
        """Give what a line's sequencer gets for so many shots, written once."""
        return self.loads.get((part, shots), lambda: write(part)) if is_short(part) else write(part)

    def usage(self, part: LineProgram, shots: int, count: Callable[[LineProgram], list[Usage]]) -> list[Usage]:
        """Give what a line takes of its sequencer's memories, counted once."""
        return self.usages.get((part, shots), lambda: count(part)) if is_short(part) else count(part)


def is_short(part: LineProgram) -> bool:
    """Whether a line is remembered."""
    rows = len(part.plays.start) + len(part.acquisitions.start)
    if rows > _MOST_ROWS or len(part.waveforms.real) > _MOST_ENVELOPES:
        return False
    samples = sum(len(wave.samples) for wave in (*part.waveforms.waveforms, *part.weights.weights))
    return samples <= _MOST_SAMPLES and len(part.layout.begin) == 1 and part.feedback is None


def line_content(
    columns: ChunkColumns, line: int, plays: PlayColumns, acquisitions: AcquisitionColumns
) -> Hashable | None:
    """Give all that decides what becomes of a line, equal for equal ones; None for one that is not remembered."""
    layout, envelopes = columns.layout, columns.tables.envelopes
    is_single = len(layout.begin) == 1 and columns.feedback is None
    if not is_single or len(plays.start) + len(acquisitions.start) > _MOST_ROWS:
        return None
    if len(envelopes) > _MOST_ENVELOPES or sum(len(envelope.samples) for envelope in envelopes) > _MOST_SAMPLES:
        return None
    return (
        columns.lines[line],
        layout.lead,
        layout.total,
        tuple([envelope.digest for envelope in envelopes]),
        *[getattr(plays, name).tobytes() for name in PlayColumns.__slots__ if name != "line"],
        *[getattr(acquisitions, name).tobytes() for name in AcquisitionColumns.__slots__ if name != "line"],
    )


class _Recent(Generic[V]):
    """The last few values, by their keys."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    def find(self, key: Hashable) -> V | None:
        """Give a value that is known."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: V) -> None:
        """Remember a value."""
        with self._lock:
            self._values[key] = value
            if len(self._values) > _REMEMBERED:
                self._values.popitem(last=False)

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Give a value, made if it is not known."""
        found = self.find(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found
