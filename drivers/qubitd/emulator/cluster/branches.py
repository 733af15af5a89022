"""What can leave the connectors and be integrated in a run with conditions, each row with the condition under which it
does.

A row's condition is read off: it belongs to those walks of the ensemble in which the row is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.columns import stacked
from qubitd.emulator.cluster.ensemble import Ensemble
from qubitd.emulator.cluster.outputs import PORTS_IN_SLOT, PortNumber, Rows, joined, rows_of
from qubitd.emulator.cluster.player import Performance
from qubitd.emulator.cluster.pool import WaveformPool
from qubitd.emulator.cluster.switches import Opening, opening
from qubitd.emulator.cluster.triggers import SOONEST, Source
from qubitd.emulator.cluster.walk import Uncertain
from qubitd.emulator.cluster.windows import Windows, joined_windows, windows_of
from qubitd.emulator.events import EVERY_SHOT
from qubitd.emulator.patience import GoOn
from qubitd.emulator.q1.latches import Column

TableT = TypeVar("TableT", Rows, Windows)


@dataclass(frozen=True, slots=True, eq=False)
class RunCondition:
    """A condition, the same in every iteration of the shot loop."""

    sources: tuple[tuple[int, int], ...]
    """Number of a sequencer in the rack, and start of its acquisition in ns from the beginning of the section."""
    truth: NDArray[np.bool_]
    """As `events.Condition` has it."""


@dataclass(slots=True)
class _Registry:
    """Conditions, each once."""

    ensemble: Ensemble
    bounds: NDArray[np.int64]
    """Where sections begin, ns; the first begins at 0."""
    go_on: GoOn
    found: list[RunCondition] = field(default_factory=list[RunCondition])
    _index: dict[tuple[tuple[tuple[int, int], ...], bytes], int] = field(
        default_factory=dict[tuple[tuple[tuple[int, int], ...], bytes], int]
    )

    def number(self, sources: Sequence[Source], truth: NDArray[np.bool_], section: int, start: int) -> int:
        """Give the index of a condition that a row of a section has, which starts at a time.

        Raises:
            Uncertain: it looks at what is found in another section, or later: something that comes to be known cuts a
                waveform off while it sounds.
        """
        self.go_on()
        sources, truth = _reduced(sources, truth)
        if truth.all():
            return EVERY_SHOT
        if any(self.ensemble.sending[source].end + SOONEST > start for source in sources):
            raise Uncertain
        begin = int(np.append(0, self.bounds)[section])
        key = tuple((self._sequencer(source), self._start(source, section) - begin) for source in sources)
        stated = (key, truth.tobytes())
        if stated not in self._index:
            self._index[stated] = len(self.found)
            self.found.append(RunCondition(key, truth))
        return self._index[stated]

    def _sequencer(self, source: Source) -> int:
        return self.ensemble.performances[source.player][0].player.identity

    def _start(self, source: Source, section: int) -> int:
        start = self.ensemble.sending[source].start
        if int(np.searchsorted(self.bounds, start, side="right")) != section:
            raise Uncertain
        return start


def _reduced(sources: Sequence[Source], truth: NDArray[np.bool_]) -> tuple[Sequence[Source], NDArray[np.bool_]]:
    """Leave out what a condition does not depend on."""
    cube = truth.reshape([2] * len(sources))  # the last source is the first axis
    kept: list[Source] = []
    for axis, source in reversed(list(enumerate(reversed(sources)))):
        without, with_it = (np.asarray(cube.take([bit], axis=axis)) for bit in (0, 1))
        if (without == with_it).all():
            cube = without
        else:
            kept.append(source)
    return kept, cube.reshape(-1)


def branches(
    ensemble: Ensemble,
    pool: WaveformPool,
    held: Mapping[int, int],
    bounds: NDArray[np.int64],
    end: int,
    go_on: GoOn,
) -> tuple[Rows, Windows, tuple[RunCondition, ...]]:
    """Give everything that can happen.

    Args:
        ensemble: of the run.
        pool: for its waveforms.
        held: for each slot the marker bits that sequencers outside the run hold.
        bounds: where sections begin, ns, without the first.
        end: of the run, ns.
        go_on: called now and then.

    Raises:
        Uncertain: an iteration depends on what an earlier one found, a switch on an outcome, or how long a waveform
            sounds on what is found meanwhile.
    """
    registry = _Registry(ensemble, bounds, go_on)
    openings = _openings(ensemble, held)

    def rows_played(performance: Performance) -> Rows:
        go_on()
        return joined(rows_of(performance, pool, openings, end))

    rows = [
        _conditioned(registry, player, list(map(rows_played, own)), Rows)
        for player, own in enumerate(ensemble.performances)
    ]
    windows = [
        _conditioned(registry, player, [windows_of(each, pool) for each in own], Windows)
        for player, own in enumerate(ensemble.performances)
        if own[0].player.kind.is_readout
    ]
    return joined(rows), joined_windows(windows), tuple(registry.found)


def _openings(ensemble: Ensemble, held: Mapping[int, int]) -> dict[PortNumber, Opening]:
    for own in ensemble.performances:
        if any(_markers(each) != _markers(own[0]) for each in own):
            raise Uncertain
    return openings([own[0] for own in ensemble.performances], held)


def _markers(performance: Performance) -> bytes:
    """Give when and to what the markers are changed."""
    marker, time = performance.latches.marker, performance.latches.time
    changed = np.flatnonzero(np.diff(marker, prepend=-1))
    return time[changed].tobytes() + marker[changed].tobytes()


def openings(performances: Sequence[Performance], held: Mapping[int, int]) -> dict[PortNumber, Opening]:
    """Tell when each RF switch is open: markers of the sequencers of a module are wired together."""
    found: dict[PortNumber, Opening] = {}
    for slot, kind in {each.player.slot: each.player.kind for each in performances}.items():
        markers = [(each.latches.time, each.latches.marker) for each in performances if each.player.slot == slot]
        markers.append((np.zeros(1, dtype=np.int64), np.array([held.get(slot, 0)])))
        for output, bit in enumerate(kind.switch_bits):
            found[slot * PORTS_IN_SLOT + output] = opening(bit, markers)
    return found


def _conditioned(registry: _Registry, player: int, tables: Sequence[TableT], kind: type[TableT]) -> TableT:
    """Unite what one sequencer's performances have, each row once with its condition."""
    if len(tables) == 1:
        return tables[0]
    names = [column.name for column in fields(kind)]
    everything = stacked(kind, tables)
    first, inverse = _distinct([getattr(everything, name) for name in names])
    owner = np.repeat(np.arange(len(tables)), [len(table.start) for table in tables])
    there = np.zeros((len(first), len(tables)), dtype=np.bool_)
    there[inverse, owner] = True
    rows = everything.take(first)
    in_walk = there[:, registry.ensemble.variant[:, player]]
    return replace(rows, condition=_conditions(registry, player, rows.start, in_walk))


def _distinct(columns: Sequence[Column]) -> tuple[Column, Column]:
    """Give the first place of each different row, in the rows' order, and which of them each row is."""
    differing = [column for column in columns if len(column) and (column != column[0]).any()]
    if not differing:
        return np.zeros(min(len(columns[0]), 1), dtype=np.int64), np.zeros(len(columns[0]), dtype=np.int64)
    order = np.lexsort(differing[::-1])
    begins = np.ones(len(order), dtype=np.bool_)
    begins[1:] = np.any([np.diff(column[order]) != 0 for column in differing], axis=0)
    kind = np.empty(len(order), dtype=np.int64)
    kind[order] = np.cumsum(begins) - 1
    return order[begins], kind


def _conditions(
    registry: _Registry, player: int, start: NDArray[np.int64], in_walk: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Find the condition of each row, which is there in some walks, shape (rows, walks)."""
    epochs = np.searchsorted(registry.ensemble.resets[player], start, side="right")
    sections = np.searchsorted(registry.bounds, start, side="right")
    condition = np.full(len(start), EVERY_SHOT, dtype=np.int64)
    for row in np.flatnonzero(~in_walk.all(axis=1)).tolist():
        sources = registry.ensemble.groups.get((player, int(epochs[row])), ())
        truth = in_walk[row, : 1 << len(sources)]
        if (in_walk[row] != np.tile(truth, len(in_walk[row]) // len(truth))).any():
            raise Uncertain
        condition[row] = registry.number(sources, truth, int(sections[row]), int(start[row]))
    return condition
