"""A job's programs, block by block in bounded memory: circuits side by side, or cases of one circuit together.

The cases of a circuit are its bindings x the points of the sweep, in this order. They are made together as long as they
differ in numbers only; a parameter that shapes a gate (a duration, a width) starts a new block at each of its values.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

import numpy as np

from qubitd.compiler.block import Block
from qubitd.compiler.columns import Floats, Ints, blocks, cases_at_once
from qubitd.compiler.dynamic_circuits import DynamicCircuit, DynamicCircuits
from qubitd.compiler.dynamic_programs import DynamicMaker
from qubitd.compiler.numbers import Numbers
from qubitd.compiler.pipeline import Pipeline
from qubitd.core.sweep import Sweep


def program_blocks(pipeline: Pipeline, sweep: Sweep, dynamic: DynamicCircuits, *, first: int) -> Iterator[Block]:
    """Give the programs of a job in order, from one of them on; those of dynamic circuits one by one."""
    circuits = pipeline.batch.columns
    index, skipped = _place(circuits.num_bindings * sweep.num_points, first) if first else (0, 0)
    alone = list(range(len(circuits))) if sweep.names else sorted({*circuits.bindings, *dynamic})
    for one in alone[bisect.bisect_left(alone, index) :]:
        if index < one:
            yield from _side_by_side(pipeline, range(index, one))
        if one in dynamic:
            yield from _one_by_one(pipeline, one, sweep, dynamic[one], skipped)
        else:
            yield from _cases(pipeline, one, sweep, skipped)
        index, skipped = one + 1, 0
    if index < len(circuits):
        yield from _side_by_side(pipeline, range(index, len(circuits)))


def _place(programs: Ints, first: int) -> tuple[int, int]:
    """Say in which circuit a program is, and how many of that circuit's come before it; each has so many."""
    end = programs.cumsum()
    index = int(end.searchsorted(first, side="right"))
    return index, first - (int(end[index - 1]) if index else 0)


def _one_by_one(pipeline: Pipeline, index: int, sweep: Sweep, dynamic: DynamicCircuit, first: int) -> Iterator[Block]:
    maker = DynamicMaker(pipeline, index, dynamic)
    for case in range(first, pipeline.batch.circuits[index].num_bindings * sweep.num_points):
        yield (maker.program(case // sweep.num_points, sweep.point(case)),)


def _side_by_side(pipeline: Pipeline, circuits: range) -> Iterator[Block]:
    for block in blocks(pipeline.batch.columns, lines=len(pipeline.gates.lines), within=circuits):
        prepared = pipeline.prepare(block) if len(block) > 1 else pipeline.prepare_cases(block.start)
        yield pipeline.lower(block, prepared, pipeline.numbers(prepared, {}))


def _cases(pipeline: Pipeline, index: int, sweep: Sweep, first: int) -> Iterator[Block]:
    maker, points = _Maker(pipeline, index), sweep.num_points
    total = pipeline.batch.circuits[index].num_bindings * points
    while first < total:
        chosen = np.arange(first, min(first + maker.most, total))
        point = sweep.at(chosen)
        count = _alike([values for name, values in point.items() if name in maker.shaping], len(chosen))
        if count < len(chosen):
            chosen, point = chosen[:count], {name: values[:count] for name, values in point.items()}
        yield maker.programs(chosen // points, point)
        first += count


class _Maker:
    """Makes the programs of some cases of a circuit, in which shaping parameters have one value."""

    def __init__(self, pipeline: Pipeline, index: int) -> None:
        self._pipeline = pipeline
        self._index = index
        self._circuit = pipeline.batch.circuits[index]
        self._prepared = pipeline.prepare_cases(index)
        self._unswept: Numbers | None = None
        self.shaping = pipeline.shaping(self._prepared)
        self.most = cases_at_once(len(self._prepared.columns), lines=len(pipeline.gates.lines))

    def programs(self, bindings: Ints, point: dict[str, Floats]) -> Block:
        """Give the program of each case: its binding, and its value of each swept parameter."""
        prepared, count = self._prepared, len(bindings)
        if self._circuit.bindings is not None:
            params = self._circuit.bindings.into(self._circuit.params, bindings)
            prepared = prepared.bound(params if count > 1 else params[0])
        if count == 1:
            numbers = self._numbers({n: float(v[0]) for n, v in point.items()})
            return self._pipeline.lower(range(self._index, self._index + 1), prepared, numbers)
        numbers = self._numbers({n: float(v[0]) if n in self.shaping else v for n, v in point.items()})
        return self._pipeline.lower_cases(self._circuit, prepared, numbers, count=count)

    def _numbers(self, point: dict[str, float | Floats]) -> Numbers:
        if point:
            return self._pipeline.numbers(self._prepared, point)
        if self._unswept is None:
            self._unswept = self._pipeline.numbers(self._prepared, {})
        return self._unswept


def _alike(columns: Sequence[Floats], most: int) -> int:
    """Give how many cases, from the first on, have the same values in all columns."""
    if not columns:
        return most
    same = np.ones(most, dtype=bool)
    for column in columns:
        same &= column == column[0]
    return int(most if same.all() else np.argmin(same))
