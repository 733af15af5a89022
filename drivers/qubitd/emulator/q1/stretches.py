"""What a sequencer's generator puts out: stretches of a waveform with constant parameters, one row each.

A play cuts off the waveform before it; a parameter that changes while a waveform plays splits its stretch. An offset is
a constant waveform.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.latches import Column, Latches
from qubitd.emulator.q1.trace import Trace

CONSTANT = -1
"""Waveform index of an offset's stretch."""
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stretches:
    """Rows in no particular order; every column has shape (rows,)."""

    start: Column
    """ns."""
    length: Column
    """ns, above 0."""
    row: Column
    """Row of the latches at the stretch's start, whose parameters hold."""
    wave0: Column
    wave1: Column
    """Waveform indices of the two paths, `CONSTANT` for an offset."""
    skip: Column
    """Samples of the waveform that were played before."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plays:
    """The play instructions that named two waveforms which exist."""

    row: Column
    """Of the latches."""
    wave0: Column
    wave1: Column
    length: Column
    """ns: the longer of the two."""


def invalid_plays(trace: Trace, lengths: NDArray[np.int64]) -> tuple[bool, bool]:
    """Tell for each path whether it was to play a waveform that is not there (length -1)."""
    played = trace.operands[trace.op == Op.PLAY]
    return bool((lengths[played[:, 0]] < 0).any()), bool((lengths[played[:, 1]] < 0).any())


def cut_into_stretches(trace: Trace, latches: Latches, lengths: NDArray[np.int64], end: int) -> Stretches:
    """Cut a run into stretches; `lengths` are those of the waveforms by index, -1 where there is none, `end` is that of
    the run in ns."""
    plays = _plays(trace, latches, lengths)
    is_cut = latches.changed()
    is_cut[plays.row] = True
    cuts = np.flatnonzero(is_cut)
    parts = [_first_stretches(latches, plays, cuts), _later_stretches(latches, plays, cuts)]
    if latches.offset0.any() or latches.offset1.any():
        parts.append(_offset_stretches(latches, cuts, end))
    return _joined(parts)


def _plays(trace: Trace, latches: Latches, lengths: NDArray[np.int64]) -> Plays:
    rows = 1 + np.flatnonzero(trace.op[latches.index[1:]] == Op.PLAY)
    waves = trace.operands[latches.index[rows], :2]
    both = lengths[waves]
    valid = (both >= 0).all(axis=1)
    return Plays(
        row=rows[valid], wave0=waves[valid, 0], wave1=waves[valid, 1], length=both[valid].max(axis=1, initial=0)
    )


def _ends(latches: Latches, plays: Plays) -> Column:
    """Where each play ends: after its waveform, or where the next play cuts it off."""
    start = latches.time[plays.row]
    ends: Column = np.minimum(start + plays.length, np.append(start[1:], _NEVER))
    return ends


def _next_cut(latches: Latches, plays: Plays, cuts: Column) -> Column:
    times = np.append(latches.time[cuts], _NEVER)
    found: Column = times[np.searchsorted(cuts, plays.row, side="right")]
    return found


def _first_stretches(latches: Latches, plays: Plays, cuts: Column) -> Stretches:
    start = latches.time[plays.row]
    stop = np.minimum(_ends(latches, plays), _next_cut(latches, plays, cuts))
    return Stretches(
        start=start,
        length=stop - start,
        row=plays.row,
        wave0=plays.wave0,
        wave1=plays.wave1,
        skip=np.zeros(len(start), dtype=np.int64),
    )


def _later_stretches(latches: Latches, plays: Plays, cuts: Column) -> Stretches:
    """What remains of plays whose parameters changed under way: rare, so one by one."""
    ends = _ends(latches, plays)
    rows: list[tuple[int, int, int, int, int, int]] = []
    for i in np.flatnonzero(_next_cut(latches, plays, cuts) < ends).tolist():
        begin, end = int(latches.time[plays.row[i]]), int(ends[i])
        later = cuts[np.searchsorted(cuts, plays.row[i], side="right") :]
        later = later[: np.searchsorted(latches.time[later], end)]
        stops = [*latches.time[later[1:]].tolist(), end]
        for row, stop in zip(later.tolist(), stops, strict=True):
            start = int(latches.time[row])
            rows.append((start, stop - start, row, int(plays.wave0[i]), int(plays.wave1[i]), start - begin))
    return _from_rows(np.array(rows, dtype=np.int64).reshape(-1, 6))


def _offset_stretches(latches: Latches, cuts: Column, end: int) -> Stretches:
    on = (latches.offset0[cuts] != 0) | (latches.offset1[cuts] != 0)
    starts = latches.time[cuts]
    stops = np.append(starts[1:], end)
    rows = [
        (start, stop - start, row, CONSTANT, CONSTANT, 0)
        for start, stop, row in zip(starts[on].tolist(), stops[on].tolist(), cuts[on].tolist(), strict=True)
    ]
    return _from_rows(np.array(rows, dtype=np.int64).reshape(-1, 6))


def _from_rows(rows: NDArray[np.int64]) -> Stretches:
    start, length, row, wave0, wave1, skip = rows.T
    return Stretches(start=start, length=length, row=row, wave0=wave0, wave1=wave1, skip=skip)


def _joined(parts: list[Stretches]) -> Stretches:
    return Stretches(
        start=np.concatenate([part.start for part in parts]),
        length=np.concatenate([part.length for part in parts]),
        row=np.concatenate([part.row for part in parts]),
        wave0=np.concatenate([part.wave0 for part in parts]),
        wave1=np.concatenate([part.wave1 for part in parts]),
        skip=np.concatenate([part.skip for part in parts]),
    )
