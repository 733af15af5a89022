"""Q1ASM text of one sequencer: the shot loop outside, the programs of the chunk one after another inside.

Registers: R0 counts shots down, R1 is the bin of the next acquisition and only ever counts up, R2 counts long waits.
`instruction_count` states exactly what `program_text` writes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.timeline import Kind
from qubitd.drivers.cluster.waits import LONGEST, extra_instructions, wait_text

Ints = NDArray[np.int64]

_SYNC = "set_mrk 0\nupd_param 4\nwait_sync 4\n"


def program_text(part: LineProgram, *, shots: int) -> str:
    """Write one sequencer's program."""
    before, after = _texts(part)
    waits, tails = _waits(part.timeline.gap)
    body = "".join(
        [f"{head}{wait}\n{foot}{tail}" for head, wait, foot, tail in zip(before, waits, after, tails, strict=True)]
    )
    bins = "move 0,R1\n" if len(part.acquisitions.start) else ""
    return f"move {shots},R0\n{bins}{_SYNC}shot: {_first_wait(part.timeline.first_gap)}{body}loop R0,@shot\nstop\n"


def instruction_count(part: LineProgram) -> int:
    """Count the instructions of `program_text`."""
    timeline, tones = part.timeline, part.tones
    acquisitions = len(part.acquisitions.start)
    events = np.bincount(timeline.kind, minlength=len(Kind))
    count = 6 + (acquisitions > 0)
    if timeline.first_gap:
        count += 1 + int(extra_instructions(np.array([timeline.first_gap]))[0])
    count += 2 * int(events[Kind.BEGIN] + events[Kind.OPEN] + events[Kind.CLOSE]) + int(events[Kind.PLAY])
    count += 3 * acquisitions + int(np.sum(part.sets_gain)) + int(np.sum(extra_instructions(timeline.gap)))
    if tones is not None:
        count += int(np.sum(tones.play_sets_phase) + np.sum(tones.play_sets_frequency))
        count += int(np.sum(tones.acquisition_sets_frequency)) + tones.changes * int(events[Kind.BEGIN])
    return count


def _first_wait(gap: int) -> str:
    if gap == 0:
        return ""
    own, rest = wait_text(gap, "w")
    return f"wait {own}\n{rest}"


def _waits(gaps: Ints) -> tuple[list[int], list[str]]:
    """Give the waiting time of each event's own instruction, and the lines that follow it."""
    own, rest = gaps.tolist(), [""] * len(gaps)
    for index in np.flatnonzero(gaps > LONGEST).tolist():
        own[index], rest[index] = wait_text(own[index], f"w{index}")
    return own, rest


def _texts(part: LineProgram) -> tuple[list[str], list[str]]:
    """Give what stands before and after the waiting time of each event."""
    count = len(part.timeline.kind)
    before, after = np.empty(count, dtype=object), np.full(count, "", dtype=object)
    kind = part.timeline.kind
    # Events of one kind stand in the order of their rows: both follow time.
    before[kind == Kind.BEGIN] = _begin_texts(part)
    before[kind == Kind.OPEN] = f"set_mrk {part.wired.port.marker}\nupd_param "
    before[kind == Kind.PLAY] = _play_texts(part)
    before[kind == Kind.ACQUIRE] = _acquire_texts(part)
    before[kind == Kind.CLOSE] = "set_mrk 0\nupd_param "
    after[kind == Kind.ACQUIRE] = "add R1,1,R1\nnop\n"
    return before.tolist(), after.tolist()


def _begin_texts(part: LineProgram) -> list[str]:
    if part.tones is None:
        return []
    frequencies = part.tones.begin_frequency.tolist()
    if not part.tones.changes:
        return ["reset_ph\nupd_param "] * len(frequencies)
    return [f"set_freq {frequency}\nreset_ph\nupd_param " for frequency in frequencies]


def _play_texts(part: LineProgram) -> list[str]:
    envelope = part.plays.envelope
    count = len(envelope)
    gains = _where(part.sets_gain, [f"set_awg_gain {i},{q}\n" for i, q in _pairs(part.gain_real, part.gain_imag)])
    waves = _pairs(part.waveforms.real[envelope], part.waveforms.imag[envelope])
    frequencies = phases = [""] * count
    if part.tones is not None:
        tones = part.tones
        phases = _where(tones.play_sets_phase, [f"set_ph {phase}\n" for phase in tones.play_phase.tolist()])
        if tones.changes:
            frequencies = _set_frequency(tones.play_sets_frequency, tones.play_frequency)
    return [
        f"{frequency}{gain}{phase}play {i},{q},"
        for frequency, gain, phase, (i, q) in zip(frequencies, gains, phases, waves, strict=True)
    ]


def _acquire_texts(part: LineProgram) -> list[str]:
    if part.tones is None:
        return []
    heads = _set_frequency(part.tones.acquisition_sets_frequency, part.tones.acquisition_frequency)
    return [f"{head}acquire 0,R1," for head in heads]


def _set_frequency(needed: NDArray[np.bool_], frequency: Ints) -> list[str]:
    return _where(needed, [f"set_freq {value}\n" for value in frequency.tolist()])


def _where(needed: NDArray[np.bool_], texts: list[str]) -> list[str]:
    return [text if use else "" for use, text in zip(needed.tolist(), texts, strict=True)]


def _pairs(first: Ints, second: Ints) -> list[tuple[int, int]]:
    return list(zip(first.tolist(), second.tolist(), strict=True))
