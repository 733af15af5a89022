"""Shots without a reset between them: each begins in the state that the one before has left, some time later.

Shots that begin in the same state are alike, whenever they happen. So as many as are needed are played at once from
every state that has come up, and the chain takes them one after another, each from the state in which the last ended.
Readouts leave few states; where qubits stay coherent from shot to shot, the chain goes shot by shot by itself, and
remembers no more than the states where it was last.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.register import Left
from qubitd.emulator.errors import SlowShotsError
from qubitd.emulator.patience import MOST_SECONDS

_SAME = 6
"""Decimals to which two states agree from which shots are taken to be alike."""
_FIRST = 16
"""Shots that are played from a state at first."""
_FEW = 64
"""States that are remembered; while there are fewer, all are provided for."""
_ALONE = 2000
"""Shots that were each played alone, after which those to come will be, too: longer than any qubit remembers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shots:
    """Some shots that were played at once."""

    points: NDArray[np.complex128]
    """Shape (acquisitions, shots)."""
    left: Left
    """The distinct states in which they leave the qubits, as the next shot finds them."""
    state: NDArray[np.int64]
    """Which of these each shot leaves, shape (shots,)."""


Play = Callable[[Left | None, NDArray[np.int64]], Shots]
"""States, None for |0..0> alone, and in which of them each shot begins -> the shots."""


class ShotChain:
    """Goes from shot to shot, the first of which begins in |0..0>."""

    def __init__(self, shots: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            shots: how many there will be in all.
            clock: gives seconds, by which shots that take too long are refused.
        """
        self._left: Left | None = None
        """Of the shot before; None for |0..0>."""
        self._pace = _Pace(shots, clock)

    def run(self, play: Play, shots: int, *, at_once: int) -> NDArray[np.complex128]:
        """Give the points of the next shots, shape (acquisitions, shots).

        Args:
            play: plays shots that are alike but for their beginnings.
            shots: how many.
            at_once: how many may be played at once.

        Raises:
            SlowShotsError: all shots together take longer than `MOST_SECONDS`.
        """
        pools = _Pools(play, self._left, at_once)
        points = []
        for remaining in range(shots, 0, -1):
            if pools.is_used_up:
                self._pace.watch(alone=pools.refill(remaining) == 1)
            points.append(pools.take())
            self._pace.done += 1
        self._left = pools.finish()
        return np.stack(points, axis=1)


class _Pace:
    """How long the shots take."""

    def __init__(self, shots: int, clock: Callable[[], float]) -> None:
        self.done = 0
        self._shots = shots
        self._clock = clock
        self._started = clock()
        self._alone: tuple[int, float] | None = None
        """Shots that were done, and when, as each began to be played alone."""

    def watch(self, *, alone: bool) -> None:
        """Refuse shots that take too long, at best before they do."""
        now = self._clock()
        if not alone:
            self._alone = None
        elif self._alone is None:
            self._alone = self.done, now
        needed = now - self._started
        if self._alone is not None and (since := self.done - self._alone[0]) >= _ALONE:
            needed += (now - self._alone[1]) / since * (self._shots - self.done)
        if needed > MOST_SECONDS:
            raise SlowShotsError(
                shots=self._shots, done=self.done, seconds=now - self._started, most_seconds=MOST_SECONDS
            )


@dataclass(slots=True, kw_only=True, eq=False)
class _Pool:
    """Shots that were played from one state."""

    state: NDArray[np.float64] | None
    """None for |0..0>."""
    key: bytes
    visits: int = 0
    unused: list[tuple[NDArray[np.complex128], _Pool]] = field(default_factory=list)
    """Points of each shot that the chain has not come to, and where it ends."""


class _Pools:
    """The states where the chain was last, and while there is room those where it may come."""

    def __init__(self, play: Play, left: Left | None, at_once: int) -> None:
        self._play = play
        self._at_once = at_once
        self._left = left
        self._known: OrderedDict[bytes, _Pool] = OrderedDict()
        """By key; that in which the chain was last is the last one."""
        self._now = _Pool(state=None, key=b"") if left is None else self._known_or_new(left.states[0], {})

    @property
    def is_used_up(self) -> bool:
        """Whether the next shot has not been played."""
        return not self._now.unused

    def take(self) -> NDArray[np.complex128]:
        """Give the points of the next shot, shape (acquisitions,)."""
        points, end = self._now.unused.pop()
        self._now.visits += 1
        self._now = self._known.setdefault(end.key, end)
        self._known.move_to_end(end.key)
        if len(self._known) > _FEW:
            _, forgotten = self._known.popitem(last=False)
            forgotten.unused.clear()
        return points

    def refill(self, remaining: int) -> int:
        """Play from where the chain is, and from all states that may soon be used up, as often again as so far.

        Gives how many shots were played.
        """
        wanted = {self._now: max(1, self._wanted(self._now))}
        if self._now.state is not None:
            wanted |= {pool: count for pool in self._known.values() if (count := self._wanted(pool)) > 0}
        branch = np.repeat(np.arange(len(wanted)), list(wanted.values()))[: min(remaining, self._at_once)]
        begin = list(wanted)[: branch[-1] + 1]
        states = [pool.state for pool in begin if pool.state is not None]
        shots = self._play(replace(self._left, states=np.stack(states)) if states and self._left else None, branch)
        self._left = replace(shots.left, states=shots.left.states[:0])
        found: dict[bytes, _Pool] = {}
        ends = [self._known_or_new(state, found) for state in shots.left.states]
        for number, state, points in zip(branch.tolist(), shots.state.tolist(), shots.points.T, strict=True):
            begin[number].unused.append((points, ends[state]))
        return len(branch)

    def finish(self) -> Left | None:
        """Forget all that was played; gives the state in which the next shot begins."""
        for pool in self._known.values():  # some of which lead to each other
            pool.unused.clear()
        state = self._now.state
        return None if state is None or self._left is None else replace(self._left, states=state[None])

    def _wanted(self, pool: _Pool) -> int:
        if len(self._known) >= _FEW and pool.visits < 2:
            return 0  # of many states, one will hardly come up again that has not yet done so
        return 0 if len(pool.unused) > pool.visits // 2 else max(_FIRST, pool.visits)

    def _known_or_new(self, state: NDArray[np.float64], found: dict[bytes, _Pool]) -> _Pool:
        """Give a state's pool, which may be among those found just now."""
        rounded = np.round(state, _SAME) + 0.0  # -0 is 0
        key = blake2b(rounded.tobytes(), digest_size=16).digest()
        pool = self._known.get(key) or found.get(key)
        if pool is None:
            pool = found[key] = _Pool(state=state.copy(), key=key)
            if len(self._known) < _FEW:
                self._known[key] = pool
                self._known.move_to_end(key, last=False)
        return pool
