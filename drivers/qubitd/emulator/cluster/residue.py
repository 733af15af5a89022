"""What a stretch of a program between two `latch_rst` leaves behind that a later one can notice.

A stretch leaks if, by what outcomes decided in it,

- a waveform that sounds over its end differs, or goes on differently; or the offset, the NCO's frequency or the marker
  at its end, or what is set to become one of them, since these are heard at once;
- or another parameter differs, and a later instruction may use it. What counts of it is what holds at the next latch:
  a gain that was latched is the same as one that is still to be. A parameter is safe if whatever can be carried out in
  the following stretches sets it anew before a play or an acquisition uses it, or if the program ends before.

Registers that may differ are followed as a set, through every variant of the following stretches, without regard to
their values: what is called safe is so for any values. That a value is still to be latched matters to two
instructions: a second `set_ph_delta` before the latch takes the place of the first, and a `reset_ph` before it leaves
a phase alone that was set before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Flag, auto, unique
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.player import Performance
from qubitd.emulator.patience import GoOn
from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.latches import PHASE_STEP, TURN, Column
from qubitd.emulator.q1.stretches import cut_into_stretches

_NONE_SET = np.iinfo(np.int64).max


@unique
class Register(Flag):
    """What may differ from one performance to another."""

    HEARD = auto()
    """Offset, frequency, marker."""
    GAIN = auto()
    RAN = auto()
    """The NCO's phase without `set_ph`'s part."""
    SET = auto()
    """`set_ph`'s part."""
    RESET = auto()
    """Whether a `reset_ph` waits for the next latch."""
    WAITING_SET = auto()
    """The `set_ph` that waits for the next latch, if any."""
    WAITING_DELTA = auto()
    """The `set_ph_delta` that does."""


_NOTHING = Register(0)
_WAITING = Register.RESET | Register.WAITING_SET | Register.WAITING_DELTA
_USED = {
    Op.PLAY: Register.GAIN | Register.RAN | Register.SET | Register.RESET,
    Op.ACQUIRE: Register.RAN | Register.SET | Register.RESET,
    Op.ACQUIRE_WEIGHED: Register.RAN | Register.SET | Register.RESET,
    Op.UPD_PARAM: _NOTHING,
}


def leaking(performances: Sequence[Performance], stops: NDArray[np.int64], go_on: GoOn) -> set[int]:
    """Give the numbers of the stretches that leak, those between that only pass something on included.

    Args:
        performances: all different ones of a sequencer, which begin each stretch at the same time.
        stops: index of each `latch_rst` of its program; stretch i ends before number i.
        go_on: called now and then.
    """
    if len(performances) == 1 or not len(stops):
        return set()
    if any(each.latches.offset0.any() or each.latches.offset1.any() for each in performances):
        return set(range(len(stops)))
    after = _Stretches(performances, stops)
    found: set[int] = set()
    sounding = _sounding(performances, stops, go_on)
    for number, differing in enumerate(_differing(performances, stops, go_on)):
        go_on()
        if number in found or not (differing or number in sounding):
            continue
        is_heard = Register.HEARD in differing or sounding.get(number) or (number in sounding and differing)
        found |= {number} if is_heard else set(range(number, _noticed(differing, number + 1, after)))
    return found


def _noticed(differing: Register, first: int, after: _Stretches) -> int:
    """Give the number of the stretch, from the first on, that may notice what differs; the one before it if none."""
    for number in range(first, after.count):
        left = _NOTHING
        for ops in after.variants(number):
            passed = followed(differing, ops)
            if passed is None:
                return number
            left |= passed
        if not left:
            break
        differing = left
    return first - 1


def followed(differing: Register, ops: Iterable[int]) -> Register | None:
    """Say what differs after some instructions; None if one of them notices."""
    for op in ops:
        if not differing:
            return differing
        used = _USED.get(Op(op))
        if used is None:
            differing = _set(differing, op)
        elif differing & used:
            return None
        else:
            differing = _latched(differing)
    return differing


def _set(differing: Register, op: int) -> Register:
    match op:
        case Op.SET_AWG_GAIN:
            return differing & ~Register.GAIN
        case Op.SET_PH:
            return differing & ~(Register.SET | Register.WAITING_SET)
        case Op.SET_PH_DELTA if Register.WAITING_DELTA in differing:
            return differing & ~Register.WAITING_DELTA | Register.RAN
        case Op.RESET_PH:
            kept = differing & ~(Register.RAN | Register.SET | Register.RESET)
            kept |= Register.RAN if Register.WAITING_DELTA in differing else _NOTHING
            return kept | (Register.SET if Register.WAITING_SET in differing else _NOTHING)
        case _:
            return differing


def _latched(differing: Register) -> Register:
    """A reset that waits stops the clock of the phase until it is latched."""
    ran = Register.RAN if Register.RESET in differing else _NOTHING
    return differing & ~_WAITING | ran


class _Stretches:
    """The instructions that can be carried out in each stretch."""

    def __init__(self, performances: Sequence[Performance], stops: NDArray[np.int64]) -> None:
        self.count = len(stops) + 1
        self._ops = [each.trace.op for each in performances]
        self._bounds = [0, *stops.tolist(), len(self._ops[0])]
        self._variants: dict[int, set[bytes]] = {}

    def variants(self, number: int) -> set[bytes]:
        """Give the different ones of a stretch, an opcode per byte."""
        if number not in self._variants:
            begin, end = self._bounds[number : number + 2]
            cut = (ops[begin:end] for ops in self._ops)
            self._variants[number] = {ops[_MATTERS[ops]].tobytes() for ops in cut}
        return self._variants[number]


_MATTERS = np.zeros(256, dtype=np.bool_)
_MATTERS[[Op.SET_AWG_GAIN, Op.SET_PH, Op.SET_PH_DELTA, Op.RESET_PH, *_USED]] = True


def _differing(performances: Sequence[Performance], stops: NDArray[np.int64], go_on: GoOn) -> list[Register]:
    """Give what differs at the end of each stretch."""
    first = _values(performances[0], stops)
    differs = np.zeros(first.shape, dtype=np.bool_)
    for other in performances[1:]:
        go_on()
        differs |= _values(other, stops) != first
    found = [_NOTHING] * len(stops)
    for row, number in np.argwhere(differs).tolist():
        found[number] |= _ROWS[row]
    return found


_ROWS = [
    *(Register.HEARD,) * 8,
    *(Register.GAIN,) * 2,
    Register.RAN,
    Register.SET,
    Register.RESET,
    Register.WAITING_SET,
    Register.WAITING_DELTA,
]


def _values(performance: Performance, stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the registers as `_ROWS` names them at the end of each stretch, shape (rows, stretches)."""
    latches, trace = performance.latches, performance.trace
    row = np.searchsorted(latches.index, stops) - 1
    latest = latches.index[row]

    def waiting(op: Op, operand: int = 0) -> Column:
        """What was set since the last latch."""
        setting = np.append(-1, np.flatnonzero(trace.op == op))
        last = setting[np.searchsorted(setting, stops) - 1]
        return np.where(last > latest, trace.operands[last, operand], _NONE_SET)

    def holds(op: Op, operand: int, column: Column) -> Column:
        """What is in force after the next latch."""
        value = waiting(op, operand)
        return np.where(value != _NONE_SET, value, column[row])

    heard = [latches.offset0, latches.offset1, latches.frequency, latches.marker]
    to_be_heard = [(Op.SET_AWG_OFFS, 0), (Op.SET_AWG_OFFS, 1), (Op.SET_FREQ, 0), (Op.SET_MRK, 0)]
    absolute, delta = waiting(Op.SET_PH), waiting(Op.SET_PH_DELTA)
    is_reset = _occurred(trace.op, Op.RESET_PH, stops, latest)
    passed = performance.timeline.start[stops] - latches.time[row]
    ran = latches.phase[row] - latches.relative[row] + latches.frequency[row] * (passed % TURN)
    stepped = PHASE_STEP * np.where(delta != _NONE_SET, delta, 0)
    kept = np.where(is_reset, 0, latches.relative[row])
    return np.stack(
        [
            *(column[row] for column in heard),
            *(holds(op, operand, column) for (op, operand), column in zip(to_be_heard, heard, strict=True)),
            holds(Op.SET_AWG_GAIN, 0, latches.gain0),
            holds(Op.SET_AWG_GAIN, 1, latches.gain1),
            (np.where(is_reset, 0, ran) + stepped) % TURN,
            np.where(absolute != _NONE_SET, PHASE_STEP * absolute, kept),
            is_reset.astype(np.int64),
            absolute,
            delta,
        ]
    )


def _occurred(ops: NDArray[np.uint8], op: Op, stops: NDArray[np.int64], latest: Column) -> NDArray[np.bool_]:
    """Whether an instruction was carried out since the last latch."""
    found = np.append(-1, np.flatnonzero(ops == op))
    return np.asarray(found[np.searchsorted(found, stops) - 1] > latest)


def _sounding(performances: Sequence[Performance], stops: NDArray[np.int64], go_on: GoOn) -> dict[int, bool]:
    """Give the stretches over whose end a waveform sounds, and whether it is not the same in every performance."""
    each: list[dict[int, Sound]] = []
    for performance in performances:
        go_on()
        each.append(_sounds_over(performance, stops))
    numbers = {number for sounds in each for number in sounds}
    return {
        number: _goes_on(each[0].get(number)) or any(s.get(number) != each[0].get(number) for s in each)
        for number in numbers
    }


Sound: TypeAlias = list[tuple[int, ...]]
"""What is left of a waveform at the end of a stretch, in pieces with constant parameters: ns since its end at which the
piece begins, then all that makes it up."""


def _goes_on(sound: Sound | None) -> bool:
    """Whether later instructions change the parameters of a waveform that sounds over the end of a stretch."""
    return sound is not None and any(since >= 0 for since, *_ in sound)


def _sounds_over(performance: Performance, stops: NDArray[np.int64]) -> dict[int, Sound]:
    """Give what sounds over the end of each stretch."""
    latches, ends = performance.latches, performance.timeline.start[stops]
    lengths = performance.player.waves.lengths
    pieces = cut_into_stretches(performance.trace, latches, lengths, performance.timeline.end)
    first = np.searchsorted(ends, pieces.start - pieces.skip, side="right")
    last = np.searchsorted(ends, pieces.start + pieces.length, side="left")
    found: dict[int, Sound] = {}
    for i in np.flatnonzero(first < last).tolist():
        row = pieces.row[i]
        made_of = (pieces.length, pieces.wave0, pieces.wave1, pieces.skip)
        parameters = (latches.gain0, latches.gain1, latches.frequency, latches.phase)
        values = [*(int(column[i]) for column in made_of), *(int(column[row]) for column in parameters)]
        for number in range(int(first[i]), int(last[i])):
            found.setdefault(number, []).append((int(pieces.start[i] - ends[number]), *values))
    return {number: sorted(sound) for number, sound in found.items()}
