"""Works out what each sequencer does for a chunk.

`chunk_line_programs` is shared by the assembler and by `Capacity.usage`, so that what is counted is what is written.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qubitd.core.errors import Problem
from qubitd.drivers.cluster.checks import (
    acquisition_problems,
    feedline_problems,
    play_problems,
    timeline_problems,
    tone_problems,
    wiring_problems,
)
from qubitd.drivers.cluster.columns import AcquisitionColumns, ChunkColumns, PlayColumns
from qubitd.drivers.cluster.feedback_checks import feedback_problems, line_feedback_problems
from qubitd.drivers.cluster.folding import folded
from qubitd.drivers.cluster.line_feedback import line_feedback, line_feeds
from qubitd.drivers.cluster.line_memory import LineMemory, chunk_content, line_content
from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.q1asm import instruction_count
from qubitd.drivers.cluster.registers import gain_registers
from qubitd.drivers.cluster.repeats import cut_at_repeats
from qubitd.drivers.cluster.timeline import make_timeline
from qubitd.drivers.cluster.tones import Tones, tone_registers
from qubitd.drivers.cluster.waveforms import waveform_table
from qubitd.drivers.cluster.weights import weight_table
from qubitd.drivers.cluster.wiring import WiredLine, Wiring
from qubitd.drivers.errors import UnplayableProgramError

_TOGETHER = (1, 2, 4, 8, 16, 32)
"""Turns of a repeated stretch that are written out as one: a turn may be too short for the processor to count it."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def chunk_line_programs(columns: ChunkColumns, wiring: Wiring, memory: LineMemory) -> list[LineProgram]:
    """Work out what each sequencer that takes part does, in the order of their addresses.

    Args:
        columns: the chunk.
        wiring: of the Cluster.
        memory: of lines of this wiring.

    Raises:
        UnplayableProgramError: something cannot be played; all that was found is reported.
    """
    used = columns.used_lines()
    problems = wiring_problems(columns, used, wiring)
    common = chunk_content(columns)
    made: list[LineProgram | None] = []
    for line, plays, acquisitions in used:
        wired = wiring.get(columns.lines[line])
        if wired is not None:
            content = line_content(wired.line, common, plays, acquisitions)
            work_out = partial(_worked_out, columns, line, wired, plays, acquisitions, problems)
            made.append(memory.line_program(content, partial(work_out, memory=memory, is_known=content is not None)))
    problems += [*feedline_problems(columns, used, wiring), *feedback_problems(columns)]
    if problems:
        raise UnplayableProgramError(problems)
    return sorted((one for one in made if one is not None), key=lambda one: one.wired.address)


def _worked_out(
    columns: ChunkColumns,
    line: int,
    wired: WiredLine,
    plays: PlayColumns,
    acquisitions: AcquisitionColumns,
    problems: list[Problem],
    *,
    memory: LineMemory,
    is_known: bool,
) -> LineProgram | None:
    """Work one line out; None, with its problems noted, if it cannot be played."""
    found = [*play_problems(columns, line, wired, plays), *acquisition_problems(columns, line, wired, acquisitions)]
    problems += found
    if found:
        return None
    tones = _tones(columns, wired, plays, acquisitions)
    weights = weight_table(columns, acquisitions, alike=line_feeds(columns, acquisitions))
    feedback = line_feedback(columns, line, plays, acquisitions, tones, weights)
    timeline = make_timeline(plays, acquisitions, columns.layout, rf=wired.is_rf, feedback=feedback)
    found = list(timeline_problems(columns, line, timeline))
    if tones is not None:
        found += tone_problems(columns, line, plays, acquisitions, tones)
    if feedback is not None:
        found += line_feedback_problems(columns, line, plays, acquisitions, tones, feedback)
    problems += found
    if found:
        return None
    waveforms = waveform_table(columns.tables, plays.envelope)
    real = gain_registers(plays.amplitude)
    imag = np.where(waveforms.is_complex[plays.envelope], real, 0)
    made = LineProgram(
        wired=wired,
        layout=columns.layout,
        plays=plays,
        acquisitions=acquisitions,
        waveforms=waveforms,
        weights=weights,
        gain_real=real,
        gain_imag=imag,
        sets_gain=_changes(real, imag),
        tones=tones,
        timeline=timeline,
        feedback=feedback,
        is_known=is_known,
    )
    if len(columns.layout.begin) > 1:  # if it does not fit, it is cut between programs
        return folded(made)
    fits = memory.instruction_count(made, instruction_count) <= wired.module.instructions
    return made if fits else _shortened(made)


def _shortened(part: LineProgram) -> LineProgram:
    """Play what a line repeats as loops, with as few turns together as leave the processor time."""
    if part.feedback is not None:
        return part
    tried = [folded(cut_at_repeats(part, together=together)) for together in _TOGETHER]
    best = min((one for one in tried if one.folds), key=instruction_count, default=None)
    if best is None or instruction_count(best) >= instruction_count(part):
        return replace(part, written_out=next((one.written_out for one in tried if one.written_out), ""))
    return replace(part, turns=best, written_out=best.written_out)


def _tones(
    columns: ChunkColumns, wired: WiredLine, plays: PlayColumns, acquisitions: AcquisitionColumns
) -> Tones | None:
    if not wired.is_rf:
        return None
    return tone_registers(plays, acquisitions, lo=wired.lo, lead=columns.layout.lead)


def _changes(*values: Ints) -> Bools:
    """Whether any of the values differs from the row before; the first row always does."""
    changed = np.zeros(len(values[0]), dtype=np.bool_)
    for value in values:
        changed[1:] |= value[1:] != value[:-1]
    changed[:1] = True
    return changed
