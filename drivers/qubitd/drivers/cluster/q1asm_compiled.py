"""The text of events by the compiled loop, the same as that of `q1asm_events`, where somebody had it compiled."""

from __future__ import annotations

import numpy as np

from qubitd.core.native import address, ints
from qubitd.drivers.cluster.line_program import LineProgram
from qubitd.drivers.cluster.native import loops

_EACH = 64
"""Bytes of text that an event rarely exceeds."""
_LEAST = 4096


def events_text(part: LineProgram, label: str) -> str | None:
    """Write what `q1asm_events.event_texts` lays out for a line without feedback and without registers of loops."""
    timeline, tones, weights, waveforms = part.timeline, part.tones, part.weights, part.waveforms
    library = loops(timeline.time)
    if library is None or part.feedback is not None:
        return None
    name = label.encode("ascii")
    arguments = (
        len(timeline.time),
        address(timeline.kind, np.int8),
        ints(timeline.gap),
        name,
        len(name),
        ints(part.plays.envelope),
        ints(waveforms.real),
        ints(waveforms.imag),
        address(part.sets_gain, np.bool_),
        ints(part.gain_real),
        ints(part.gain_imag),
        ints(weights.index),
        address(weights.sets, np.bool_),
        int(tones is not None),
        int(tones is not None and tones.changes),
        part.wired.port.marker,
    )
    columns: tuple[int | None, ...] = (None,) * 7
    if tones is not None:
        columns = (
            ints(tones.begin_frequency),
            ints(tones.play_frequency),
            address(tones.play_sets_frequency, np.bool_),
            ints(tones.play_phase),
            address(tones.play_sets_phase, np.bool_),
            ints(tones.acquisition_frequency),
            address(tones.acquisition_sets_frequency, np.bool_),
        )
    room = _LEAST + _EACH * len(timeline.time)
    while True:
        text = np.empty(room, dtype=np.uint8)
        length = library.qubitd_events_text(*arguments, *columns, address(text, np.uint8), room)
        if length >= 0:
            return text[:length].tobytes().decode("ascii")
        if length < -1:
            return None
        room *= 2
