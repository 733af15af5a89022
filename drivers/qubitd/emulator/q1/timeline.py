"""When each real-time instruction starts: durations add up, and at `wait_sync` the sequencers wait for each other.

Time is a whole number of ns from the start of the run. A sequencer that is no member of the synchronisation takes
`wait_sync` for a plain wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.trace import Trace

SHORTEST = 4
"""ns from one real-time instruction to the next, at least."""

_DURATION_OPERAND = np.full(256, -1, dtype=np.int64)
for _op, _index in {
    Op.UPD_PARAM: 0,
    Op.PLAY: 2,
    Op.ACQUIRE: 2,
    Op.ACQUIRE_WEIGHED: 4,
    Op.WAIT: 0,
    Op.WAIT_SYNC: 0,
    Op.SET_LATCH_EN: 1,
    Op.LATCH_RST: 0,
    Op.WAIT_TRIGGER: 1,
}.items():
    _DURATION_OPERAND[_op] = _index


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """Start times of a trace's instructions."""

    start: NDArray[np.int64]
    """ns, shape (instructions + 1,): the last entry is the end of the last instruction."""

    @property
    def end(self) -> int:
        """End of the last instruction, ns."""
        return int(self.start[-1])


def takes_time(op: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which instructions hold up the next one."""
    return np.asarray(_DURATION_OPERAND[op] >= 0, dtype=np.bool_)


def durations(trace: Trace) -> NDArray[np.int64]:
    """Give how long each instruction holds up the next one, ns; 0 for those that only set a parameter."""
    index = _DURATION_OPERAND[trace.op]
    chosen = trace.operands[np.arange(len(index)), np.maximum(index, 0)]
    return np.where(index >= 0, chosen, 0)


def first_too_short(trace: Trace) -> int:
    """Give the index of the first instruction after one that left the executor less than 4 ns; the trace's length if
    there is none."""
    short = (_DURATION_OPERAND[trace.op] >= 0) & (durations(trace) < SHORTEST)
    return int(np.argmax(short)) + 1 if short.any() else len(trace)


def free_timeline(trace: Trace) -> Timeline:
    """Lay out a trace that waits for nobody."""
    return Timeline(start=_local(trace))


def common_timelines(traces: Sequence[Trace]) -> list[Timeline] | None:
    """Lay out traces that wait for each other at each `wait_sync`; None if some wait for ever because others stop
    before."""
    local = [_local(trace) for trace in traces]
    syncs = [np.flatnonzero(trace.op == Op.WAIT_SYNC) for trace in traces]
    if len({len(sync) for sync in syncs}) > 1:
        return None
    arrivals = np.stack([start[sync] for start, sync in zip(local, syncs, strict=True)])
    barriers = np.diff(arrivals, axis=1, prepend=0).max(axis=0).cumsum()
    return [_shifted(start, sync, barriers) for start, sync in zip(local, syncs, strict=True)]


def _local(trace: Trace) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(durations(trace))])


def _shifted(local: NDArray[np.int64], sync: NDArray[np.int64], barriers: NDArray[np.int64]) -> Timeline:
    """Delay everything after a `wait_sync` by as long as it waited; the instruction itself starts on arrival."""
    late = barriers - local[sync]
    delay = np.zeros_like(local)
    delay[sync + 1] = late
    delay[sync[1:] + 1] -= late[:-1]
    return Timeline(start=local + np.cumsum(delay))
