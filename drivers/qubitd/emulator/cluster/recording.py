"""Points become bins: clipped at the converter's range, rotated and compared for their bit, summed where the program
says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.bins import FULL_SCALE, Acquisition
from qubitd.emulator.cluster.iterations import Section, bins_in_order, bins_of
from qubitd.emulator.cluster.layout import Part
from qubitd.emulator.cluster.player import SEQUENCERS_IN_SLOT, Player
from qubitd.emulator.cluster.triggers import conflicts
from qubitd.emulator.cluster.windows import BUFFERED, Windows, binning_backlog, binning_period
from qubitd.emulator.events import EventTable
from qubitd.emulator.outcomes import Outcomes
from qubitd.emulator.q1.flags import Flag


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Intake:
    """What sequencers make of the points of a section, the same however often it is played; columns by window."""

    length: NDArray[np.float64]
    """Of the windows in ns, times what a bin takes up per ns at full scale, shape (windows, 1, 1)."""
    listens: NDArray[np.float64] | None
    """1 where a path listens to a converter, 0 where it integrates zeros, shape (windows, 1, 2); None if all listen."""
    rotation: tuple[NDArray[np.float64], NDArray[np.float64]]
    """Factors of both paths in what is compared with the threshold, each of shape (windows, 1)."""
    threshold: NDArray[np.float64]
    """Shape (windows, 1)."""
    senders: NDArray[np.int64]
    """Windows whose acquisitions send triggers, in the order of their ends."""
    inverted: NDArray[np.bool_]
    """Whether a trigger is sent for a bit of 0, shape (windows, 1)."""

    @staticmethod
    def of(section: Section, players: Sequence[Player]) -> Intake:
        """Take the settings of the players that acquire."""
        by_identity = {player.identity: player for player in players}
        acquiring = [by_identity[identity] for identity in section.windows.sequencer.tolist()]
        configurations = [player.configuration for player in acquiring]
        listens = np.array([[bool(path) for path in player.inputs] for player in acquiring]).reshape(-1, 1, 2)
        rotation = np.array([each.rotation for each in configurations]).reshape(-1, 2)
        threshold = np.array([each.threshold * FULL_SCALE for each in configurations])
        inverted = [each.trigger is not None and each.trigger.inverted for each in configurations]
        return Intake(
            length=section.windows.length[:, None, None].astype(np.float64) * FULL_SCALE,
            listens=None if listens.all() else listens.astype(np.float64),
            rotation=(rotation[:, :1], rotation[:, 1:]),
            threshold=threshold[:, None],
            senders=_senders(section.windows),
            inverted=np.array(inverted, dtype=np.bool_)[:, None],
        )

    def paths(self, points: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Give what both paths take in, shape (windows, shots, 2), of points of shape (windows, shots)."""
        paths = np.ascontiguousarray(points).view(np.float64).reshape(*points.shape, 2)
        return paths if self.listens is None else paths * self.listens

    def sums(self, clipped: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the whole numbers that bins take up: sums over windows of clipped samples, shape (windows, shots, 2).

        A sample at full scale, times a weight of 1, adds 2^22.
        """
        return np.rint(clipped * self.length)

    def bits(self, sums: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Give the bit of each integration: its rotated sum against the threshold; shape (windows, shots)."""
        rotated = self.rotation[0] * sums[..., 0] + self.rotation[1] * sums[..., 1]
        return np.asarray(rotated > self.threshold, dtype=np.bool_)

    def sends_trigger(self, row: int, points: NDArray[np.complex128]) -> NDArray[np.bool_]:
        """Tell in which shots the acquisition of a window sends a trigger; a `Decide`."""
        one = self._only(row)
        bits: NDArray[np.bool_] = one.bits(one.sums(one.paths(points[None]).clip(-1, 1)))[0]
        return ~bits if self.inverted[row] else bits

    def _only(self, row: int) -> Intake:
        rows = slice(row, row + 1)
        return Intake(
            length=self.length[rows],
            listens=None if self.listens is None else self.listens[rows],
            rotation=(self.rotation[0][rows], self.rotation[1][rows]),
            threshold=self.threshold[rows],
            senders=self.senders,
            inverted=self.inverted[rows],
        )


def record(
    section: Section,
    intake: Intake,
    points: NDArray[np.complex128],
    shots: range,
    parts: Sequence[Part],
    takes_place: NDArray[np.bool_] | None,
) -> None:
    """Put the points of some shots, shape (windows, shots), into the bins of the sequencers that asked for them, where
    the acquisition took place; None: in every shot."""
    paths = intake.paths(points)
    exceeds = np.abs(paths) > 1
    clips = bool(exceeds.any())
    rounded = intake.sums(paths.clip(-1, 1) if clips else paths)
    bits, sums = intake.bits(rounded), rounded.astype(np.int64)
    by_identity = {part.player.identity: part for part in parts}
    for (sequencer, index), rows in section.of_acquisition.items():
        part = by_identity[sequencer]
        acquisition = part.player.acquisitions[index]
        there = None if takes_place is None else takes_place[rows]
        if clips:
            _note_clipping(acquisition, exceeds[rows], there)
        part.flags.add(Flag.BINNING_DONE)
        in_order = bins_in_order(section, rows, shots) if there is None else None
        if in_order is not None and in_order.stop <= len(acquisition.bins):
            acquisition.add_in_order(in_order, sums[rows][0], bits[rows][0])
        elif _fill(acquisition, bins_of(section, rows, shots), sums[rows], bits[rows], there):
            part.flags.add(Flag.BIN_INVALID)
        if any(acquisition.out_of_range):
            part.flags.add(Flag.BINNING_OUT_OF_RANGE)


def _senders(windows: Windows) -> NDArray[np.int64]:
    senders = np.flatnonzero(windows.sends == 1)
    return senders[np.argsort((windows.start + windows.length)[senders], kind="stable")]


def _note_clipping(acquisition: Acquisition, exceeds: NDArray[np.bool_], takes_place: NDArray[np.bool_] | None) -> None:
    for path in range(2):
        over = exceeds[..., path]
        acquisition.out_of_range[path] |= bool((over if takes_place is None else over & takes_place).any())


def _fill(
    acquisition: Acquisition,
    bins: NDArray[np.int64],
    sums: NDArray[np.int64],
    bits: NDArray[np.bool_],
    takes_place: NDArray[np.bool_] | None,
) -> bool:
    """Fill bins of one acquisition, shape (windows, shots); tells whether some did not exist."""
    exists = bins < len(acquisition.bins)
    filled = exists if takes_place is None else exists & takes_place
    if filled.all():
        acquisition.add(bins.reshape(-1), sums.reshape(-1, 2), bits.reshape(-1))
        return False
    acquisition.add(bins[filled], sums[filled], bits[filled])
    return not bool((exists if takes_place is None else exists | ~takes_place).all())


def taken(
    table: EventTable,
    section: Section,
    intake: Intake,
    points: NDArray[np.complex128],
    parts: Sequence[Part],
) -> NDArray[np.bool_] | None:
    """Tell in which shots each acquisition took place, shape (windows, shots), None if all did in all, and flag
    triggers that met."""
    senders = intake.senders
    if not (len(senders) or table.conditions):
        return None
    windows = section.windows
    end = windows.start + windows.length
    outcomes = Outcomes(table, intake.sends_trigger, shots=points.shape[1])
    for row in senders.tolist():
        outcomes.record(row, points[row])
    if len(senders):
        sent = np.stack([outcomes.sent(row) for row in senders.tolist()])
        again = np.concatenate([end[senders], end[senders] + section.duration])
        met = conflicts(end[senders], sent) | conflicts(again, np.concatenate([sent[:, :-1], sent[:, 1:]]))[len(sent) :]
        met_by = set(windows.sequencer[senders[met]].tolist())
        for part in parts:
            if part.player.identity in met_by:
                part.flags.add(Flag.TRIGGER_CONFLICT)
    return np.stack([outcomes.mask(number) for number in table.acquisitions.condition.tolist()])


def flag_slow_binning(sections: Sequence[Section], parts: Sequence[Part]) -> None:
    """Raise the flag where acquisitions followed each other faster than bins can be written, for longer than they can
    wait."""
    acquiring = {int(sequencer) for section in sections for sequencer in section.windows.sequencer}
    for part in parts:
        identity = part.player.identity
        if identity not in acquiring:
            continue
        period = binning_period(sum(other // SEQUENCERS_IN_SLOT == part.player.slot for other in acquiring))
        if any(_backlog(section, identity, period) > BUFFERED + 1 for section in sections):
            part.flags.add(Flag.BINNING_FIFO)


def _backlog(section: Section, sequencer: int, period: int) -> int:
    """The largest backlog in a section, the one being written included; over many iterations it grows evenly if it
    grows at all."""
    start = np.unique(section.windows.start[section.windows.sequencer == sequencer]) - section.begin
    if section.shots == 1:
        return binning_backlog(start, period)
    twice = binning_backlog(np.concatenate([start, start + section.duration]), period)
    growth = max(len(start) * period - section.duration, 0) * (section.shots - 2)
    return twice + growth // period
