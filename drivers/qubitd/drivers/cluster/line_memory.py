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

_PLAYED = tuple(name for name in PlayColumns.__slots__ if name != "line")
_ACQUIRED = tuple(name for name in AcquisitionColumns.__slots__ if name != "line")

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

    def line_program(self, content: Hashable | None, work_out: Callable[[], LineProgram | None]) -> LineProgram | None:
        """Give a line by its `line_content`, worked out once, as one that is known, if it has one and can be played."""
        known = None if content is None else self.programs.find(content)
        if known is not None:
            return known
        made = work_out()
        if made is not None and content is not None:
            self.programs.put(content, made)
        return made

    def instruction_count(self, part: LineProgram, count: Callable[[LineProgram], int]) -> int:
        """Give the instructions of a line, counted once."""
        return self.instructions.get(part, lambda: count(part)) if part.is_known else count(part)

    def exertion(self, part: LineProgram, find: Callable[[LineProgram], Exertion]) -> Exertion:
        """Give what a line carries, found out once."""
        return self.exertions.get(part, lambda: find(part)) if part.is_known else find(part)

    def load(self, part: LineProgram, shots: int, write: Callable[[LineProgram], SequencerLoad]) -> SequencerLoad:
        """Give what a line's sequencer gets for so many shots, written once."""
        return self.loads.get((part, shots), lambda: write(part)) if part.is_known else write(part)

    def usage(self, part: LineProgram, shots: int, count: Callable[[LineProgram], list[Usage]]) -> list[Usage]:
        """Give what a line takes of its sequencer's memories, counted once."""
        return self.usages.get((part, shots), lambda: count(part)) if part.is_known else count(part)


def chunk_content(columns: ChunkColumns) -> Hashable | None:
    """Give all of a chunk that any of its lines may depend on; None if none of them is remembered."""
    layout, envelopes = columns.layout, columns.tables.envelopes
    if len(layout.begin) > 1 or columns.feedback is not None or len(envelopes) > _MOST_ENVELOPES:
        return None
    if sum([len(envelope.samples) for envelope in envelopes]) > _MOST_SAMPLES:
        return None
    return (layout.lead, layout.total, *[envelope.digest for envelope in envelopes])


def line_content(line: str, common: Hashable, plays: PlayColumns, acquisitions: AcquisitionColumns) -> Hashable | None:
    """Give all that decides what becomes of a line, equal for equal ones; None for one that is not remembered.

    Args:
        line: its name.
        common: the `chunk_content` of its chunk.
        plays: on the line.
        acquisitions: on the line.
    """
    if common is None or len(plays.start) + len(acquisitions.start) > _MOST_ROWS:
        return None
    return (
        line,
        common,
        _content(plays, _PLAYED),
        _content(acquisitions, _ACQUIRED),
    )


def _content(rows: PlayColumns | AcquisitionColumns, names: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple([getattr(rows, name).tobytes() for name in names]) if len(rows.start) else ()


class _Recent(Generic[V]):
    """The last few values, by their keys."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    def find(self, key: Hashable) -> V | None:
        """Give a value that is known."""
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
            return found

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
