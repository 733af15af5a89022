"""Points become bins: clipped at the converter's range, rotated and compared for their bit, summed where the program
says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cluster.bins import Acquisition
from qubitd.emulator.cluster.iterations import Section, bins_of
from qubitd.emulator.cluster.layout import Part
from qubitd.emulator.cluster.player import SEQUENCERS_IN_SLOT, Player
from qubitd.emulator.cluster.windows import BUFFERED, binning_backlog, binning_period
from qubitd.emulator.q1.flags import Flag


def record(section: Section, points: NDArray[np.complex128], shots: NDArray[np.int64], parts: Sequence[Part]) -> None:
    """Put the points of some shots, shape (windows, shots), into the bins of the sequencers that asked for them."""
    by_identity = {part.player.identity: part for part in parts}
    keys = np.stack([section.windows.sequencer, section.windows.acquisition], axis=1)
    for sequencer, index in np.unique(keys, axis=0).tolist():
        rows = np.flatnonzero((keys == (sequencer, index)).all(axis=1))
        part = by_identity[sequencer]
        acquisition = part.player.acquisitions[index]
        part.flags.add(Flag.BINNING_DONE)
        if _fill(acquisition, part.player, section, rows, shots, points[rows]):
            part.flags.add(Flag.BIN_INVALID)
        if any(acquisition.out_of_range):
            part.flags.add(Flag.BINNING_OUT_OF_RANGE)


def _fill(
    acquisition: Acquisition,
    player: Player,
    section: Section,
    rows: NDArray[np.int64],
    shots: NDArray[np.int64],
    points: NDArray[np.complex128],
) -> bool:
    """Fill the bins of one acquisition; tells whether some did not exist."""
    seen = _connected(player, points)
    for path, part in enumerate((seen.real, seen.imag)):
        acquisition.out_of_range[path] |= bool((np.abs(part) > 1).any())
    clipped = np.clip(seen.real, -1, 1) + 1j * np.clip(seen.imag, -1, 1)
    sums = np.asarray(clipped * section.windows.length[rows, None], dtype=np.complex128)
    cosine, sine = player.configuration.rotation
    bits = cosine * sums.real + sine * sums.imag > player.configuration.threshold
    bins = bins_of(section, rows, shots)
    exists = bins < len(acquisition.bins)
    acquisition.add(bins[exists], sums[exists], bits[exists])
    return not bool(exists.all())


def _connected(player: Player, points: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """A path that listens to no converter integrates zeros."""
    path0, path1 = player.inputs
    return (points.real if path0 else 0 * points.real) + 1j * (points.imag if path1 else 0 * points.imag)


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
    start = section.windows.start[section.windows.sequencer == sequencer] - section.begin
    if section.shots == 1:
        return binning_backlog(start, period)
    twice = binning_backlog(np.concatenate([start, start + section.duration]), period)
    growth = max(len(start) * period - section.duration, 0) * (section.shots - 2)
    return twice + growth // period
