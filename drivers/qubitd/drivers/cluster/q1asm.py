"""Q1ASM text of one sequencer: the shot loop outside, the programs of the chunk one after another inside.

Registers: R0 counts shots down, R1 is the bin of the next acquisition and only ever counts up, R2 counts long waits, R3
is the number of an integration's weights.
`instruction_count` states exactly what `program_text` writes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qubitd.core.program import BOXCAR
from qubitd.drivers.cluster import q1asm_feedback
from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.q1asm_feedback import add_feedback
from qubitd.drivers.cluster.timeline import Kind
from qubitd.drivers.cluster.waits import LONGEST, extra_instructions, wait_text

Ints = NDArray[np.int64]

_PLACES = 1024
"""Waveforms that a sequencer holds at most."""
_NEXT_BIN = "add R1,1,R1\nnop\n"
_SYNC = "set_mrk 0\nupd_param 4\nwait_sync 4\n"


def program_text(part: LineProgram, *, shots: int) -> str:
    """Write one sequencer's program."""
    (settings, instructions), waits = _texts(part), _waits(part)
    if part.feedback is not None:
        add_feedback(part.feedback, part.timeline, instructions, waits, rf=part.tones is not None)
    pieces = [""] * (3 * len(settings))
    pieces[0::3], pieces[1::3], pieces[2::3] = settings, instructions, waits
    bins = "move 0,R1\n" if len(part.acquisitions.start) else ""
    weights = "move 0,R3\n" if part.weights.is_constant else ""
    first = _first_wait(part.timeline.first_gap)
    return f"move {shots},R0\n{bins}{weights}{_SYNC}shot: {first}{''.join(pieces)}loop R0,@shot\nstop\n"


def instruction_count(part: LineProgram) -> int:
    """Count the instructions of `program_text`."""
    timeline, tones = part.timeline, part.tones
    acquisitions = len(part.acquisitions.start)
    events = np.bincount(timeline.kind, minlength=len(Kind))
    count = 6 + (acquisitions > 0) + part.weights.is_constant + 2 * int(np.sum(part.weights.sets))
    if timeline.first_gap:
        count += 1 + int(extra_instructions(np.array([timeline.first_gap]))[0])
    count += 2 * int(events[Kind.OPEN] + events[Kind.CLOSE] + events[Kind.SHIFT]) + int(events[Kind.PLAY])
    count += 3 * acquisitions + int(np.sum(part.sets_gain)) + int(np.sum(extra_instructions(timeline.gap)))
    if tones is not None:
        count += int(np.sum(tones.play_sets_phase) + np.sum(tones.play_sets_frequency))
        count += int(np.sum(tones.acquisition_sets_frequency)) + (2 + tones.changes) * int(events[Kind.BEGIN])
    if part.feedback is not None:
        count += q1asm_feedback.instruction_count(part.feedback, int(events[Kind.BEGIN]))
    return count


def _first_wait(gap: int) -> str:
    if gap == 0:
        return ""
    own, rest = wait_text(gap, "w")
    return f"wait {own}\n{rest}"


def _waits(part: LineProgram) -> list[str]:
    """Give the waiting time of each event's own instruction, and the lines that follow it."""
    gaps, acquires = part.timeline.gap, part.timeline.kind == Kind.ACQUIRE
    texts = _spelled(np.minimum(gaps, LONGEST), lambda gap: f"{gap}\n")
    for index in np.flatnonzero(acquires | (gaps > LONGEST)).tolist():
        own, rest = int(gaps[index]), ""
        if own > LONGEST:
            own, rest = wait_text(own, f"w{index}")
        texts[index] = f"{own}\n{_NEXT_BIN if acquires[index] else ''}{rest}"
    return texts


def _texts(part: LineProgram) -> tuple[list[str], list[str]]:
    """Give the settings before each event, and its instruction up to the waiting time."""
    kind = part.timeline.kind
    settings, instructions = np.full(len(kind), "", dtype=object), np.full(len(kind), "upd_param ", dtype=object)
    # Events of one kind stand in the order of their rows: both follow time.
    settings[kind == Kind.BEGIN] = _begin_settings(part)
    settings[kind == Kind.OPEN] = f"set_mrk {part.wired.port.marker}\n"
    settings[kind == Kind.PLAY] = _play_settings(part)
    settings[kind == Kind.ACQUIRE] = _acquire_settings(part)
    settings[kind == Kind.CLOSE] = "set_mrk 0\n"
    instructions[kind == Kind.PLAY] = _plays(part)
    instructions[kind == Kind.ACQUIRE] = _acquires(part)
    return settings.tolist(), instructions.tolist()


def _begin_settings(part: LineProgram) -> list[str]:
    if part.tones is None:
        return [""] * int(np.count_nonzero(part.timeline.kind == Kind.BEGIN))
    frequencies = part.tones.begin_frequency.tolist()
    if not part.tones.changes:
        return ["reset_ph\n"] * len(frequencies)
    return [f"set_freq {frequency}\nreset_ph\n" for frequency in frequencies]


def _play_settings(part: LineProgram) -> list[str]:
    """Give frequency, gain and phase where they change; most plays set a phase and nothing else."""
    tones = part.tones
    if tones is None:
        texts = [""] * len(part.plays.start)
    else:
        texts = [
            f"set_ph {phase}\n" if sets else ""
            for phase, sets in zip(tones.play_phase.tolist(), tones.play_sets_phase.tolist(), strict=True)
        ]
    for i in np.flatnonzero(part.sets_gain).tolist():
        texts[i] = f"set_awg_gain {part.gain_real[i]},{part.gain_imag[i]}\n{texts[i]}"
    if tones is not None and tones.changes:
        for i in np.flatnonzero(tones.play_sets_frequency).tolist():
            texts[i] = f"set_freq {tones.play_frequency[i]}\n{texts[i]}"
    return texts


def _plays(part: LineProgram) -> list[str]:
    waveforms, envelope = part.waveforms, part.plays.envelope
    both = waveforms.real * _PLACES + waveforms.imag
    return _spelled(both.take(envelope), lambda pair: f"play {pair // _PLACES},{pair % _PLACES},")


def _acquire_settings(part: LineProgram) -> list[str]:
    if part.tones is None:
        return []
    frequencies, needed = part.tones.acquisition_frequency.tolist(), part.tones.acquisition_sets_frequency.tolist()
    settings = [f"set_freq {value}\n" if sets else "" for value, sets in zip(frequencies, needed, strict=True)]
    for i in np.flatnonzero(part.weights.sets).tolist():
        settings[i] += f"move {part.weights.index[i]},R3\nnop\n"
    return settings


def _acquires(part: LineProgram) -> NDArray[np.str_]:
    return np.where(part.weights.index == BOXCAR, "acquire 0,R1,", "acquire_weighed 0,R1,R3,R3,")


def _spelled(values: Ints, spell: Callable[[int], str]) -> list[str]:
    """Spell small numbers, each distinct one once."""
    times = np.bincount(values, minlength=1)
    distinct = np.flatnonzero(times)
    texts = np.empty(len(times), dtype=object)
    texts[distinct] = [spell(value) for value in distinct.tolist()]
    found: list[str] = texts.take(values).tolist()
    return found
