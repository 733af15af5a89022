"""Pulses that are played in some shots and not in others: what they do together depends on which of them there are.

Plays that overlap, or flux pulses that touch, act together; such a cluster with at least one conditional play in it is
a choice. Every pattern of its conditions that occurs is worked out once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.intervals import chains
from qubitd.emulator.chip.lines import Signals
from qubitd.emulator.events import EVERY_SHOT

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """A cluster of plays, some of them conditional."""

    start: int
    """ns."""
    end: int
    drives: Signals
    fluxes: Signals
    touched: tuple[int, ...]
    """Qubits, with those to which flux pulses may bring them."""

    @property
    def conditions(self) -> list[int]:
        """Give the conditions of the plays."""
        stated = np.union1d(self.drives.condition, self.fluxes.condition)
        return [int(condition) for condition in stated if condition != EVERY_SHOT]

    def played(self, holding: Sequence[int]) -> tuple[Signals, Signals]:
        """Give drives and flux pulses that are played while these conditions hold and the others do not."""
        on = [EVERY_SHOT, *holding]
        drives = self.drives.take(np.isin(self.drives.condition, on))
        return drives, self.fluxes.take(np.isin(self.fluxes.condition, on))


def choices(
    drives: Signals, fluxes: Signals, pairs: Sequence[tuple[int, int]]
) -> tuple[list[Choice], NDArray[np.bool_], NDArray[np.bool_]]:
    """Find the choices; also tells which drives and which flux pulses are part of none.

    Args:
        drives: plays on drive lines.
        fluxes: plays on flux lines.
        pairs: qubits that flux pulses may bring together.
    """
    if (drives.condition == EVERY_SHOT).all() and (fluxes.condition == EVERY_SHOT).all():
        return [], np.ones(len(drives.start), dtype=np.bool_), np.ones(len(fluxes.start), dtype=np.bool_)
    label = _clusters(drives, fluxes, pairs)
    of_drive, of_flux = label[: len(drives.start)], label[len(drives.start) :]
    conditional = np.union1d(of_drive[drives.condition != EVERY_SHOT], of_flux[fluxes.condition != EVERY_SHOT])
    found = [
        _choice(drives.take(of_drive == number), fluxes.take(of_flux == number), pairs)
        for number in conditional.tolist()
    ]
    return found, ~np.isin(of_drive, conditional), ~np.isin(of_flux, conditional)


def joined(count: int, links: Rows) -> Rows:
    """Give each of so many the lowest one to which links lead, shape (count,)."""
    label = np.arange(count)
    while True:
        lowest = label[links].min(axis=0)
        found = label.copy()
        # The one that a label names is told, too: so a label travels twice as far in each round.
        for told in (*links, *label[links]):
            np.minimum.at(found, told, lowest)
        found = found[found]
        if (found == label).all():
            return label
        label = found


def _choice(drives: Signals, fluxes: Signals, pairs: Sequence[tuple[int, int]]) -> Choice:
    fluxed = set(fluxes.qubit.tolist())
    touched = fluxed | set(drives.qubit.tolist())
    touched |= {qubit for pair in pairs if fluxed & set(pair) for qubit in pair}
    return Choice(
        start=min([*drives.start.tolist(), *fluxes.start.tolist()]),
        end=max([*drives.end.tolist(), *fluxes.end.tolist()]),
        drives=drives,
        fluxes=fluxes,
        touched=tuple(sorted(touched)),
    )


def _clusters(drives: Signals, fluxes: Signals, pairs: Sequence[tuple[int, int]]) -> Rows:
    """Number the clusters; gives each play's, drives first."""
    start = np.concatenate([drives.start, fluxes.start])
    end = np.concatenate([drives.end, fluxes.end])
    qubit = np.concatenate([drives.qubit, fluxes.qubit])
    is_flux = np.arange(len(start)) >= len(drives.start)
    each = [(number,) for number in np.unique(qubit).tolist()]
    links = [_links(np.flatnonzero(np.isin(qubit, one)), start, end, gap=0) for one in each]
    links += [
        _links(np.flatnonzero(is_flux & np.isin(qubit, together)), start, end, gap=1) for together in [*each, *pairs]
    ]
    return joined(len(start), np.concatenate([np.zeros((2, 0), dtype=np.int64), *links], axis=1))


def _links(rows: Rows, start: Rows, end: Rows, *, gap: int) -> Rows:
    """Give neighbours in the same chain, shape (2, links)."""
    rows = rows[np.argsort(start[rows], kind="stable")]
    same = np.diff(chains(start[rows], end[rows], gap=gap)) == 0
    return np.stack([rows[:-1][same], rows[1:][same]])
