"""What each event of a sequencer writes: what it sets before, its instruction, how long this waits and what follows.

Phases, gains that change often, switches, instructions and waiting times are spelled for all events at once; the rest
is rare.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qubitd.core.program import BOXCAR
from qubitd.drivers.cluster.event_texts import EventTexts, Words, chosen, numbers, same, spelled
from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.timeline import Kind
from qubitd.drivers.cluster.waits import LONGEST, LOOP_FROM, wait_text

Ints = NDArray[np.int64]
Registers: TypeAlias = Mapping[str, Mapping[int, str]]
"""Names of those that hold numbers of settings, by the column of `operand_columns` and the row."""

_WITH_TEXT = (Kind.BEGIN, Kind.OPEN, Kind.PLAY, Kind.ACQUIRE, Kind.CLOSE)
"""Others are up to feedback."""
_INSTRUCTIONS = ("upd_param ", "acquire 0,R1,", "acquire_weighed 0,R1,R3,R3,")
_NEXT_BIN = "add R1,1,R1\nnop\n"
_OFTEN = 16
"""Plays of which at least one sets a gain where that is often."""
_FEW = 8
"""Gaps that are sooner spelled one by one."""
_GAINS = 2**17
"""More than the span of a gain."""
_At: TypeAlias = Mapping[Kind, Ints]
"""The events of each kind. They stand in the order of their rows: both follow time."""


def event_texts(part: LineProgram, registers: Registers, label: str) -> EventTexts:
    """Write out each event.

    Args:
        part: whose events.
        registers: that hold numbers of settings, where a loop counts them.
        label: of waits that are loops; others have another.
    """
    timeline = part.timeline
    at = {kind: (timeline.kind == int(kind)).nonzero()[0] for kind in _WITH_TEXT}
    has_gains = not registers and int(np.count_nonzero(part.sets_gain)) * _OFTEN > len(part.sets_gain)
    settings: list[list[tuple[Words, Ints]]] = []
    if has_gains:
        settings.append([(_gains(part), at[Kind.PLAY][part.sets_gain])])
    if part.tones is not None:
        is_number = part.tones.play_sets_phase.copy()
        is_number[list(registers.get("play_phase", {}))] = False
        phases = numbers(part.tones.play_phase[is_number], front="set_ph ")
        settings.append([(phases, at[Kind.PLAY][is_number]), *_switches(part, at)])
    split = _split_often(timeline.gap, at)
    own, following = _split_waits(timeline.gap, split)
    texts = EventTexts.of(settings, _instructions(part, at), numbers(own), following=following, count=len(timeline.gap))
    _add_settings(part, registers, at, texts)
    _add_play_settings(part, registers, at, texts, has_gains=has_gains)
    _add_waits(part, at, texts, label, split)
    return texts


def _gains(part: LineProgram) -> Words:
    """Spell the gains that are set."""
    pairs = part.gain_real[part.sets_gain] * _GAINS + part.gain_imag[part.sets_gain]

    def spell(pair: int) -> str:
        imag = (pair + _GAINS // 2) % _GAINS - _GAINS // 2
        return f"set_awg_gain {(pair - imag) // _GAINS},{imag}\n"

    return spelled(pairs, spell)


def _instructions(part: LineProgram, at: _At) -> Words:
    """Give each instruction up to the waiting time; of an event that has none, to wait is all that it does."""
    waveforms, envelope = part.waveforms, part.plays.envelope
    occurs = np.bincount(envelope) > 0
    used = occurs.nonzero()[0]
    pairs = zip(waveforms.real[used].tolist(), waveforms.imag[used].tolist(), strict=True)
    which = np.zeros(len(part.timeline.kind), dtype=np.int64)
    which[at[Kind.PLAY]] = (occurs.cumsum() + (len(_INSTRUCTIONS) - 1))[envelope]
    which[at[Kind.ACQUIRE]] = np.where(part.weights.index == BOXCAR, 1, 2)
    return chosen([*_INSTRUCTIONS, *(f"play {real},{imag}," for real, imag in pairs)], which)


def _switches(part: LineProgram, at: _At) -> list[tuple[Words, Ints]]:
    """Spell what is set where the RF switch opens and closes, and where a program begins."""
    return [
        (same(f"set_mrk {part.wired.port.marker}\n"), at[Kind.OPEN]),
        (same("set_mrk 0\n"), at[Kind.CLOSE]),
        (same("reset_ph\n"), at[Kind.BEGIN]),
    ]


def _add_settings(part: LineProgram, registers: Registers, at: _At, texts: EventTexts) -> None:
    """Add the frequencies of programs, and what acquisitions set."""
    tones, weights = part.tones, part.weights
    if tones is None:
        return
    if tones.changes:
        begins: list[int] = at[Kind.BEGIN].tolist()
        found = _told(tones.begin_frequency, np.arange(len(begins)), registers.get("begin_frequency", {}))
        texts.more_settings.update({e: f"set_freq {f}\n" for e, f in zip(begins, found, strict=True)})
    acquires, rows = at[Kind.ACQUIRE], tones.acquisition_sets_frequency.nonzero()[0]
    frequencies = _told(tones.acquisition_frequency, rows, registers.get("acquisition_frequency", {}))
    for event, frequency in zip(acquires[rows].tolist(), frequencies, strict=True):
        texts.add_settings(event, f"set_freq {frequency}\n")
    rows = weights.sets.nonzero()[0]
    for event, index in zip(acquires[rows].tolist(), weights.index[rows].tolist(), strict=True):
        texts.add_settings(event, f"move {index},R3\nnop\n")


def _add_play_settings(part: LineProgram, registers: Registers, at: _At, texts: EventTexts, *, has_gains: bool) -> None:
    """Add what plays set beside the columns: frequency, gain and phase, in this order."""
    tones, plays = part.tones, at[Kind.PLAY]
    if tones is not None and tones.changes:
        rows = tones.play_sets_frequency.nonzero()[0]
        found = _told(tones.play_frequency, rows, registers.get("play_frequency", {}))
        for event, frequency in zip(plays[rows].tolist(), found, strict=True):
            texts.add_settings(event, f"set_freq {frequency}\n")
    if not has_gains:
        rows = part.sets_gain.nonzero()[0]
        real = _told(part.gain_real, rows, registers.get("gain_real", {}))
        imag = _told(part.gain_imag, rows, registers.get("gain_imag", {}))
        for event, *gains in zip(plays[rows].tolist(), real, imag, strict=True):
            texts.add_settings(event, f"set_awg_gain {gains[0]},{gains[1]}\n")
    for row, name in registers.get("play_phase", {}).items():
        if tones is not None and tones.play_sets_phase[row]:
            texts.add_settings(int(plays[row]), f"set_ph {name}\n")


def _split_often(gaps: Ints, at: _At) -> Ints:
    """Find the events with gaps that are split into a few waits, where there are many: before each program, as a rule.

    Those of acquisitions are left out: other lines follow them.
    """
    is_split = (gaps > LONGEST) & (gaps <= LONGEST * LOOP_FROM)
    is_split[at[Kind.ACQUIRE]] = False
    events: Ints = is_split.nonzero()[0]
    return events if len(events) > max(_FEW, len(gaps) // _OFTEN) else events[:0]


def _split_waits(gaps: Ints, split: Ints) -> tuple[Ints, tuple[Words, Ints] | None]:
    """Give what each event waits itself, and spell what those with split gaps wait beside; each distinct gap once."""
    own = np.minimum(gaps, LONGEST)
    if not len(split):
        return own, None
    distinct, index = np.unique(gaps[split], return_inverse=True)
    first, rest = zip(*(wait_text(gap, "") for gap in distinct.tolist()), strict=True)
    own[split] = np.array(first)[index]
    return own, (chosen(rest, index), split)


def _add_waits(part: LineProgram, at: _At, texts: EventTexts, label: str, split: Ints) -> None:
    """Add what follows acquisitions, and gaps that are longer than an instruction waits, but for those that are split
    already.
    """
    gaps = part.timeline.gap
    is_open = gaps > LONGEST
    is_open[split] = False
    for event in at[Kind.ACQUIRE].tolist():
        texts.own_wait[event] = f"{gaps[event]}\n{_NEXT_BIN}"
    for event in is_open.nonzero()[0].tolist():
        own, rest = wait_text(int(gaps[event]), f"{label}{event}")
        texts.own_wait[event] = f"{own}\n{_NEXT_BIN if event in texts.own_wait else ''}{rest}"


def _told(values: Ints, rows: Ints, registers: Mapping[int, str]) -> list[int | str]:
    """Give some numbers as they are written: themselves, or the registers that hold them."""
    plain: list[int | str] = values[rows].tolist()
    if not registers:
        return plain
    return [registers.get(row, value) for row, value in zip(rows.tolist(), plain, strict=True)]
