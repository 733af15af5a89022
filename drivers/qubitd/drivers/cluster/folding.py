"""Which programs of a chunk a sequencer plays as a loop: those alike in all but numbers that count in straight lines.

Each sequencer folds on its own, as every one keeps to the chunk's layout to the tick. What cannot be folded is written
out, so a fold never changes what is played.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qubitd.drivers.cluster.line_program import Fold, LineProgram
from qubitd.drivers.cluster.modules import FIRST_REGISTER, REGISTERS
from qubitd.drivers.cluster.q1asm_loops import fold_text
from qubitd.drivers.cluster.registers import TURN
from qubitd.drivers.cluster.series import Series, bends_of, core_of, nest_of, solve
from qubitd.drivers.cluster.timeline import Kind
from qubitd.drivers.cluster.waits import LONGEST, SHORTEST

FEWEST = 4
"""Programs that are worth a loop."""
_CORE_TIME = 12
"""ns at most that the processor takes for an instruction which computes or jumps."""
_PER_LOOP = 4
"""Instructions at most for a turn of a loop, without its series."""
_QUEUE = 32
"""Instructions that the real-time part holds in stock."""
_WIDEST = LONGEST - SHORTEST
"""ns by which one waiting time in a register may vary."""
_UNLIKE = "they are of different shapes"
_FED = "something depends on an outcome"
_NO_LINE = "their numbers lie on no line once they are rounded"
_TOO_FEW = "they are too few for a loop"
_NO_REGISTER = "there are too many numbers for the registers"
_NO_TIME = "the processor has too little time between them"

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SWITCHES: Ints = np.array([kind in (Kind.BEGIN, Kind.OPEN, Kind.CLOSE) for kind in Kind], dtype=np.int64)
"""Instructions that set something at each kind of event, whatever the line does."""


def _columns(part: LineProgram) -> dict[str, Ints]:
    """Give the numbers of settings that loops may count, by what they set."""
    columns = {"gain_real": part.gain_real, "gain_imag": part.gain_imag}
    if part.tones is not None:
        for name in ("begin_frequency", "play_frequency", "play_phase", "acquisition_frequency"):
            columns[name] = getattr(part.tones, name)
    return {name: values for name, values in columns.items() if len(values)}


def folded(part: LineProgram) -> LineProgram:
    """Find the loops that one sequencer can play a chunk's programs with."""
    if len(part.layout.begin) < FEWEST:
        return part
    if part.feedback is not None:
        return replace(part, written_out=_FED)
    found = list(_folds(part))
    loops = [one for one in found if isinstance(one, Fold)]
    folds = tuple(replace(fold, text=fold_text(fold, f"f{number}")) for number, fold in enumerate(loops))
    reason = next((one for one in found if isinstance(one, str)), _UNLIKE)
    covered = sum(fold.stop - fold.first for fold in folds)
    return replace(part, folds=folds, written_out="" if covered == len(part.layout.begin) else reason)


def _folds(part: LineProgram) -> Iterator[Fold | str]:
    """Give the loops, and what keeps other programs from being played so."""
    events = np.bincount(part.timeline.program, minlength=len(part.layout.begin))
    signature: Ints | None = None
    for first, stop in _equal_runs(events):
        if stop - first < FEWEST or events[first] == 0:
            continue
        signature = _signature(part) if signature is None else signature
        rows = slice(*np.searchsorted(part.timeline.program, [first, stop]).tolist())
        alike = _equal_rows(signature[rows].reshape(stop - first, -1))
        for begin, end in _equal_runs(np.cumsum(~alike, dtype=np.int64)):
            yield from _fold_run(part, first + begin, first + end)


def _equal_runs(values: NDArray[np.integer]) -> Iterator[tuple[int, int]]:
    """Give the longest stretches of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return itertools.pairwise(edges)


def _equal_rows(rows: Ints) -> Bools:
    """Tell whether each row is like the one before; the first is."""
    return np.concatenate([[True], (rows[1:] == rows[:-1]).all(axis=1)])


def _signature(part: LineProgram) -> Ints:
    """Give a number for each event that says what it is, but for what a register can hold."""
    kind = part.timeline.kind
    found = kind.astype(np.int64)
    waveforms, envelope = part.waveforms, part.plays.envelope
    found[kind == Kind.PLAY] += len(Kind) * (waveforms.real * 1024 + waveforms.imag)[envelope]
    found[kind == Kind.ACQUIRE] += len(Kind) * (part.weights.index + 1)
    return found


def _fold_run(part: LineProgram, first: int, stop: int) -> Iterator[Fold | str]:
    """Fold programs of one shape as a whole, or if that fails what is whole of a grid that was cut anywhere, or the
    pieces in which no line bends.
    """
    if stop - first < FEWEST:
        return
    table = _Table(part, first, stop)
    nest = nest_of(table.counting, table.modulus)
    found = table.folded(nest)
    if isinstance(found, Fold):
        yield found
        return
    begin, end = core_of(table.counting, table.modulus)
    if FEWEST <= end - begin < stop - first:
        inside = _Table(part, first + begin, first + end)
        core = inside.folded(nest_of(inside.counting, inside.modulus))
        if isinstance(core, Fold):
            yield from _fold_rest(part, first, first + begin)
            yield core
            yield from _fold_rest(part, first + end, stop)
            return
    yield found
    outer, *inner = nest
    size = int(np.prod(inner, dtype=np.int64)) if inner else 0
    if size < FEWEST:
        return
    for i in np.flatnonzero(_with_lines(table, outer, size)).tolist():
        yield from _fold_run(part, first + i * size, first + (i + 1) * size)


def _fold_rest(part: LineProgram, first: int, stop: int) -> Iterator[Fold | str]:
    """Fold what a grid has beside its core."""
    if 0 < stop - first < FEWEST:
        yield _TOO_FEW
    yield from _fold_run(part, first, stop)


def _with_lines(table: _Table, pieces: int, size: int) -> Bools:
    """Tell which of some pieces may hold a loop, so that those of random numbers are not tried one by one: its first
    two steps are alike if the innermost loop has three turns, its first and third if it has two.
    """
    steps = np.diff(table.counting, axis=0)
    begins = np.zeros(pieces * size, dtype=np.bool_)
    for apart in (1, 2):
        bends = bends_of(steps[apart:], steps[:-apart], table.modulus)
        begins[: len(bends)] |= (np.abs(bends) <= 1).all(axis=1)
    return np.asarray(begins.reshape(pieces, size)[:, : 1 - FEWEST].any(axis=1))


class _Table:
    """All numbers of some programs of one shape, a row for each program."""

    def __init__(self, part: LineProgram, first: int, stop: int) -> None:
        self.part, self.first, self.stop = part, first, stop
        self.inside = part.between(first, stop)
        count = stop - first
        begin = part.layout.begin[first:stop]
        end = np.append(part.layout.begin, part.layout.total)[first + 1 : stop + 1]
        times = self.inside.timeline.time.reshape(count, -1)
        self.gaps = np.diff(times, axis=1, prepend=begin[:, None], append=end[:, None])
        self.begin, self.end = int(begin[0]), int(end[-1])
        self.settings = {name: values.reshape(count, -1) for name, values in _columns(self.inside).items()}
        columns = [self.gaps, *self.settings.values()]
        modulus = [TURN if name == "play_phase" else 0 for name in ("gaps", *self.settings)]
        everything = np.concatenate(columns, axis=1)
        all_modulus = np.repeat(modulus, [column.shape[1] for column in columns])
        changes = (everything != everything[0]).any(axis=0)
        self.counting, self.modulus = everything[:, changes], all_modulus[changes]

    def folded(self, turns: tuple[int, ...]) -> Fold | str:
        """Fold the programs into a nest of loops, or say why that cannot be."""
        collected = _Collected(turns)
        waits = self._waits(collected)
        if waits is None:
            return _NO_REGISTER if collected.are_too_many else _NO_LINE
        counted: dict[str, dict[int, int]] = {}
        for name, values in self.settings.items():
            found = collected.rows(values, TURN if name == "play_phase" else 0)
            if found is None:
                return _NO_REGISTER if collected.are_too_many else _NO_LINE
            counted[name] = found
        # A gain has two operands, both immediates or both registers.
        for one, other in (("gain_real", "gain_imag"), ("gain_imag", "gain_real")):
            for row in list(counted.get(one, {})):
                if row not in counted[other]:
                    counted[other][row] = collected.constant(int(self.settings[other][0, row]))
        if collected.are_too_many:
            return _NO_REGISTER
        constant = self.gaps.min(axis=0)
        for gap, series in waits.items():
            constant[gap] -= SHORTEST * len(series)
        part = self._one_turn(constant[1:])
        if not _has_time(part, constant, waits, collected):
            return _NO_TIME
        return Fold(
            first=self.first,
            stop=self.stop,
            begin=self.begin,
            end=self.end,
            turns=turns,
            part=part,
            lead_in=int(constant[0]),
            series=tuple(collected.series),
            counted=counted,
            waits=waits,
        )

    def _waits(self, collected: _Collected) -> dict[int, tuple[int, ...]] | None:
        """Give the series of the gaps that change."""
        waits: dict[int, tuple[int, ...]] = {}
        least, most = self.gaps.min(axis=0), self.gaps.max(axis=0)
        if (least[1:] < SHORTEST).any():
            return None
        for gap in np.flatnonzero(least != most).tolist():
            pieces = -(-int(most[gap] - least[gap]) // _WIDEST)
            if least[gap] < SHORTEST * (pieces + 1):
                return None
            found = collected.pieces(self.gaps[:, gap] - least[gap], pieces)
            if found is None:
                return None
            waits[gap] = found
        return waits

    def _one_turn(self, gaps: Ints) -> LineProgram:
        """Give the first program with what any of them sets."""
        inside, count = self.inside, self.stop - self.first
        one = self.part.between(self.first, self.first + 1)
        tones = one.tones
        if tones is not None and inside.tones is not None:
            tones = replace(
                tones,
                play_sets_frequency=_any(inside.tones.play_sets_frequency, count),
                play_sets_phase=_any(inside.tones.play_sets_phase, count),
                acquisition_sets_frequency=_any(inside.tones.acquisition_sets_frequency, count),
            )
        return replace(
            one,
            tones=tones,
            sets_gain=_any(inside.sets_gain, count),
            weights=replace(one.weights, sets=_any(inside.weights.sets, count)),
            timeline=replace(one.timeline, gap=gaps),
        )


def _has_time(part: LineProgram, constant: Ints, waits: Mapping[int, tuple[int, ...]], collected: _Collected) -> bool:
    """Whether the processor, which counts at the end of a turn, keeps ahead: what the real-time part still holds then
    lasts long enough.

    Args:
        part: one turn.
        constant: gaps of the turn, from its beginning to the first event and behind each event.
        waits: series of the waits in gaps that change.
        collected: what is counted.
    """
    work = _PER_LOOP * len(collected.turns) + sum(one.work for one in collected.series)
    queued = _queued(part)
    for gap, series in waits.items():
        queued[max(0, gap - 1)] += len(series)
    in_stock = np.cumsum(queued[::-1])[::-1] <= _QUEUE
    stock = constant.sum() if in_stock.all() else constant[1:][in_stock].sum()
    return bool(stock >= _CORE_TIME * work)


def _queued(part: LineProgram) -> Ints:
    """Count the instructions that each event puts into the stock: what it sets, itself, and the waits behind it."""
    kind, tones = part.timeline.kind, part.tones
    count = -(-part.timeline.gap // LONGEST)
    count += _SWITCHES[kind]
    count[kind == Kind.PLAY] += part.sets_gain
    if tones is not None:
        count[kind == Kind.BEGIN] += tones.changes
        count[kind == Kind.PLAY] += tones.play_sets_phase.astype(np.int64) + tones.play_sets_frequency
        count[kind == Kind.ACQUIRE] += tones.acquisition_sets_frequency
    return np.maximum(count, 1)


class _Collected:
    """The distinct series of a nest of loops."""

    def __init__(self, turns: tuple[int, ...]) -> None:
        self.turns = turns
        self.series: list[Series] = []
        self._known: dict[tuple[int, bytes], int] = {}
        self._taken = FIRST_REGISTER + len(turns)

    @property
    def are_too_many(self) -> bool:
        """Whether the processor has too few registers for them."""
        return self._taken > REGISTERS

    def rows(self, values: Ints, modulus: int) -> dict[int, int] | None:
        """Give the series of the columns that change; None if one of them cannot be counted."""
        found: dict[int, int] = {}
        for row in np.flatnonzero((values != values[0]).any(axis=0)).tolist():
            number = self._number(values[:, row], modulus)
            if number is None:
                return None
            found[row] = number
        return found

    def constant(self, value: int) -> int:
        """Give the series of a number that stays."""
        return self._add(Series(start=value, strides=(0,) * len(self.turns), fraction=None, modulus=0))

    def pieces(self, values: Ints, pieces: int) -> tuple[int, ...] | None:
        """Give series of waiting times, each 4 to 65535, whose sum is 4 for each of them and some values from 0 on."""
        one = solve(values.reshape(self.turns), self.turns, 0)
        if one is None or self.are_too_many:
            return None
        others = [self._piece(one, pieces, i) for i in range(1, pieces)]
        first = replace(
            one,
            start=one.start + SHORTEST * pieces - sum(other.start for other in others),
            strides=tuple(_share(stride, pieces, 0) for stride in one.strides),
        )
        made = (first, *others)
        if not all(SHORTEST <= each <= LONGEST for series in made for each in _ends(series.values(self.turns))):
            return None
        return tuple(self._add(series) for series in made)

    def _piece(self, one: Series, pieces: int, i: int) -> Series:
        """Share the strides out; a piece starts where it never falls below the shortest wait."""
        strides = tuple(_share(stride, pieces, i) for stride in one.strides)
        start = SHORTEST - sum(min(0, s * (count - 1)) for s, count in zip(strides, self.turns, strict=True))
        return replace(one, start=start, strides=strides, fraction=None)

    def _number(self, values: Ints, modulus: int) -> int | None:
        key = (modulus, values.tobytes())
        known = self._known.get(key)
        if known is not None:
            return known
        found = None if self.are_too_many else solve(values.reshape(self.turns), self.turns, modulus)
        if found is not None:
            self._known[key] = self._add(found)
        return self._known.get(key)

    def _add(self, series: Series) -> int:
        if series not in self.series:
            self.series.append(series)
            self._taken += sum(series.needs)
        return self.series.index(series)


def _share(stride: int, pieces: int, i: int) -> int:
    return stride // pieces + (i < stride % pieces)


def _ends(values: Ints) -> tuple[int, int]:
    return int(values.min()), int(values.max())


def _any(flags: Bools, count: int) -> Bools:
    """Whether any program sets what the first may not need to."""
    return np.asarray(flags.reshape(count, -1).any(axis=0), dtype=np.bool_)
