"""Q1ASM of what depends on outcomes. Whichever way a condition goes, it takes the same time.

A conditional block holds exactly one instruction that takes time, and waits as long as that if it is not carried out:
then nothing has to be padded. Gains, phases and frequencies are set outside of it, in both cases.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.core.feedforward import ALWAYS, Latch
from qubitd.drivers.cluster.event_texts import EventTexts
from qubitd.drivers.cluster.line_feedback import LineFeedback
from qubitd.drivers.cluster.timeline import Kind, Timeline
from qubitd.drivers.cluster.waits import SHORTEST

Ints = NDArray[np.int64]

_END = "set_cond 0,0,0,0\n"
_PREPARE = f"set_latch_en 0,{SHORTEST}\nlatch_rst "
_LATCH = {Latch.CLEAR: "latch_rst ", Latch.OPEN: "set_latch_en 1,", Latch.CLOSE: "set_latch_en 0,"}


def add_feedback(feedback: LineFeedback, timeline: Timeline, texts: EventTexts, *, rf: bool) -> None:
    """Put conditions, phases and latches into a sequencer's text, in place.

    Args:
        feedback: of the line.
        timeline: of the line.
        texts: of its events.
        rf: whether a program begins with an instruction of its own.
    """
    for at, action in zip(_at(timeline, Kind.LATCH), feedback.latches.action.tolist(), strict=True):
        texts.own_instruction[at] = _LATCH[Latch(action)]
    for at, phase in zip(_at(timeline, Kind.SHIFT), feedback.shift_phase.tolist(), strict=True):
        texts.own_instruction[at] = f"set_ph_delta {phase}\nupd_param "
    for kind, guard in _guards(feedback):
        for row in np.flatnonzero(guard != ALWAYS).tolist():
            _guard(feedback.guards[int(guard[row])], int(_at(timeline, kind)[row]), texts)
    if feedback.counts:
        for at in _at(timeline, Kind.BEGIN):
            _prepare(int(at), texts, rf=rf)


def instruction_count(feedback: LineFeedback, begins: int) -> int:
    """Count what is added for conditions, latches and the beginnings of programs."""
    guarded = sum(int((guard != ALWAYS).sum()) for _, guard in _guards(feedback))
    return 2 * guarded + len(feedback.latches.start) + 2 * begins * feedback.counts


def _guards(feedback: LineFeedback) -> tuple[tuple[Kind, Ints], ...]:
    return (
        (Kind.PLAY, feedback.play_guard),
        (Kind.ACQUIRE, feedback.acquisition_guard),
        (Kind.SHIFT, feedback.shift_guard),
    )


def _at(timeline: Timeline, kind: Kind) -> NDArray[np.intp]:
    """Find the events of a kind; they stand in the order of their rows."""
    return np.flatnonzero(timeline.kind == kind)


def _guard(condition: tuple[int, int], at: int, texts: EventTexts) -> None:
    mask, operator = condition
    own, _, rest = texts.wait_of(at).partition("\n")
    texts.own_instruction[at] = f"set_cond 1,{mask},{operator},{own}\n{texts.instruction_of(at)}"
    texts.own_wait[at] = f"{own}\n{_END}{rest}"


def _prepare(at: int, texts: EventTexts, *, rf: bool) -> None:
    """Close and clear the counters where a program begins, within the waiting time that is there."""
    own, _, rest = texts.wait_of(at).partition("\n")
    before = f"{texts.instruction_of(at)}{SHORTEST}\n" if rf else ""
    texts.own_instruction[at] = before + _PREPARE
    texts.own_wait[at] = f"{int(own) - SHORTEST * (1 + rf)}\n{rest}"
