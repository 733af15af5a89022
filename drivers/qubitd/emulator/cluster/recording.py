"""Points become bins: clipped at the converter's range, rotated and compared for their bit, summed where the program
says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.bins import FULL_SCALE, Acquisition
from qubitd.emulator.cluster.iterations import Chosen, Section, bins_of
from qubitd.emulator.cluster.layout import Part
from qubitd.emulator.cluster.player import SEQUENCERS_IN_SLOT, Player
from qubitd.emulator.cluster.triggers import conflicts
from qubitd.emulator.cluster.windows import BUFFERED, binning_backlog, binning_period
from qubitd.emulator.events import EventTable
from qubitd.emulator.outcomes import Decide, Outcomes
from qubitd.emulator.q1.flags import Flag

Sums: TypeAlias = NDArray[np.int64]


def record(
    section: Section,
    points: NDArray[np.complex128],
    shots: NDArray[np.int64],
    parts: Sequence[Part],
    takes_place: NDArray[np.bool_],
) -> None:
    """Put the points of some shots, shape (windows, shots), into the bins of the sequencers that asked for them, where
    the acquisition took place."""
    by_identity = {part.player.identity: part for part in parts}
    for (sequencer, index), rows in section.of_acquisition.items():
        part = by_identity[sequencer]
        acquisition = part.player.acquisitions[index]
        part.flags.add(Flag.BINNING_DONE)
        if _fill(acquisition, part.player, section, rows, shots, points[rows], takes_place[rows]):
            part.flags.add(Flag.BIN_INVALID)
        if any(acquisition.out_of_range):
            part.flags.add(Flag.BINNING_OUT_OF_RANGE)


def _fill(
    acquisition: Acquisition,
    player: Player,
    section: Section,
    rows: Chosen,
    shots: NDArray[np.int64],
    points: NDArray[np.complex128],
    takes_place: NDArray[np.bool_],
) -> bool:
    """Fill the bins of one acquisition; tells whether some did not exist."""
    paths = _connected(player, points)
    exceeds = np.abs(paths) > 1
    if exceeds.any():
        for path in range(2):
            acquisition.out_of_range[path] |= bool((exceeds[..., path] & takes_place).any())
        paths = paths.clip(-1, 1)
    sums = _summed(paths, section.windows.length[rows, None])
    bits = thresholded(player, sums)
    bins = bins_of(section, rows, shots)
    exists = bins < len(acquisition.bins)
    filled = exists & takes_place
    if filled.all():
        acquisition.add(bins.reshape(-1), sums.reshape(-1, 2), bits.reshape(-1))
        return False
    acquisition.add(bins[filled], sums[filled], bits[filled])
    return not bool((exists | ~takes_place).all())


def integrated(player: Player, points: NDArray[np.complex128], length: NDArray[np.int64]) -> Sums:
    """Give the integers that a bin takes up: sums over windows of clipped samples, shape (windows, shots, 2).

    A sample at full scale, times a weight of 1, adds 2^22.
    """
    return _summed(_connected(player, points).clip(-1, 1), length)


def _summed(clipped: NDArray[np.float64], length: NDArray[np.int64]) -> Sums:
    return np.rint(clipped * (length[..., None] * float(FULL_SCALE))).astype(np.int64)


def thresholded(player: Player, sums: Sums) -> NDArray[np.bool_]:
    """Give the bit of each integration: its rotated sum against the threshold."""
    cosine, sine = player.configuration.rotation
    rotated = cosine * sums[..., 0] + sine * sums[..., 1]
    return np.asarray(rotated > player.configuration.threshold * FULL_SCALE, dtype=np.bool_)


def sends_trigger(section: Section, parts: Sequence[Part]) -> Decide:
    """Give the rule by which the acquisitions of a section send triggers."""
    by_identity = {part.player.identity: part.player for part in parts}

    def decide(row: int, points: NDArray[np.complex128]) -> NDArray[np.bool_]:
        player = by_identity[int(section.windows.sequencer[row])]
        bits = thresholded(player, integrated(player, points, section.windows.length[row : row + 1]))
        trigger = player.configuration.trigger
        return ~bits if trigger is not None and trigger.inverted else bits

    return decide


def taken(
    table: EventTable,
    section: Section,
    points: NDArray[np.complex128],
    decide: Decide,
    parts: Sequence[Part],
) -> NDArray[np.bool_]:
    """Tell in which shots each acquisition took place, shape (windows, shots), and flag triggers that met."""
    windows = section.windows
    senders = np.flatnonzero(windows.sends == 1)
    if not (len(senders) or table.conditions):
        return np.ones(points.shape, dtype=np.bool_)
    end = windows.start + windows.length
    outcomes = Outcomes(table, decide, shots=points.shape[1])
    senders = senders[np.argsort(end[senders], kind="stable")]
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


def _connected(player: Player, points: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Give what both paths take in, shape (windows, shots, 2). One that listens to no converter integrates zeros."""
    paths = np.ascontiguousarray(points).view(np.float64).reshape(*points.shape, 2)
    listens = [float(bool(inputs)) for inputs in player.inputs]
    return paths if all(listens) else paths * listens


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
