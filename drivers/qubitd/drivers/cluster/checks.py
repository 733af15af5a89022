"""What a Cluster cannot play. Each rule reports its first offender and how many more there are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qubitd.core.errors import Problem
from qubitd.core.program import BOXCAR
from qubitd.drivers.cluster import native
from qubitd.drivers.cluster.columns import TAIL, AcquisitionColumns, ChunkColumns, PlayColumns, UsedLines
from qubitd.drivers.cluster.modules import MAX_NCO
from qubitd.drivers.cluster.timeline import Kind, Timeline
from qubitd.drivers.cluster.tones import Tones
from qubitd.drivers.cluster.waits import LONGEST_GAP, SHORTEST
from qubitd.drivers.cluster.wiring import WiredLine, Wiring

LONGEST_INTEGRATION = 2**24 - 4
"""ns; an integration is a multiple of 4 ns and at least 4."""
LEAST_MEAN_WEIGHT = 1e-3
"""Mean of an integration's weights, below which their sum says nothing."""
ROUNDING = 1e-9
"""By how much sums of amplitudes may exceed 1 because of floating point."""

Bools = NDArray[np.bool_]


def wiring_problems(columns: ChunkColumns, used: UsedLines, wiring: Wiring) -> list[Problem]:
    """Find lines that are used but wired to nothing."""
    return [
        Problem(where=f"line {columns.lines[line]}", what="is wired to no sequencer; add it to the rack file")
        for line, _, _ in used
        if columns.lines[line] not in wiring
    ]


def play_problems(columns: ChunkColumns, line: int, wired: WiredLine, plays: PlayColumns) -> Iterator[Problem]:
    """Find plays of one line that its output cannot give."""
    envelopes = columns.envelopes
    lo = wired.lo if wired.is_rf else None
    if native.plays_offend(plays, columns.layout, envelopes, lo=lo, most=MAX_NCO, rounding=ROUNDING) is False:
        return
    end = plays.start + plays.length
    duration = columns.layout.duration[plays.program]

    def rule(broken: Bools, what: str) -> Iterator[Problem]:
        return first_offender(columns, line, plays.program, plays.start, broken, what)

    yield from rule(~(np.abs(plays.amplitude) <= 1), "amplitude outside -1..1 of full scale")
    yield from rule(~np.isfinite(plays.phase), "a phase that is no finite number")
    yield from rule(envelopes.peak[plays.envelope] > 1 + ROUNDING, "an envelope above full scale; lower its DRAG beta")
    yield from rule(envelopes.length[plays.envelope] != plays.length, "a length that is not its envelope's")
    yield from rule((plays.start < 0) | (plays.start > duration - plays.length), "reaches outside its program")
    same = plays.program[1:] == plays.program[:-1]
    yield from rule(np.append(same & (end[:-1] > plays.start[1:]), [False]), "reaches into the next play of the line")
    yield from _frequency_problems(columns, line, wired, plays)
    if not wired.is_rf:
        yield from rule(envelopes.is_complex[plays.envelope], "a complex envelope on a baseband output")
        yield from rule(plays.phase != 0, "a phase on a baseband output")


def acquisition_problems(
    columns: ChunkColumns, line: int, wired: WiredLine, acquisitions: AcquisitionColumns
) -> Iterator[Problem]:
    """Find acquisitions of one line that its input cannot take."""
    if not len(acquisitions.start):
        return
    layout = columns.layout
    length = acquisitions.length
    time = layout.begin[acquisitions.program] + layout.lead + acquisitions.start

    def rule(broken: Bools, what: str) -> Iterator[Problem]:
        return first_offender(columns, line, acquisitions.program, acquisitions.start, broken, what)

    if wired.module.inputs == 0:
        yield from rule(np.ones(len(length), dtype=np.bool_), f"a {wired.module.name} has no input")
    fits = (length >= 4) & (length <= LONGEST_INTEGRATION) & (length % 4 == 0)
    yield from rule(~fits, f"the integration is no multiple of 4 ns from 4 to {LONGEST_INTEGRATION} ns")
    yield from rule(~np.isfinite(acquisitions.phase), "a phase that is no finite number")
    misfit, vain = _unlike(columns, acquisitions)
    yield from rule(misfit, "weights that are not as long as the window")
    yield from rule(vain, "weights that add up to nothing, are complex, or exceed 1")
    outside = (acquisitions.start < 0) | (acquisitions.start > layout.duration[acquisitions.program])
    yield from rule(outside, "begins outside its program")
    overlaps = time + length > np.append(time[1:], time[:1] + layout.total)
    yield from rule(overlaps, "integrates until after the next acquisition of the line begins")
    yield from _frequency_problems(columns, line, wired, acquisitions)


def _unlike(columns: ChunkColumns, acquisitions: AcquisitionColumns) -> tuple[Bools, Bools]:
    """Which acquisitions have weights of another length than their window, and which some that give no mean."""
    misfit = np.zeros(len(acquisitions.kernel), dtype=np.bool_)
    vain = np.zeros(len(acquisitions.kernel), dtype=np.bool_)
    for kernel in np.unique(acquisitions.kernel[acquisitions.kernel != BOXCAR]).tolist():
        samples, rows = columns.tables.envelopes[kernel].samples, acquisitions.kernel == kernel
        misfit[rows] = acquisitions.length[rows] != len(samples)
        is_small = abs(samples.sum()) < LEAST_MEAN_WEIGHT * len(samples)
        vain[rows] = is_small or bool(np.any(samples.imag) or np.any(np.abs(samples) > 1 + ROUNDING))
    return misfit, vain


def tone_problems(
    columns: ChunkColumns, line: int, plays: PlayColumns, acquisitions: AcquisitionColumns, tones: Tones
) -> Iterator[Problem]:
    """Find acquisitions that would shift the frequency of a pulse which is still being played."""
    before = np.searchsorted(_key(columns, plays), _key(columns, acquisitions), side="right") - 1
    is_after_play = before >= 0
    ends = (_key(columns, plays) + plays.length)[before] if len(plays.start) else np.zeros_like(acquisitions.start)
    broken = tones.acquisition_sets_frequency & is_after_play & (ends > _key(columns, acquisitions))
    yield from first_offender(
        columns,
        line,
        acquisitions.program,
        acquisitions.start,
        broken,
        "demodulates at another frequency than the pulse that is being played; one oscillator serves both",
    )


def timeline_problems(columns: ChunkColumns, line: int, timeline: Timeline) -> Iterator[Problem]:
    """Find instructions of one sequencer that are too close or too far apart."""
    layout = columns.layout
    events = timeline.kind, timeline.program, timeline.time, timeline.gap
    if native.events_offend(*events, layout, tail=TAIL - SHORTEST, longest=LONGEST_GAP) is False:
        return
    start = timeline.time - layout.begin[timeline.program] - layout.lead
    what = f"less than {SHORTEST} ns before the next play, acquisition or switching of the same sequencer"
    yield from first_offender(columns, line, timeline.program, start, timeline.gap < SHORTEST, what)
    limit = layout.duration[timeline.program] + TAIL - SHORTEST
    is_late = (start > limit) & (timeline.kind == Kind.CLOSE)
    yield from first_offender(columns, line, timeline.program, start, is_late, "leaves no time to close the RF switch")
    longest = max(int(timeline.gap.max()), timeline.first_gap)
    if longest > LONGEST_GAP:
        yield Problem(
            where=f"line {columns.lines[line]}",
            what=f"nothing happens for {longest} ns; a sequencer waits {LONGEST_GAP} ns at most; shorten the delay",
        )


def feedline_problems(columns: ChunkColumns, used: UsedLines, wiring: Wiring) -> Iterator[Problem]:
    """Find outputs whose tones add up to more than full scale."""
    by_output: dict[str, list[PlayColumns]] = {}
    for line, plays, _ in used:
        if len(plays.start) and columns.lines[line] in wiring:
            by_output.setdefault(wiring[columns.lines[line]].output_name, []).append(plays)
    for output, parts in sorted(by_output.items()):
        tones = [np.abs(plays.amplitude) * columns.envelopes.peak[plays.envelope] for plays in parts]
        if len(parts) == 1 or sum([tone.max() for tone in tones]) <= 1:  # a line's own plays follow each other
            continue
        start = np.concatenate([columns.layout.begin[plays.program] + plays.start for plays in parts])
        length = np.concatenate([plays.length for plays in parts])
        program = np.concatenate([plays.program for plays in parts])
        worst, level = _highest_sum(start, start + length, np.concatenate(tones), program)
        if level > 1 + ROUNDING:
            name = columns.chunk.programs[worst].name
            yield Problem(
                where=f"program {columns.chunk.first_program + worst} ({name!r}), output {output}",
                what=f"the tones of its lines add up to {level:.10g} of full scale; at most 1, lower their amplitudes",
            )


def _highest_sum(
    start: NDArray[np.int64], end: NDArray[np.int64], tone: NDArray[np.float64], program: NDArray[np.int64]
) -> tuple[int, float]:
    """Give the program in which overlapping tones add up highest, and how high."""
    order = np.lexsort((np.repeat([1, 0], len(start)), np.concatenate([start, end])))
    level = np.cumsum(np.concatenate([tone, -tone])[order])
    highest = int(np.argmax(level))
    return int(np.concatenate([program, program])[order][highest]), float(level[highest])


def _frequency_problems(
    columns: ChunkColumns, line: int, wired: WiredLine, rows: PlayColumns | AcquisitionColumns
) -> Iterator[Problem]:
    if not wired.is_rf:
        broken = rows.frequency != 0
        what = "a tone on a baseband output"
    else:
        broken = ~(np.abs(rows.frequency - wired.lo) <= MAX_NCO)
        what = (
            f"a tone more than {MAX_NCO / 1e6:g} MHz from the local oscillator of {wired.output_name} "
            f"({wired.lo / 1e9:.6g} GHz); change the oscillator in the rack file"
        )
    yield from first_offender(columns, line, rows.program, rows.start, broken, what, values=rows.frequency, unit="Hz")


def first_offender(
    columns: ChunkColumns,
    line: int,
    program: NDArray[np.int64],
    start: NDArray[np.int64],
    broken: Bools,
    what: str,
    *,
    values: NDArray[np.float64] | None = None,
    unit: str = "",
) -> Iterator[Problem]:
    """Report the first row that breaks a rule, and how many more there are."""
    if not np.count_nonzero(broken):
        return
    rows = np.flatnonzero(broken)
    first = int(rows[0])
    value = "" if values is None else f" ({values[first]:.10g} {unit})"
    more = f" ({len(rows) - 1} more like it)" if len(rows) > 1 else ""
    yield Problem(
        where=columns.where(int(program[first]), line), what=f"at {int(start[first])} ns: {what}{value}{more}"
    )


def _key(columns: ChunkColumns, rows: PlayColumns | AcquisitionColumns) -> NDArray[np.int64]:
    return columns.layout.begin[rows.program] + columns.layout.lead + rows.start
