"""The integrations that sequencers start, and into which bin each one goes.

All columns are whole numbers in the registers' units, so that two iterations of a loop can be compared exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.columns import Columns, stacked
from qubitd.emulator.cluster.outputs import PORTS_IN_SLOT
from qubitd.emulator.cluster.player import Performance, Player
from qubitd.emulator.cluster.pool import WaveformPool
from qubitd.emulator.events import EVERY_SHOT
from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.latches import TURN, Column

SQUARE = -1
"""Weight of an integration without weights."""
BUFFERED = 7
"""Acquisitions that may wait for being binned."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows(Columns):
    """Integrations; every column has shape (rows,)."""

    start: Column
    """ns."""
    length: Column
    """ns."""
    port: Column
    """slot * 16 + connector."""
    sequencer: Column
    """slot * 8 + sequencer."""
    weight: Column
    """Index in the pool, `SQUARE` for none."""
    frequency: Column
    """Steps of 0.25 Hz."""
    phase: Column
    """At the start, 4e9ths of a turn."""
    acquisition: Column
    """Index of the acquisition in its sequencer."""
    bin: Column
    sends: Column
    """1 where the acquisition may send a trigger."""
    condition: Column
    """Index among the run's conditions, `EVERY_SHOT` for none."""


def joined_windows(parts: list[Windows]) -> Windows:
    """Put rows one below the other, sorted by start; rows that start together have a definite order, too."""
    rows = stacked(Windows, parts)
    return rows.take(np.lexsort((rows.condition, rows.sequencer, rows.start)))


def windows_of(performance: Performance, pool: WaveformPool) -> Windows:
    """Give every integration that one sequencer started with an acquisition and weights that exist."""
    player, trace, latches = performance.player, performance.trace, performance.latches
    op = trace.op[latches.index[1:]]
    rows = 1 + np.flatnonzero((op == Op.ACQUIRE) | (op == Op.ACQUIRE_WEIGHED))
    operands = trace.operands[latches.index[rows]]
    weighed = trace.op[latches.index[rows]] == Op.ACQUIRE_WEIGHED
    weight, length = _weights(performance, operands, weighed, pool)
    exists = np.isin(operands[:, 0], list(player.acquisitions)) & (length > 0)
    demodulates = player.configuration.demodulates
    return Windows(
        start=latches.time[rows],
        length=length,
        port=np.full(len(rows), player.slot * PORTS_IN_SLOT + _input(player), dtype=np.int64),
        sequencer=np.full(len(rows), player.identity, dtype=np.int64),
        weight=weight,
        frequency=latches.frequency[rows] * demodulates,
        phase=latches.phase[rows] % TURN * demodulates,
        acquisition=operands[:, 0],
        bin=operands[:, 1],
        sends=np.full(len(rows), player.configuration.trigger is not None, dtype=np.int64),
        condition=np.full(len(rows), EVERY_SHOT, dtype=np.int64),
    ).take(exists)


def _input(player: Player) -> int:
    """The connector that path 0 listens to; an RF input feeds two converters."""
    converter = min(player.inputs[0], default=0)
    return converter // 2 if player.kind.is_rf else converter


def _weights(
    performance: Performance, operands: NDArray[np.int64], weighed: NDArray[np.bool_], pool: WaveformPool
) -> tuple[Column, Column]:
    """Index in the pool of each integration's weight, and its length; 0 where it is missing.

    Both quadratures have the same weight: programs in which they differ are not executed so far.
    """
    player = performance.player
    weight = np.full(len(operands), SQUARE, dtype=np.int64)
    length = np.full(len(operands), player.configuration.integration_length, dtype=np.int64)
    for number in np.unique(operands[weighed, 2]).tolist():
        rows = weighed & (operands[:, 2] == number)
        wave = player.weights.by_index.get(number)
        if wave is None:
            length[rows] = 0
            continue
        index = pool.add(wave, None)
        weight[rows], length[rows] = index, pool.length(index)
    length[weighed & ~np.isin(operands[:, 3], list(player.weights.by_index))] = 0
    return weight, length


def missing_weights(performance: Performance) -> tuple[bool, bool]:
    """Tell for each path whether it was to integrate with a weight that is not there."""
    trace = performance.trace
    asked = trace.operands[trace.op == Op.ACQUIRE_WEIGHED]
    held = performance.player.weights.by_index.keys()
    return not held >= set(asked[:, 2].tolist()), not held >= set(asked[:, 3].tolist())


def missing_acquisition(performance: Performance) -> bool:
    """Whether an acquisition was named that is not there."""
    trace = performance.trace
    asked = trace.operands[(trace.op == Op.ACQUIRE) | (trace.op == Op.ACQUIRE_WEIGHED), 0]
    return not performance.player.acquisitions.keys() >= set(asked.tolist())


def binning_period(acquiring: int) -> int:
    """Give how many ns a sequencer needs for one bin when this many of a module's sequencers acquire."""
    if acquiring >= 5:
        return 900
    return 600 if acquiring >= 3 else 300


def binning_backlog(start: Column, period: int) -> int:
    """Give the largest number of acquisitions that waited to be binned, the new one included, when one took `period`
    ns."""
    if not len(start):
        return 0
    served = period * np.arange(1, len(start) + 1)
    done = served + np.maximum.accumulate(start - (served - period))
    return int((-((start - done) // period)).max())
