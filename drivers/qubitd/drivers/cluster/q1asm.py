"""Q1ASM text of one sequencer: the shot loop outside, inside the programs of the chunk one after another, as loops
where they were folded.

Registers: R0 counts shots down, R1 is the bin of the next acquisition and only ever counts up, R2 counts long waits, R3
is the number of an integration's weights; those from R4 on belong to loops.
`instruction_count` states exactly what `program_text` writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from qubitd.drivers.cluster import native, q1asm_feedback
from qubitd.drivers.cluster.line_program import Fold, LineProgram
from qubitd.drivers.cluster.q1asm_compiled import events_text
from qubitd.drivers.cluster.q1asm_events import event_texts
from qubitd.drivers.cluster.q1asm_feedback import add_feedback
from qubitd.drivers.cluster.timeline import Kind
from qubitd.drivers.cluster.waits import SHORTEST, extra_instructions, first_wait

_HEAD_START = 4000
"""ns before the synchronisation in which the processor sets up the registers of loops."""


def program_text(part: LineProgram, *, shots: int) -> str:
    """Write one sequencer's program."""
    bins = "move 0,R1\n" if len(part.acquisitions.start) else ""
    weights = "move 0,R3\n" if part.weights.is_constant else ""
    part = part.turns or part
    body = "".join([piece.text for piece in _pieces(part)])
    sync = f"set_mrk 0\nupd_param {_HEAD_START if part.folds else SHORTEST}\nwait_sync {SHORTEST}\n"
    return f"move {shots},R0\n{bins}{weights}{sync}shot: {body}loop R0,@shot\nstop\n"


def instruction_count(part: LineProgram) -> int:
    """Count the instructions of `program_text`."""
    part = part.turns or part
    count = 6 + (len(part.acquisitions.start) > 0) + part.weights.is_constant
    return count + sum([piece.instructions for piece in _pieces(part)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stretch:
    """Programs that are written out, one after another."""

    part: LineProgram | None
    """None if nothing happens in them."""
    lead_in: int
    """Ticks before the first event."""
    label: str
    """Of waits that are loops."""

    @property
    def text(self) -> str:
        """Q1ASM."""
        before = first_wait(self.lead_in, self.label)
        if self.part is None:
            return before
        written = events_text(self.part, self.label)
        if written is not None:
            return before + written
        texts = event_texts(self.part, {}, self.label)
        if self.part.feedback is not None:
            add_feedback(self.part.feedback, self.part.timeline, texts, rf=self.part.tones is not None)
        return before + texts.joined()

    @property
    def instructions(self) -> int:
        """As many as the text has lines."""
        before = 1 + int(extra_instructions(np.array([self.lead_in]))[0]) if self.lead_in else 0
        return before if self.part is None else before + _event_count(self.part)


def _event_count(part: LineProgram) -> int:
    """Count what events write, with the waits behind them."""
    timeline, tones = part.timeline, part.tones
    acquisitions = len(part.acquisitions.start)
    events: list[int] = np.bincount(timeline.kind, minlength=len(Kind)).tolist()
    count = 2 * np.count_nonzero(part.weights.sets)
    count += 2 * (events[Kind.OPEN] + events[Kind.CLOSE] + events[Kind.SHIFT]) + events[Kind.PLAY]
    count += 3 * acquisitions + np.count_nonzero(part.sets_gain)
    waits = native.extra_instructions(timeline.gap)
    count += int(extra_instructions(timeline.gap).sum()) if waits is None else waits
    if tones is not None:
        count += np.count_nonzero(tones.play_sets_phase) + np.count_nonzero(tones.play_sets_frequency)
        count += np.count_nonzero(tones.acquisition_sets_frequency) + (2 + tones.changes) * events[Kind.BEGIN]
    if part.feedback is not None:
        count += q1asm_feedback.instruction_count(part.feedback, events[Kind.BEGIN])
    return int(count)


def _pieces(part: LineProgram) -> Iterator[Fold | _Stretch]:
    """Give loops, and what lies between them; each piece begins where the one before ended."""
    if not part.folds:
        yield _Stretch(part=part, lead_in=part.timeline.first_gap, label="w")
        return
    program, tick = 0, 0
    for number, fold in enumerate(part.folds):
        yield _between(part, program, fold.first, tick, fold.begin, f"p{number}w")
        yield fold
        program, tick = fold.stop, fold.end
    yield _between(part, program, len(part.layout.begin), tick, part.layout.total, "w")


def _between(part: LineProgram, first: int, stop: int, begin: int, end: int, label: str) -> _Stretch:
    """Give what happens in some programs, between two ticks."""
    inside = part.between(first, stop) if first < stop else None
    if inside is None or not len(inside.timeline.time):
        return _Stretch(part=None, lead_in=end - begin, label=label)
    times = inside.timeline.time
    gap = np.append(inside.timeline.gap[:-1], end - times[-1])
    inside = replace(inside, timeline=replace(inside.timeline, gap=gap))
    return _Stretch(part=inside, lead_in=int(times[0]) - begin, label=label)
