"""From what sequencers generate to what leaves the connectors: channel map, mixer or not, RF switch, LO.

All columns are whole numbers in the registers' units, so that two iterations of a loop can be compared exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from qubitd.emulator.cluster.columns import Columns, stacked
from qubitd.emulator.cluster.player import Performance, Player
from qubitd.emulator.cluster.pool import LONGEST_CONSTANT, WaveformPool
from qubitd.emulator.cluster.switches import ALWAYS, Opening
from qubitd.emulator.events import EVERY_SHOT
from qubitd.emulator.q1.latches import TURN, Column, Latches
from qubitd.emulator.q1.stretches import CONSTANT, Stretches, cut_into_stretches

PORTS_IN_SLOT = 16
"""Ports are numbered slot * 16 + connector here."""
PortNumber = int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows(Columns):
    """What left connectors; every column has shape (rows,)."""

    start: Column
    """ns."""
    length: Column
    """ns, above 0."""
    port: Column
    """slot * 16 + connector."""
    waveform: Column
    """Index in the pool."""
    gain_i: Column
    gain_q: Column
    """32768 is 1."""
    frequency: Column
    """Steps of 0.25 Hz."""
    phase: Column
    """At the start, 4e9ths of a turn."""
    condition: Column
    """Index among the run's conditions, `EVERY_SHOT` for none."""


def joined(parts: list[Rows]) -> Rows:
    """Put rows one below the other, sorted by start; rows that start together have a definite order, too."""
    rows = stacked(Rows, parts)
    keys = (
        rows.condition,
        rows.phase,
        rows.frequency,
        rows.gain_q,
        rows.gain_i,
        rows.waveform,
        rows.length,
        rows.port,
        rows.start,
    )
    return rows.take(np.lexsort(keys))


def rows_of(
    performance: Performance, pool: WaveformPool, openings: Mapping[PortNumber, Opening], end: int
) -> list[Rows]:
    """Give what one sequencer puts on each connector it is wired to; `end` is the end of the run in ns."""
    player = performance.player
    pieces = cut_into_stretches(performance.trace, performance.latches, player.waves.lengths, end)
    parts: list[Rows] = []
    for output in range(player.kind.outputs):
        number = player.slot * PORTS_IN_SLOT + output
        for path0, path1, turn in _wires(player, output):
            rows = _wired(performance, pieces, pool, number, path0, path1, turn)
            parts.append(gated(rows, openings.get(number, ALWAYS), pool))
    return parts


def _wires(player: Player, output: int) -> list[tuple[bool, bool, int]]:
    """How the paths reach an output: whether path 0 is its real part, path 1 its imaginary part, and by how much the
    phase is turned."""
    map0, map1 = player.outputs
    if player.kind.is_rf:
        if not player.module.lo_enabled[player.kind.oscillators[output]]:
            return []
        real, imaginary = 2 * output in map0, 2 * output + 1 in map1
        return [(real, imaginary, 0)] if real or imaginary else []
    wires: list[tuple[bool, bool, int]] = []
    if output in map0:
        wires.append((True, player.configuration.modulates, 0))
    if output in map1:  # Im(s e^ip) is Re(s e^i(p - 90 deg))
        wires.append((player.configuration.modulates, True, -TURN // 4))
    return wires


def _wired(
    performance: Performance, pieces: Stretches, pool: WaveformPool, port: int, path0: bool, path1: bool, turn: int
) -> Rows:
    player, latches = performance.player, performance.latches
    # Without modulation, path 1 on a baseband output is a real signal of its own.
    swap = path1 and not path0 and not player.kind.is_rf
    waveform, longest = _pooled(player, pieces, pool, path0, path1, swap)
    length = np.minimum(pieces.length, longest)
    is_constant = pieces.wave0 == CONSTANT
    gain0 = np.where(is_constant, latches.offset0[pieces.row], latches.gain0[pieces.row]) * path0
    gain1 = np.where(is_constant, latches.offset1[pieces.row], latches.gain1[pieces.row]) * path1
    gain_i, gain_q = (gain1, gain0) if swap else (gain0, gain1)
    frequency, phase = _nco(player, latches, pieces, 0 if swap else turn)
    rows = Rows(
        start=pieces.start,
        length=length,
        port=np.full(len(length), port, dtype=np.int64),
        waveform=waveform,
        gain_i=gain_i,
        gain_q=gain_q,
        frequency=frequency,
        phase=phase,
        condition=np.full(len(length), EVERY_SHOT, dtype=np.int64),
    )
    return rows.take((length > 0) & ((gain_i != 0) | (gain_q != 0)))


def _pooled(
    player: Player, pieces: Stretches, pool: WaveformPool, path0: bool, path1: bool, swap: bool
) -> tuple[Column, Column]:
    """Index in the pool of every stretch's waveform, and how many samples of it are left."""
    keys = (pieces.wave0 << 32) + (pieces.wave1 << 16) + pieces.skip
    _, first_rows, inverse = np.unique(keys, return_index=True, return_inverse=True)
    found = np.zeros((len(first_rows), 2), dtype=np.int64)
    for i, row in enumerate(first_rows.tolist()):
        wave0, wave1, skip = int(pieces.wave0[row]), int(pieces.wave1[row]), int(pieces.skip[row])
        if wave0 == CONSTANT:
            found[i] = pool.constant(), np.iinfo(np.int64).max
            continue
        first = player.waves.by_index[wave0] if path0 else None
        second = player.waves.by_index[wave1] if path1 else None
        index = pool.add(second, first, skip) if swap else pool.add(first, second, skip)
        found[i] = index, pool.length(index)
    chosen = found[inverse]
    return chosen[:, 0], chosen[:, 1]


def _nco(player: Player, latches: Latches, pieces: Stretches, turn: int) -> tuple[Column, Column]:
    if not player.configuration.modulates:
        return np.zeros_like(pieces.start), np.zeros_like(pieces.start)
    return latches.frequency[pieces.row], (latches.phase[pieces.row] + turn) % TURN


def gated(rows: Rows, opening: Opening, pool: WaveformPool) -> Rows:
    """Leave of each row what falls into the intervals in which its switch is open."""
    if not len(opening.opens):
        return rows.take(np.zeros(0, dtype=np.int64))
    stop = rows.start + rows.length
    at = np.searchsorted(opening.opens, rows.start, side="right") - 1
    whole = (at >= 0) & (opening.closes[at] >= stop)
    clipped = [
        piece for i in np.flatnonzero(~whole).tolist() for piece in _clipped(rows.take(np.array([i])), opening, pool)
    ]
    return joined([rows.take(whole), *clipped]) if clipped else rows.take(whole)


def _clipped(row: Rows, opening: Opening, pool: WaveformPool) -> list[Rows]:
    start, stop = int(row.start[0]), int(row.start[0] + row.length[0])
    met = np.flatnonzero((opening.opens < stop) & (opening.closes > start))
    return [
        part_of(row, max(start, int(opening.opens[i])), min(stop, int(opening.closes[i])), pool) for i in met.tolist()
    ]


def part_of(row: Rows, begin: int, end: int, pool: WaveformPool) -> Rows:
    """Cut a single row to an interval."""
    skipped = begin - int(row.start[0])
    return Rows(
        start=np.array([begin]),
        length=np.array([end - begin]),
        port=row.port,
        waveform=np.array([pool.rest(int(row.waveform[0]), skipped)]),
        gain_i=row.gain_i,
        gain_q=row.gain_q,
        frequency=row.frequency,
        phase=(row.phase + row.frequency * (skipped % TURN)) % TURN,
        condition=row.condition,
    )


def constants_split(rows: Rows, pool: WaveformPool, bounds: Column) -> Rows:
    """Cut offsets, which last as long as nobody changes them, at some moments (in order, ns)."""
    stop = rows.start + rows.length
    constant = np.array([pool.is_constant(i) for i in range(len(pool.waveforms))], dtype=bool)
    crosses = np.searchsorted(bounds, rows.start, side="right") != np.searchsorted(bounds, stop, side="left")
    chosen = np.flatnonzero(constant[rows.waveform] & crosses) if len(stop) else _NONE
    if not len(chosen):
        return rows
    pieces: list[Rows] = []
    for i in chosen.tolist():
        inner = bounds[(bounds > rows.start[i]) & (bounds < stop[i])]
        pieces += _cut(rows.take(np.array([i])), [int(rows.start[i]), *inner.tolist(), int(stop[i])], pool)
    return joined([rows.take(np.setdiff1d(np.arange(len(stop)), chosen)), *pieces])


def constants_shortened(rows: Rows, pool: WaveformPool) -> Rows:
    """Cut offsets into rows no longer than the waveform that stands for them."""
    long = np.flatnonzero(rows.length > LONGEST_CONSTANT)
    if not len(long):
        return rows
    pieces: list[Rows] = []
    for i in long.tolist():
        start, stop = int(rows.start[i]), int(rows.start[i] + rows.length[i])
        pieces += _cut(rows.take(np.array([i])), [*range(start, stop, LONGEST_CONSTANT), stop], pool)
    return joined([rows.take(np.setdiff1d(np.arange(len(rows.start)), long)), *pieces])


def _cut(row: Rows, moments: list[int], pool: WaveformPool) -> list[Rows]:
    return [part_of(row, begin, end, pool) for begin, end in pairwise(moments)]


_NONE = np.zeros(0, dtype=np.int64)
