"""What one sequencer does with outcomes, as register values: conditions, phases, latches, and its own trigger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.core.feedforward import ALWAYS
from qubitd.core.threshold import IntegerThreshold, integer_threshold
from qubitd.drivers.cluster.columns import AcquisitionColumns, ChunkColumns, PlayColumns
from qubitd.drivers.cluster.feedback import Feedback, LatchColumns, ShiftColumns
from qubitd.drivers.cluster.registers import phase_registers
from qubitd.drivers.cluster.tones import Tones
from qubitd.drivers.cluster.weights import WeightTable

FULL_SCALE = 1 << 22
"""What a sample at full scale adds to a sum."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What a sequencer sends at the end of each acquisition if its bit is 1."""

    address: int
    """1 to 15."""
    threshold: IntegerThreshold


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineFeedback:
    """One line's part of a chunk's feedback."""

    shifts: ShiftColumns
    shift_phase: Ints
    """Phase register of each conditional phase."""
    latches: LatchColumns
    play_guard: Ints
    """Row of `guards` for each play, or ALWAYS."""
    acquisition_guard: Ints
    shift_guard: Ints
    guards: tuple[tuple[int, int], ...]
    """Mask and operator of each condition."""
    trigger: Trigger | None
    """None if it sends nothing."""

    @property
    def counts(self) -> bool:
        """Whether it looks at outcomes, so that its counters matter."""
        guarded = (self.play_guard, self.acquisition_guard, self.shift_guard)
        return len(self.latches.start) > 0 or any(bool((guard != ALWAYS).any()) for guard in guarded)


def line_feedback(
    columns: ChunkColumns,
    line: int,
    plays: PlayColumns,
    acquisitions: AcquisitionColumns,
    tones: Tones | None,
    weights: WeightTable,
) -> LineFeedback | None:
    """Work out one line's part; None if nothing in the chunk depends on an outcome."""
    feedback = columns.feedback
    if feedback is None:
        return None
    shifts = feedback.shifts.select(np.flatnonzero(feedback.shifts.line == line))
    return LineFeedback(
        shifts=shifts,
        shift_phase=phase_registers(shifts.phase, np.zeros(len(shifts.phase), dtype=np.int64)),
        latches=feedback.latches.select(np.flatnonzero(feedback.latches.line == line)),
        play_guard=plays.condition,
        acquisition_guard=acquisitions.condition,
        shift_guard=shifts.condition,
        guards=tuple(feedback.masks()),
        trigger=_trigger(feedback, acquisitions, tones, weights),
    )


def line_feeds(columns: ChunkColumns, acquisitions: AcquisitionColumns) -> bool:
    """Whether a line's acquisitions send triggers."""
    return columns.feedback is not None and len(_feeding(columns.feedback, acquisitions)) > 0


def _feeding(feedback: Feedback, acquisitions: AcquisitionColumns) -> NDArray[np.intp]:
    return np.flatnonzero(np.isin(acquisitions.qubit, [feed.qubit for feed in feedback.feeds]))


def _trigger(
    feedback: Feedback, acquisitions: AcquisitionColumns, tones: Tones | None, weights: WeightTable
) -> Trigger | None:
    feeds = {feed.qubit: feed for feed in feedback.feeds}
    feeding = _feeding(feedback, acquisitions)
    if not len(feeding):
        return None
    first = int(feeding[0])
    qubit = int(acquisitions.qubit[first])
    turn = 1.0 if tones is None else complex(tones.acquisition_rotation[first])
    return Trigger(
        address=feedback.addresses[qubit],
        threshold=integer_threshold(
            feeds[qubit].discriminator, full_scale=float(weights.norm[first]) * FULL_SCALE, turn=turn
        ),
    )
