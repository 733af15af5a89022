"""The parameters of a sequencer over time: what `set_*` instructions left pending takes effect with the next play,
acquire or upd_param.

Phases are exact: whole numbers of a 4e9th of a turn, which is 0.25 Hz times 1 ns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.timeline import Timeline
from qubitd.emulator.q1.trace import Trace

TURN = 4_000_000_000
FREQUENCY_STEP = 0.25
"""Hz."""
PHASE_STEP = 4
"""Units of phase per unit of `set_ph`: 1e9 are a turn."""

_IS_LATCHING = np.zeros(256, dtype=np.bool_)
_IS_LATCHING[[Op.UPD_PARAM, Op.PLAY, Op.ACQUIRE, Op.ACQUIRE_WEIGHED]] = True
Column = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Initial:
    """Parameters that hold before the program sets any."""

    gain: tuple[int, int] = (32_767, 32_767)
    offset: tuple[int, int] = (0, 0)
    frequency: int = 0
    """Steps of 0.25 Hz."""
    phase: int = 0
    """4e9ths of a turn."""
    marker: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Latches:
    """Every moment at which parameters took effect, in order; row 0 is the start of the run. Every column has shape
    (rows,)."""

    index: Column
    """Of the instruction in the trace; -1 in row 0."""
    time: Column
    """ns."""
    gain0: Column
    gain1: Column
    """Register values, 32768 is 1."""
    offset0: Column
    offset1: Column
    """Register values, 32768 is full scale."""
    frequency: Column
    """Steps of 0.25 Hz."""
    phase: Column
    """Of the NCO at `time`, 4e9ths of a turn, in [0, 4e9)."""
    relative: Column
    """What `set_ph` has added to the phase, 4e9ths of a turn."""
    marker: Column

    def changed(self) -> NDArray[np.bool_]:
        """Whether a row changes what is put on an output that goes on playing, markers aside."""
        steady = np.ones(len(self.time) - 1, dtype=bool)
        for column in (self.gain0, self.gain1, self.offset0, self.offset1, self.frequency):
            steady &= column[1:] == column[:-1]
        expected = (self.phase[:-1] + self.frequency[:-1] * (np.diff(self.time) % TURN)) % TURN
        steady &= self.phase[1:] == expected
        return np.concatenate([[True], ~steady])


def latch(trace: Trace, timeline: Timeline, initial: Initial) -> Latches:
    """Work out the parameters at every latching instruction."""
    latching = _IS_LATCHING[trace.op].nonzero()[0]
    time = np.concatenate([[0], timeline.start[latching]])
    pending = _Pending(trace, latching)
    gain0, gain1 = (pending.held(Op.SET_AWG_GAIN, path, initial.gain[path]) for path in (0, 1))
    offset0, offset1 = (pending.held(Op.SET_AWG_OFFS, path, initial.offset[path]) for path in (0, 1))
    frequency = pending.held(Op.SET_FREQ, 0, initial.frequency)
    phase, relative = _phase(pending, time, frequency, initial.phase)
    return Latches(
        index=np.concatenate([[-1], latching]),
        time=time,
        gain0=gain0,
        gain1=gain1,
        offset0=offset0,
        offset1=offset1,
        frequency=frequency,
        phase=phase,
        relative=relative,
        marker=pending.held(Op.SET_MRK, 0, initial.marker),
    )


class _Pending:
    """The registers between the queue and the outputs: each holds the last value that was set."""

    def __init__(self, trace: Trace, latching: Column) -> None:
        self._trace = trace
        self._latching = latching
        self._occurs = np.bincount(trace.op, minlength=256) > 0
        self._found: dict[Op, tuple[Column, Column]] = {}
        """Where each is set, and how often it was by each latch."""

    def held(self, op: Op, operand: int, initial: int) -> Column:
        """The value at each latch, which stays until it is set again."""
        values, _ = self._last(op, operand, initial)
        return values

    def fresh(self, op: Op, operand: int = 0) -> tuple[Column, NDArray[np.bool_]]:
        """The value at each latch, and whether it was set since the latch before."""
        return self._last(op, operand, 0)

    def _last(self, op: Op, operand: int, initial: int) -> tuple[Column, NDArray[np.bool_]]:
        if not self._occurs[op]:
            return np.full(len(self._latching) + 1, initial), np.zeros(len(self._latching) + 1, dtype=np.bool_)
        if op not in self._found:
            self._found[op] = self._settings(op)
        setting, count = self._found[op]
        values = np.concatenate([[initial], self._trace.operands[setting, operand]])
        is_set = np.zeros(len(count), dtype=np.bool_)
        np.not_equal(count[1:], count[:-1], out=is_set[1:])
        return values[count], is_set

    def _settings(self, op: Op) -> tuple[Column, Column]:
        setting: Column = (self._trace.op == op).nonzero()[0]
        count = np.zeros(len(self._latching) + 1, dtype=np.int64)
        count[1:] = setting.searchsorted(self._latching)
        return setting, count


def _phase(pending: _Pending, time: Column, frequency: Column, initial: int) -> tuple[Column, Column]:
    """Give the NCO phase at each latch, and how much of it is `set_ph`'s.

    The phase is what ran up since the last reset, plus `set_ph`, plus all `set_ph_delta` since the reset. A change of
    frequency keeps it. `reset_ph` clears all three, and the initial phase; what was set together with it counts from
    it.
    """
    row = np.arange(len(time))
    advance = frequency[:-1] * (np.diff(time) % TURN) % TURN
    ran_up = np.concatenate([[0], np.cumsum(advance)])
    _, reset = pending.fresh(Op.RESET_PH)
    last_reset = np.maximum.accumulate(np.where(reset, row, 0))
    absolute, is_set = pending.fresh(Op.SET_PH)
    last_set = np.maximum.accumulate(np.where(is_set | reset, row, 0))
    relative = np.where(is_set, absolute, 0)[last_set]
    step, is_stepped = pending.fresh(Op.SET_PH_DELTA)
    steps = np.where(is_stepped, step, 0)
    stepped = np.cumsum(steps)
    since_reset = stepped - (stepped - steps)[last_reset]
    start = np.where(np.maximum.accumulate(reset), 0, initial)
    phase: Column = (ran_up - ran_up[last_reset] + start + PHASE_STEP * (relative + since_reset)) % TURN
    return phase, PHASE_STEP * relative
