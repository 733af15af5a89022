"""What a Cluster cannot do with outcomes. Each rule reports its first offender and how many more there are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qubitd.core.errors import Problem
from qubitd.core.feedforward import ALWAYS
from qubitd.drivers.cluster.checks import first_offender
from qubitd.drivers.cluster.columns import AcquisitionColumns, ChunkColumns, PlayColumns
from qubitd.drivers.cluster.feedforward import FEEDFORWARD
from qubitd.drivers.cluster.line_feedback import LineFeedback
from qubitd.drivers.cluster.tones import Tones

_SAME_TURN = 1e-4
"""Distance of two factors of length 1 up to which they are one rotation: an error of 1e-4 rad."""


def feedback_problems(columns: ChunkColumns) -> Iterator[Problem]:
    """Find what the trigger network cannot carry."""
    feedback = columns.feedback
    if feedback is None:
        return
    chunk = columns.chunk
    for position in feedback.differs[:1]:
        yield Problem(
            where=f"program {chunk.first_program + position} ({chunk.programs[position].name!r})",
            what="other qubits feed than in the first program of the chunk, which is a setting for a whole run",
        )
    if len(feedback.feeds) > FEEDFORWARD.addresses:
        yield Problem(
            where="trigger network",
            what=f"{len(feedback.feeds)} qubits feed; it has {FEEDFORWARD.addresses} addresses",
        )
    unfed = [q for each in feedback.conditions for q in each.qubits if q not in feedback.addresses]
    if unfed:
        yield Problem(where="trigger network", what=f"a condition looks at qubit {unfed[0]}, which does not feed")
    yield from _collisions(columns)


def _collisions(columns: ChunkColumns) -> Iterator[Problem]:
    """Find triggers that would meet: one is on the network at a time."""
    acquisitions, layout = columns.acquisitions, columns.layout
    feeding = [] if columns.feedback is None else list(columns.feedback.addresses)
    rows = np.flatnonzero(np.isin(acquisitions.qubit, feeding))
    own = acquisitions.select(rows)
    end = layout.begin[own.program] + layout.lead + own.start + own.length
    order = np.argsort(end, kind="stable")
    near = np.append(np.diff(end[order]) < FEEDFORWARD.spacing, [False])
    what = f"ends less than {FEEDFORWARD.spacing} ns before the next acquisition that sends a trigger"
    sorted_rows = own.select(order)
    line = int(sorted_rows.line[np.argmax(near)]) if near.any() else 0
    yield from first_offender(columns, line, sorted_rows.program, sorted_rows.start, near, what)


def line_feedback_problems(
    columns: ChunkColumns,
    line: int,
    plays: PlayColumns,
    acquisitions: AcquisitionColumns,
    tones: Tones | None,
    feedback: LineFeedback,
) -> Iterator[Problem]:
    """Find what one sequencer cannot do."""
    shifts = feedback.shifts
    if tones is None:
        what = "a phase that depends on an outcome on a baseband output"
        yield from first_offender(columns, line, shifts.program, shifts.start, shifts.start >= 0, what)
    else:
        what = "depends on an outcome and has another frequency than what comes before it on the line"
        for rows, sets in ((plays, tones.play_sets_frequency), (acquisitions, tones.acquisition_sets_frequency)):
            broken = sets & (rows.condition != ALWAYS)
            yield from first_offender(columns, line, rows.program, rows.start, broken, what)
    yield from _trigger_problems(columns, line, acquisitions, tones, feedback)
    what = "changes the phase of one frame while the line plays another, too"
    broken = np.array([_is_shared(plays, *row) for row in zip(shifts.program, shifts.start, shifts.frame, strict=True)])
    yield from first_offender(columns, line, shifts.program, shifts.start, broken.astype(np.bool_), what)


def _is_shared(plays: PlayColumns, program: int, start: int, frame: int) -> bool:
    later = (plays.program == program) & (plays.start >= start)
    return bool((later & (plays.frame != frame)).any())


def _trigger_problems(
    columns: ChunkColumns, line: int, acquisitions: AcquisitionColumns, tones: Tones | None, feedback: LineFeedback
) -> Iterator[Problem]:
    """The sequencer has one address, one rotation and one threshold for a whole run."""
    if feedback.trigger is None:
        return
    other = acquisitions.qubit != acquisitions.qubit[0]
    what = "another qubit is read by a sequencer that sends triggers"
    yield from first_offender(columns, line, acquisitions.program, acquisitions.start, other, what)
    turns: NDArray[np.complex128] = (
        np.ones(len(other), dtype=np.complex128) if tones is None else tones.acquisition_rotation
    )
    what = "its demodulation has another phase than that of the first acquisition, but the hardware has one rotation"
    broken = np.abs(turns - turns[0]) > _SAME_TURN
    yield from first_offender(columns, line, acquisitions.program, acquisitions.start, broken, what)
