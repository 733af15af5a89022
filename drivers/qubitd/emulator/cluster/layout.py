"""Executes the programs of a run and lays them out on one time axis, in short where a shot loop repeats, in full
otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cache import Cache
from qubitd.emulator.cluster.player import Performance, Player
from qubitd.emulator.q1.conditions import unknown_operator
from qubitd.emulator.q1.core import Halt
from qubitd.emulator.q1.flags import Flag
from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.issue import first_late, keeps_ahead
from qubitd.emulator.q1.latches import Initial, Latches, latch
from qubitd.emulator.q1.shotloop import Run, run_fully
from qubitd.emulator.q1.timeline import Timeline, common_timelines, first_too_short, free_timeline
from qubitd.emulator.q1.trace import Trace

_OPERAND_RANGE = 1 << 16
_MOST_LATCHED = 1_000
"""Instructions that were executed in a trace whose parameters are remembered."""
_LATCHED: Cache[tuple[Trace, bytes, Initial], Latches] = Cache(64)
"""By all that decides them."""
_HALT_FLAGS = {Halt.ILLEGAL: Flag.Q1_ILLEGAL_INSTRUCTION, Halt.UNSUPPORTED: Flag.RT_ILLEGAL_INSTRUCTION}


@dataclass(slots=True, eq=False)
class Part:
    """One player's execution."""

    player: Player
    trace: Trace
    timeline: Timeline
    flags: set[Flag] = field(default_factory=set[Flag])
    ends: bool = True
    """False while it waits for ever, or loops for ever."""

    def perform(self) -> Performance:
        """Work out the parameters along the way."""
        configuration = self.player.configuration
        latches = _latched(self.trace, self.timeline, configuration.initial)
        if configuration.marker_override is not None:
            latches = replace(latches, marker=np.full_like(latches.marker, configuration.marker_override))
        return Performance(player=self.player, trace=self.trace, timeline=self.timeline, latches=latches)

    def cut(self, length: int) -> None:
        """Let the program end before an instruction."""
        self.trace = self.trace.until(length)

    def forget(self) -> None:
        """Follow it no further: it runs until it is stopped."""
        self.cut(0)
        self.ends = False


def _latched(trace: Trace, timeline: Timeline, initial: Initial) -> Latches:
    """Work out the parameters along a trace; those of a short one are known when it comes again at the same times."""
    if len(trace) > _MOST_LATCHED:
        return latch(trace, timeline, initial)
    return _LATCHED.get((trace, timeline.start.tobytes(), initial), lambda: latch(trace, timeline, initial))


def in_short(players: Sequence[Player], runs: Sequence[Run]) -> list[Timeline] | None:
    """Lay out runs whose loops were executed in short; None if anything on the way needs a closer look."""
    if not all(may_be_laid_out(player, run) for player, run in zip(players, runs, strict=True)):
        return None
    members = [i for i, player in enumerate(players) if player.configuration.is_synchronised]
    common = common_timelines([runs[i].trace for i in members]) if members else []
    if common is None:
        return None
    synchronised = dict(zip(members, common, strict=True))
    timelines = [synchronised.get(i) or free_timeline(run.trace) for i, run in enumerate(runs)]
    if all(keeps_ahead(run, timeline) for run, timeline in zip(runs, timelines, strict=True)):
        return timelines
    return None


def may_be_laid_out(player: Player, run: Run) -> bool:
    """Whether a run ends, and asks for nothing that must not be."""
    return (
        run.trace.halt is Halt.STOPPED
        and first_too_short(run.trace) == len(run.trace)
        and not forbidden(player, run.trace).any()
    )


def is_steady(run: Run, one: Performance, other: Performance) -> bool:
    """Whether the iterations of a shot loop take the same time in two performances, and the core keeps ahead in the
    second."""
    bounds = list(run.bounds)
    same = np.array_equal(one.timeline.start[bounds], other.timeline.start[bounds])
    whole = first_too_short(other.trace) == len(other.trace)
    return same and whole and keeps_ahead(replace(run, trace=other.trace), other.timeline)


def in_full(players: Sequence[Player], runs: Sequence[Run]) -> list[Part]:
    """Lay out every iteration of everything, with the flags that are raised on the way."""
    parts = [full_part(player, run) for player, run in zip(players, runs, strict=True)]
    _hold_members_of_endless(parts)
    while True:
        _place(parts)
        late = [(part, first_late(part.trace, part.timeline)) for part in parts]
        late = [(part, at) for part, at in late if at < len(part.trace)]
        if not late:
            return parts
        part, at = min(late, key=lambda each: int(each[0].timeline.start[each[1]]))
        part.flags.add(Flag.RT_UNDERFLOW)
        part.cut(at)


def full_part(player: Player, run: Run) -> Part:
    """Execute one sequencer to its end, or to the first instruction that must not be, as if it waited for nobody."""
    trace = run_fully(player.code).trace if run.bounds else run.trace
    part = Part(player, trace, free_timeline(trace))
    if trace.halt is Halt.ENDLESS:
        part.forget()
        return part
    if trace.halt in _HALT_FLAGS:
        part.flags.add(_HALT_FLAGS[trace.halt])
    short = first_too_short(trace)
    if short < len(trace):
        part.flags.add(Flag.RT_UNDERFLOW)
        part.cut(short)
    illegal = forbidden(player, part.trace)
    if illegal.any():
        part.flags.add(Flag.RT_ILLEGAL_INSTRUCTION)
        part.cut(int(np.argmax(illegal)))
    return part


def _hold_members_of_endless(parts: list[Part]) -> None:
    """When a member of the synchronisation never ends, the others are not followed either: they all run until they are
    stopped."""
    members = [part for part in parts if part.player.configuration.is_synchronised]
    if all(part.ends for part in members):
        return
    for part in members:
        part.forget()


def _place(parts: list[Part]) -> None:
    """Give every part its times; a member that waits for one that stopped before stops there, without an end."""
    members = [part for part in parts if part.player.configuration.is_synchronised]
    syncs = [np.flatnonzero(part.trace.op == Op.WAIT_SYNC) for part in members]
    fewest = min((len(sync) for sync in syncs), default=0)
    for part, sync in zip(members, syncs, strict=True):
        if len(sync) > fewest:
            part.cut(int(sync[fewest]))
            part.ends = False
    common = common_timelines([part.trace for part in members]) if members else []
    for part, timeline in zip(members, common or [], strict=True):
        part.timeline = timeline
    for part in parts:
        if not part.player.configuration.is_synchronised:
            part.timeline = free_timeline(part.trace)


def forbidden(player: Player, trace: Trace) -> NDArray[np.bool_]:
    """Where a module without a digitiser is to acquire, one with it to weigh its two quadratures differently, or a
    condition has an operator that there is none of."""
    weighed = trace.op == Op.ACQUIRE_WEIGHED
    if not player.kind.is_readout:
        return np.asarray(weighed | (trace.op == Op.ACQUIRE) | unknown_operator(trace), dtype=np.bool_)
    contents = _contents(player)
    first, second = contents[trace.operands[:, 2]], contents[trace.operands[:, 3]]
    differ = weighed & (first != second) & (first >= 0) & (second >= 0)
    return np.asarray(differ | unknown_operator(trace), dtype=np.bool_)


def _contents(player: Player) -> NDArray[np.int64]:
    """Number weights, by index, by what they hold: equal numbers mean equal samples; -1 where there is none."""
    numbers: dict[str, int] = {}
    contents = np.full(_OPERAND_RANGE, -1, dtype=np.int64)
    for index, wave in player.weights.by_index.items():
        contents[index] = numbers.setdefault(wave.digest, len(numbers))
    return contents
