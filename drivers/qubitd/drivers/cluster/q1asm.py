"""Q1ASM text of one sequencer: the shot loop outside, inside the programs of the chunk one after another, as loops
where they were folded.

Registers: R0 counts shots down, R1 is the bin of the next acquisition and only ever counts up, R2 counts long waits, R3
is the number of an integration's weights; those from R4 on belong to loops.
`instruction_count` states exactly what `program_text` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qubitd.core.program import BOXCAR
from qubitd.drivers.cluster import q1asm_feedback
from qubitd.drivers.cluster.folding import Operands, operands_of
from qubitd.drivers.cluster.line_program import Fold, LineProgram
from qubitd.drivers.cluster.q1asm_feedback import add_feedback
from qubitd.drivers.cluster.q1asm_loops import loop_text, register_names
from qubitd.drivers.cluster.timeline import Kind
from qubitd.drivers.cluster.waits import LONGEST, SHORTEST, extra_instructions, wait_text

Ints = NDArray[np.int64]

_PLACES = 1024
"""Waveforms that a sequencer holds at most."""
_NEXT_BIN = "add R1,1,R1\nnop\n"
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
    (settings, instructions), waits = _texts(part, operands_of(part)), _waits(part, label)
    if part.feedback is not None:
        add_feedback(part.feedback, part.timeline, instructions, waits, rf=part.tones is not None)
    return _first_wait(lead_in, label) + _joined(settings, instructions, waits)


def _joined(settings: list[str], instructions: list[str], waits: list[str]) -> str:
    pieces = [""] * (3 * len(settings))
    pieces[0::3], pieces[1::3], pieces[2::3] = settings, instructions, waits
    return "".join(pieces)


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
    part, operands = fold.part, operands_of(fold.part)
    counters, counted = register_names(fold)
    for name, rows in fold.counted.items():
        for row, number in rows.items():
            getattr(operands, name)[row] = counted[number].operand
    (settings, instructions), waits = _texts(part, operands), _waits(part, f"{label}w")
    swept = {gap: "".join(f"wait {counted[one].operand}\n" for one in series) for gap, series in fold.waits.items()}
    for gap, text in swept.items():
        if gap > 0:
            waits[gap - 1] += text
    body = _first_wait(fold.lead_in, f"{label}w") + swept.get(0, "") + _joined(settings, instructions, waits)
    return loop_text(fold, body, counters, counted, label)


def _first_wait(gap: int, label: str) -> str:
    if gap == 0:
        return ""
    own, rest = wait_text(gap, label)
    return f"wait {own}\n{rest}"


def _waits(part: LineProgram, label: str) -> list[str]:
    """Give the waiting time of each event's own instruction, and the lines that follow it."""
    gaps, acquires = part.timeline.gap, part.timeline.kind == Kind.ACQUIRE
    texts = _spelled(np.minimum(gaps, LONGEST), lambda gap: f"{gap}\n")
    for index in np.flatnonzero(acquires | (gaps > LONGEST)).tolist():
        own, rest = int(gaps[index]), ""
        if own > LONGEST:
            own, rest = wait_text(own, f"{label}{index}")
        texts[index] = f"{own}\n{_NEXT_BIN if acquires[index] else ''}{rest}"
    return texts


def _texts(part: LineProgram, operands: Operands) -> tuple[list[str], list[str]]:
    """Give the settings before each event, and its instruction up to the waiting time."""
    kind = part.timeline.kind
    settings, instructions = np.full(len(kind), "", dtype=object), np.full(len(kind), "upd_param ", dtype=object)
    # Events of one kind stand in the order of their rows: both follow time.
    settings[kind == Kind.BEGIN] = _begin_settings(part, operands)
    settings[kind == Kind.OPEN] = f"set_mrk {part.wired.port.marker}\n"
    settings[kind == Kind.PLAY] = _play_settings(part, operands)
    settings[kind == Kind.ACQUIRE] = _acquire_settings(part, operands)
    settings[kind == Kind.CLOSE] = "set_mrk 0\n"
    instructions[kind == Kind.PLAY] = _plays(part)
    instructions[kind == Kind.ACQUIRE] = _acquires(part)
    return settings.tolist(), instructions.tolist()


def _begin_settings(part: LineProgram, operands: Operands) -> list[str]:
    if part.tones is None:
        return [""] * int(np.count_nonzero(part.timeline.kind == Kind.BEGIN))
    frequencies = operands.begin_frequency
    if not part.tones.changes:
        return ["reset_ph\n"] * len(frequencies)
    return [f"set_freq {frequency}\nreset_ph\n" for frequency in frequencies]


def _play_settings(part: LineProgram, operands: Operands) -> list[str]:
    """Give frequency, gain and phase where they change; most plays set a phase and nothing else."""
    tones = part.tones
    if tones is None:
        texts = [""] * len(part.plays.start)
    else:
        texts = [
            f"set_ph {phase}\n" if sets else ""
            for phase, sets in zip(operands.play_phase, tones.play_sets_phase.tolist(), strict=True)
        ]
    for i in np.flatnonzero(part.sets_gain).tolist():
        texts[i] = f"set_awg_gain {operands.gain_real[i]},{operands.gain_imag[i]}\n{texts[i]}"
    if tones is not None and tones.changes:
        for i in np.flatnonzero(tones.play_sets_frequency).tolist():
            texts[i] = f"set_freq {operands.play_frequency[i]}\n{texts[i]}"
    return texts


def _plays(part: LineProgram) -> list[str]:
    waveforms, envelope = part.waveforms, part.plays.envelope
    both = waveforms.real * _PLACES + waveforms.imag
    return _spelled(both.take(envelope), lambda pair: f"play {pair // _PLACES},{pair % _PLACES},")


def _acquire_settings(part: LineProgram, operands: Operands) -> list[str]:
    if part.tones is None:
        return []
    frequencies, needed = operands.acquisition_frequency, part.tones.acquisition_sets_frequency.tolist()
    settings = [f"set_freq {value}\n" if sets else "" for value, sets in zip(frequencies, needed, strict=True)]
    for i in np.flatnonzero(part.weights.sets).tolist():
        settings[i] += f"move {part.weights.index[i]},R3\nnop\n"
    return settings


def _acquires(part: LineProgram) -> NDArray[np.str_]:
    return np.where(part.weights.index == BOXCAR, "acquire 0,R1,", "acquire_weighed 0,R1,R3,R3,")


def _spelled(values: Ints, spell: Callable[[int], str]) -> list[str]:
    """Spell numbers, each distinct one once."""
    plain: list[int] = values.tolist()
    texts = {value: spell(value) for value in set(plain)}
    return [texts[value] for value in plain]
