"""The numerically controlled oscillator of an RF sequencer: which phase and frequency it must be given at each event.

At tick t of its program a tone of frequency f and phase p is to be exp(i (2 pi f t + p)), whatever was played before.
The oscillator's phase is set to 0 `lead` ticks before the program and advances with whatever frequency it has; `set_ph`
adds the difference. An acquisition never touches the phase, which a pulse may be using: its own phase is applied to the
result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.drivers.cluster import native
from qubitd.drivers.cluster.columns import AcquisitionColumns, PlayColumns
from qubitd.drivers.cluster.registers import QUARTER_TURN_UNITS, frequency_registers, phase_registers

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_Rows: TypeAlias = NDArray[np.intp] | slice
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tones:
    """Register values for the events of one RF line."""

    base: int
    """Frequency register when nothing was set: that of the first event."""
    changes: bool
    """Whether any event needs another frequency; then each program sets its own at its beginning."""
    begin_frequency: Ints
    """Frequency register at the beginning of each program that uses the line, in their order."""
    play_frequency: Ints
    play_sets_frequency: Bools
    play_phase: Ints
    play_sets_phase: Bools
    acquisition_frequency: Ints
    acquisition_sets_frequency: Bools
    acquisition_rotation: NDArray[np.complex128]
    """Factor that gives each acquisition the demodulation phase it asked for."""

    def select(self, begins: slice, plays: slice, acquisitions: slice) -> Tones:
        """Give the registers of some programs."""
        return replace(
            self,
            begin_frequency=self.begin_frequency[begins],
            play_frequency=self.play_frequency[plays],
            play_sets_frequency=self.play_sets_frequency[plays],
            play_phase=self.play_phase[plays],
            play_sets_phase=self.play_sets_phase[plays],
            acquisition_frequency=self.acquisition_frequency[acquisitions],
            acquisition_sets_frequency=self.acquisition_sets_frequency[acquisitions],
            acquisition_rotation=self.acquisition_rotation[acquisitions],
        )


def tone_registers(plays: PlayColumns, acquisitions: AcquisitionColumns, *, lo: float, lead: int) -> Tones:
    """Work out the oscillator's registers for the events of one line, of which there is at least one."""
    program, tick = _joined(plays.program, acquisitions.program), _joined(plays.start, acquisitions.start)
    hertz = _joined(plays.frequency, acquisitions.frequency) - lo
    phase = _joined(plays.phase, acquisitions.phase)
    is_play = np.arange(len(program)) < len(plays.program)
    plays_back: _Rows = slice(len(plays.program))
    acquisitions_back: _Rows = slice(len(plays.program), None)
    if not _is_in_order(program, tick):
        order = np.lexsort((tick, program))
        program, tick, is_play = program[order], tick[order], is_play[order]
        hertz, phase = hertz[order], phase[order]
        plays_back, acquisitions_back = _back_to_columns(order, len(plays.program))

    found = native.tones(program, tick, hertz, phase, is_play, lead=lead)
    found = _followed(program, tick, hertz, phase, is_play, lead) if found is None else found
    frequency, sets, held, ahead, first, sets_frequency, changes = found
    left = (ahead[acquisitions_back] - 4 * held[acquisitions_back]) % QUARTER_TURN_UNITS
    turns = phase[acquisitions_back] / (2 * np.pi) + left / QUARTER_TURN_UNITS
    return Tones(
        base=int(frequency[0]),
        changes=changes,
        begin_frequency=frequency[first],
        play_frequency=frequency[plays_back],
        play_sets_frequency=sets_frequency[plays_back],
        play_phase=sets[plays_back],
        play_sets_phase=(sets != held)[plays_back],
        acquisition_frequency=frequency[acquisitions_back],
        acquisition_sets_frequency=sets_frequency[acquisitions_back],
        acquisition_rotation=np.exp(-2j * np.pi * turns),
    )


def _followed(
    program: Ints, tick: Ints, hertz: NDArray[np.float64], phase: NDArray[np.float64], is_play: Bools, lead: int
) -> tuple[Ints, Ints, Ints, Ints, Bools, Bools, bool]:
    """Follow the oscillator from event to event, which stand in the order of program and tick.

    Returns:
        the frequency register of each, the phase register, what that was before, by how much the oscillator is to be
        ahead of what it gathered (quarter nanoturns, give or take whole turns), whether an event is the first of its
        program, whether it sets its frequency; and whether any needs another frequency than the first.
    """
    frequency = frequency_registers(hertz)
    first = np.ones(len(program), dtype=np.bool_)
    np.not_equal(program[1:], program[:-1], out=first[1:])
    before = frequency.copy()
    before[1:] = np.where(first[1:], frequency[1:], frequency[:-1])
    ahead = _gathered(frequency, tick) - _accumulated(before, tick, first, lead)
    sets = phase_registers(phase, ahead)
    held, changes = _held(sets, is_play, first), bool(np.any(frequency != frequency[0]))
    return frequency, sets, held, ahead, first, frequency != before, changes


def _joined(plays: NDArray[_T], acquisitions: NDArray[_T]) -> NDArray[_T]:
    """Put columns below each other, of which one is often empty."""
    if not len(acquisitions):
        return plays
    return np.concatenate([plays, acquisitions]) if len(plays) else acquisitions


def _is_in_order(program: Ints, tick: Ints) -> bool:
    """Whether events follow each other program by program and tick by tick, as those of a line without a digitiser."""
    is_same, is_later = program[1:] == program[:-1], program[1:] > program[:-1]
    return bool((is_later | (is_same & (tick[1:] >= tick[:-1]))).all())


def _accumulated(before: Ints, tick: Ints, first: Bools, lead: int) -> Ints:
    """Phase that the oscillator has gathered by each event since the beginning of its program, in quarter nanoturns,
    give or take whole turns.
    """
    elapsed = tick + lead
    elapsed[1:] = np.where(first[1:], elapsed[1:], tick[1:] - tick[:-1])
    steps = _gathered(before, elapsed) % QUARTER_TURN_UNITS
    total = np.cumsum(steps)
    start = (total - steps)[first]
    return np.asarray(total - start[np.cumsum(first) - 1], dtype=np.int64)


def _gathered(frequency: Ints, ticks: Ints) -> Ints:
    """Phase that tones gather in some ticks, in quarter nanoturns, give or take whole turns."""
    # Within a turn of 4e9 units the product of a frequency of 2e9 quarter hertz and the ticks fits 63 bits.
    return frequency * (ticks % QUARTER_TURN_UNITS if ticks.max() >= QUARTER_TURN_UNITS else ticks)


def _held(sets: Ints, is_play: Bools, first: Bools) -> Ints:
    """Phase register just before each event: what the last play of the same program set, 0 if there was none."""
    index = np.arange(len(sets))
    last = np.concatenate([[-1], np.maximum.accumulate(np.where(is_play, index, -1))[:-1]])
    begin = np.maximum.accumulate(np.where(first, index, 0))
    return np.where(last >= begin, sets[np.maximum(last, 0)], 0)


def _back_to_columns(order: NDArray[np.intp], plays: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each play and each acquisition stands in the merged order."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return place[:plays], place[plays:]
