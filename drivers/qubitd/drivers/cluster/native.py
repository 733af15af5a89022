"""The inner loops over a line's plays in C (`lines.c`), where somebody had them compiled: see `qubitd.core.native`.

Each gives what the NumPy of the module that calls it gives, to the last bit, or None where that has to do the work:
there is no library, the line is so short that NumPy is as fast, or it is one of the rare cases that only NumPy knows. A
loop that judges only says whether something is wrong; what it is, is found by the rules in NumPy.

A loop gets addresses, which keep no array alive: whatever it reads or writes has a name here until it is done.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qubitd.core.native import NativeSource, address, floats, ints, room

if TYPE_CHECKING:
    from qubitd.drivers.cluster.columns import EnvelopeColumns, Layout, PlayColumns

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LINES = NativeSource(
    package="qubitd.drivers.cluster",
    name="lines",
    functions={
        "qubitd_plays_offend": "n" + "p" * 11 + "npp",
        "qubitd_exertion": "npppppppp",
        "qubitd_tones": "npppppnpppppp",
        "qubitd_merge": "nppppnpppppp",
        "qubitd_events_offend": "npppppnpnn",
        "qubitd_extra": "np",
        "qubitd_events_text": "npppn" + "p" * 8 + "nnn" + "p" * 8 + "n",
    },
)

_FEW = 64
"""Events up to which NumPy is as fast."""


def plays_offend(
    plays: PlayColumns, layout: Layout, envelopes: EnvelopeColumns, *, lo: float | None, most: float, rounding: float
) -> bool | None:
    """Whether plays of one line break a rule of `checks.play_problems`.

    Args:
        plays: of the line.
        layout: of the chunk.
        envelopes: of its job.
        lo: of the line's local oscillator, Hz; None on a baseband output.
        most: Hz that a tone may be from it.
        rounding: by how much an envelope may exceed full scale.
    """
    library = loops(plays.start)
    if library is None:
        return None
    columns = ints(plays.program), ints(plays.start), ints(plays.length), ints(plays.envelope)
    numbers = floats(plays.amplitude), floats(plays.phase), floats(plays.frequency)
    known = ints(envelopes.length), floats(envelopes.peak), address(envelopes.is_complex, np.bool_)
    limits, slack = np.array([lo or 0.0, most]), np.array([rounding])
    bounds = int(lo is not None), floats(limits), floats(slack)
    return bool(
        library.qubitd_plays_offend(len(plays.start), *columns, *numbers, ints(layout.duration), *known, *bounds)
    )


def exertion(
    program: Ints, envelope: Ints, gain: Ints, facts: Floats, *, programs: int
) -> tuple[Floats, Floats, Floats, float, float] | None:
    """Give the sums of power, real and imaginary part of each program, the highest amplitude and the steepest step.

    Args:
        program: of each play.
        envelope: of each play.
        gain: register of each play.
        facts: peak, energy, area (real, imaginary) and largest step of each envelope, shape (envelopes, 5).
        programs: of the chunk.
    """
    library = loops(gain)
    if library is None:
        return None
    power, real, imag, most = np.zeros(programs), np.zeros(programs), np.zeros(programs), np.zeros(2)
    columns = ints(program), ints(envelope), ints(gain), floats(facts)
    library.qubitd_exertion(len(gain), *columns, floats(power), floats(real), floats(imag), floats(most))
    return power, real, imag, float(most[0]), float(most[1])


def tones(
    program: Ints, tick: Ints, hertz: Floats, phase: Floats, is_play: Bools, *, lead: int
) -> tuple[Ints, Ints, Ints, Ints, Bools, Bools, bool] | None:
    """Give `frequency`, `sets`, `held`, `ahead`, `first`, `sets_frequency` and `changes` of `tones.tone_registers`.

    Args:
        program: of each event, in the order of program and tick.
        tick: of each event.
        hertz: of its tone, from the local oscillator.
        phase: radians.
        is_play: whether it is no acquisition.
        lead: ticks before each program.
    """
    library = loops(program)
    if library is None:
        return None
    count = len(program)
    found = room(count), room(count), room(count), room(count)
    first, sets_frequency = np.empty(count, dtype=np.bool_), np.empty(count, dtype=np.bool_)
    events = ints(program), ints(tick), floats(hertz), floats(phase), address(is_play, np.bool_)
    into = *map(ints, found), address(first, np.bool_), address(sets_frequency, np.bool_)
    changes = library.qubitd_tones(count, *events, lead, *into)
    return *found, first, sets_frequency, bool(changes)


def merged(
    kinds: Sequence[int], times: Ints, programs: Ints, counts: Sequence[int], total: int
) -> tuple[NDArray[np.int8], Ints, Ints, Ints, Ints] | None:
    """Give the columns of `Timeline` from events kind by kind.

    Args:
        kinds: in the order in which those of one tick follow each other.
        times: of all events, kind by kind.
        programs: of the same.
        counts: of the events of each kind.
        total: ticks of the iteration.
    """
    library = loops(times)
    if library is None:
        return None
    count, bounds = len(times), np.zeros(len(kinds) + 1, dtype=np.int64)
    np.cumsum(counts, out=bounds[1:])
    kind, out_kind = np.array(kinds, dtype=np.int8), np.empty(count, dtype=np.int8)
    found = room(count), room(count), room(count), room(count)
    events = address(kind, np.int8), ints(bounds), ints(times), ints(programs)
    following = room(len(kinds))
    into = ints(following), address(out_kind, np.int8), *map(ints, found)
    return None if library.qubitd_merge(len(kinds), *events, total, *into) else (out_kind, *found)


def events_offend(
    kind: NDArray[np.int8], program: Ints, time: Ints, gap: Ints, layout: Layout, *, tail: int, longest: int
) -> bool | None:
    """Whether events of one line break a rule of `checks.timeline_problems`.

    Args:
        kind: as `Timeline`, as are those that follow.
        program: of each event.
        time: of each event.
        gap: behind each event.
        layout: of the chunk.
        tail: ticks after a program's end until which a switch may close.
        longest: gap.
    """
    library = loops(time)
    if library is None:
        return None
    events = address(kind, np.int8), ints(program), ints(time), ints(gap)
    layouts = ints(layout.begin), layout.lead, ints(layout.duration)
    return bool(library.qubitd_events_offend(len(time), *events, *layouts, tail, longest))


def extra_instructions(gaps: Ints) -> int | None:
    """Give the sum of `waits.extra_instructions`."""
    library = loops(gaps)
    return None if library is None else int(library.qubitd_extra(len(gaps), ints(gaps)))


def loops(events: NDArray[np.generic]) -> ctypes.CDLL | None:
    """Give the library, if there is one and it is worth while."""
    return LINES.library if len(events) > _FEW else None
