"""Q1ASM text of one sequencer: the shot loop outside, inside the programs of the chunk one after another, as loops
where they were folded.

Registers: R0 counts shots down, R1 is the bin of the next acquisition and only ever counts up, R2 counts long waits, R3
is the number of an integration's weights; those from R4 on belong to loops.
`instruction_count` states exactly what `program_text` writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from qubitd.drivers.cluster import q1asm_feedback
from qubitd.drivers.cluster.line_program import Fold, LineProgram
from qubitd.drivers.cluster.q1asm_events import event_texts
from qubitd.drivers.cluster.q1asm_feedback import add_feedback
from qubitd.drivers.cluster.q1asm_loops import loop_text, register_names
from qubitd.drivers.cluster.timeline import Kind
from qubitd.drivers.cluster.waits import SHORTEST, extra_instructions, wait_text

_HEAD_START = 4000
"""ns before the synchronisation in which the processor sets up the registers of loops."""


def program_text(part: LineProgram, *, shots: int) -> str:
    """Write one sequencer's program."""
    bins = "move 0,R1\n" if len(part.acquisitions.start) else ""
    weights = "move 0,R3\n" if part.weights.is_constant else ""
    part = part.turns or part
    body = _plain_text(part, part.timeline.first_gap, "w") if not part.folds else "".join(_folded_texts(part))
    sync = f"set_mrk 0\nupd_param {_HEAD_START if part.folds else SHORTEST}\nwait_sync {SHORTEST}\n"
    return f"move {shots},R0\n{bins}{weights}{sync}shot: {body}loop R0,@shot\nstop\n"


def instruction_count(part: LineProgram) -> int:
    """Count the instructions of `program_text`."""
    part = part.turns or part
    count = 6 + (len(part.acquisitions.start) > 0) + part.weights.is_constant
    if part.folds:
        return count + sum(text.count("\n") for text in _folded_texts(part))
    return count + _plain_count(part)


def _plain_text(part: LineProgram, lead_in: int, label: str) -> str:
    """Write programs out, one after another."""
    texts = event_texts(part, {}, label)
    if part.feedback is not None:
        add_feedback(part.feedback, part.timeline, texts, rf=part.tones is not None)
    return _first_wait(lead_in, label) + texts.joined()


def _plain_count(part: LineProgram) -> int:
    timeline, tones = part.timeline, part.tones
    acquisitions = len(part.acquisitions.start)
    events: list[int] = np.bincount(timeline.kind, minlength=len(Kind)).tolist()
    count = 2 * np.count_nonzero(part.weights.sets)
    if timeline.first_gap:
        count += 1 + int(extra_instructions(np.array([timeline.first_gap]))[0])
    count += 2 * (events[Kind.OPEN] + events[Kind.CLOSE] + events[Kind.SHIFT]) + events[Kind.PLAY]
    count += 3 * acquisitions + np.count_nonzero(part.sets_gain) + int(extra_instructions(timeline.gap).sum())
    if tones is not None:
        count += np.count_nonzero(tones.play_sets_phase) + np.count_nonzero(tones.play_sets_frequency)
        count += np.count_nonzero(tones.acquisition_sets_frequency) + (2 + tones.changes) * events[Kind.BEGIN]
    if part.feedback is not None:
        count += q1asm_feedback.instruction_count(part.feedback, events[Kind.BEGIN])
    return int(count)


def _folded_texts(part: LineProgram) -> Iterator[str]:
    """Write loops, and out what lies between them; each piece begins where the one before ended."""
    program, tick = 0, 0
    for number, fold in enumerate(part.folds):
        yield _between(part, program, fold.first, tick, fold.begin, f"p{number}w")
        yield _fold_text(fold, f"f{number}")
        program, tick = fold.stop, fold.end
    yield _between(part, program, len(part.layout.begin), tick, part.layout.total, "w")


def _between(part: LineProgram, first: int, stop: int, begin: int, end: int, label: str) -> str:
    """Write out what happens in some programs, between two ticks."""
    inside = part.between(first, stop)
    times = inside.timeline.time
    if not len(times):
        return _first_wait(end - begin, label)
    gap = np.append(inside.timeline.gap[:-1], end - times[-1])
    return _plain_text(replace(inside, timeline=replace(inside.timeline, gap=gap)), int(times[0]) - begin, label)


def _fold_text(fold: Fold, label: str) -> str:
    counters, counted = register_names(fold)
    registers = {
        name: {row: counted[number].operand for row, number in rows.items()} for name, rows in fold.counted.items()
    }
    texts = event_texts(fold.part, registers, f"{label}w")
    swept = {gap: "".join(f"wait {counted[one].operand}\n" for one in series) for gap, series in fold.waits.items()}
    for gap, text in swept.items():
        if gap > 0:
            texts.own_wait[gap - 1] = texts.wait_of(gap - 1) + text
    body = _first_wait(fold.lead_in, f"{label}w") + swept.get(0, "") + texts.joined()
    return loop_text(fold, body, counters, counted, label)


def _first_wait(gap: int, label: str) -> str:
    if gap == 0:
        return ""
    own, rest = wait_text(gap, label)
    return f"wait {own}\n{rest}"
