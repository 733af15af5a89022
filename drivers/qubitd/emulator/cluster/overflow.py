"""Which outputs were driven beyond full scale by what sequencers put on them together (the hardware's flag is OUTPUT
OVERFLOW). Plays whose conditions exclude each other are never together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.events import EVERY_SHOT, Condition, EventTable

_LIMIT = 1 + 1e-6
Rows = NDArray[np.int64]


def overflowing(table: EventTable) -> list[int]:
    """Give the indices of the outputs whose converters had to clip."""
    peaks = np.array([(np.abs(w.samples.real).max(), np.abs(w.samples.imag).max()) for w in table.waveforms]).reshape(
        -1, 2
    )
    plays = table.plays
    bound = np.hypot(plays.gain_i * peaks[plays.waveform, 0], plays.gain_q * peaks[plays.waveform, 1])
    return [port for port in range(len(table.outputs)) if _overflows(table, port, bound)]


def _overflows(table: EventTable, port: int, bound: NDArray[np.float64]) -> bool:
    """Add up bounds first: only where they exceed full scale do the samples have to be looked at."""
    on = (table.plays.port == port).nonzero()[0]
    if not len(on):
        return False
    times = np.concatenate([table.plays.start[on], table.plays.start[on] + table.plays.length[on]])
    steps = np.concatenate([bound[on], -bound[on]])
    order = np.lexsort((steps, times))
    times, sums = times[order], steps[order].cumsum()
    hot = ((sums[:-1] > _LIMIT) & (times[1:] > times[:-1])).nonzero()[0]
    return any(_clips(table, on, bound, int(times[i]), int(times[i + 1])) for i in hot.tolist())


def _clips(table: EventTable, on: Rows, bound: NDArray[np.float64], begin: int, end: int) -> bool:
    """Whether either quadrature leaves full scale between two changes, while the same rows play on."""
    plays = table.plays
    rows = on[(plays.start[on] < end) & (plays.start[on] + plays.length[on] > begin)]
    return any(
        bound[together].sum() > _LIMIT and _leaves_full_scale(table, together, begin, end)
        for together in _together(rows, plays.condition, table.conditions)
    )


def _leaves_full_scale(table: EventTable, rows: Rows, begin: int, end: int) -> bool:
    plays = table.plays
    signal = np.zeros(end - begin, dtype=np.complex128)
    for row in rows.tolist():
        t = np.arange(begin, end) - plays.start[row]
        samples = table.waveforms[plays.waveform[row]].samples[t]
        nco = plays.phase[row] + plays.frequency[row] * t * 1e-9
        piece = (plays.gain_i[row] * samples.real + 1j * plays.gain_q[row] * samples.imag) * np.exp(2j * np.pi * nco)
        signal += piece if table.outputs[plays.port[row]].lo_frequency else piece.real
    return bool(np.abs(signal.real).max() > _LIMIT or np.abs(signal.imag).max() > _LIMIT)


def _together(rows: Rows, condition: NDArray[np.int32], stated: Sequence[Condition]) -> Iterator[Rows]:
    """Give each set of these rows that may be there in one shot."""
    always = rows[condition[rows] == EVERY_SHOT]
    apart = _apart(np.unique(condition[rows][condition[rows] != EVERY_SHOT]).tolist(), stated)
    for holding in itertools.product(*(_patterns([stated[number] for number in group]) for group in apart)):
        on = [
            number
            for group, held in zip(apart, holding, strict=True)
            for number, is_on in zip(group, held, strict=True)
            if is_on
        ]
        yield np.concatenate([always, rows[np.isin(condition[rows], on)]])


def _apart(numbers: Sequence[int], stated: Sequence[Condition]) -> list[list[int]]:
    """Put conditions that look at the same outcomes together."""
    groups: list[tuple[set[int], list[int]]] = []
    for number in numbers:
        looked, group = set(stated[number].outcomes), [number]
        for other in [other for other in groups if other[0] & looked]:
            groups.remove(other)
            looked, group = looked | other[0], [*other[1], *group]
        groups.append((looked, group))
    return [group for _, group in groups]


def _patterns(conditions: Sequence[Condition]) -> list[tuple[bool, ...]]:
    """Give the ways in which conditions may hold or not, whatever the outcomes that they look at."""
    outcomes = sorted({row for each in conditions for row in each.outcomes})
    values = np.arange(1 << len(outcomes))
    held: list[NDArray[np.bool_]] = []
    for each in conditions:
        index = np.zeros(len(values), dtype=np.int64)
        for position, row in enumerate(each.outcomes):
            index |= (values >> outcomes.index(row) & 1) << position
        held.append(each.truth[index])
    return [tuple(pattern) for pattern in np.unique(np.stack(held), axis=1).T.tolist()]
