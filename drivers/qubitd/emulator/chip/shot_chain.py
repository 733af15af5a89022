"""Shots without a reset between them: each begins in the state that the one before has left, some time later.

Shots that begin in the same state are alike, whenever they happen. So as many as are needed are played at once from
every state that has come up, and the chain takes them one after another, each from the state in which the last ended.
Readouts leave few states; where qubits stay coherent from shot to shot, the chain goes shot by shot by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.register import Left

_SAME = 6
"""Decimals to which two states agree from which shots are taken to be alike."""
_FIRST = 16
"""Shots that are played from a state at first."""
_FEW = 64
"""States that are all provided for; of more, each will hardly come up again."""


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

    def __init__(self) -> None:
        self._left: Left | None = None
        """Of the shot before; None for |0..0>."""

    def run(self, play: Play, shots: int, *, at_once: int) -> NDArray[np.complex128]:
        """Give the points of the next shots, shape (acquisitions, shots).

        Args:
            play: plays shots that are alike but for their beginnings.
            shots: how many.
            at_once: how many may be played at once.
        """
        pools = _Pools(play, self._left, at_once)
        for remaining in range(shots, 0, -1):
            pools.step(remaining)
        self._left = pools.left
        return pools.points()


class _Pools:
    """Shots that were played from each state, and which of them the chain has used."""

    def __init__(self, play: Play, left: Left | None, at_once: int) -> None:
        self._play = play
        self._at_once = at_once
        self._index: dict[bytes, int] = {} if left is None else {_key(left.states[0]): 0}
        self._states: list[NDArray[np.float64] | None] = [None if left is None else left.states[0]]
        self._clocks = left
        self._visits = [0]
        self._unused: list[list[tuple[int, int]]] = [[]]
        """By state, (block, column) of each shot that the chain has not come to."""
        self._blocks: list[Shots] = []
        self._ends: list[list[int]] = []
        self._taken: list[tuple[int, int]] = []
        self._now = 0

    def step(self, remaining: int) -> None:
        """Take the next shot."""
        if not self._unused[self._now]:
            self._refill(remaining)
        block, column = self._unused[self._now].pop()
        self._visits[self._now] += 1
        self._taken.append((block, column))
        self._now = self._ends[block][column]

    @property
    def left(self) -> Left | None:
        """The state in which the next shot begins."""
        state = self._states[self._now]
        return None if state is None or self._clocks is None else replace(self._clocks, states=state[None])

    def points(self) -> NDArray[np.complex128]:
        """Give the points of the shots that the chain went through."""
        block, column = np.array(self._taken, dtype=np.int64).T
        found = np.empty((len(self._blocks[0].points), len(block)), dtype=np.complex128)
        for number, shots in enumerate(self._blocks):
            own = block == number
            found[:, own] = shots.points[:, column[own]]
        return found

    def _refill(self, remaining: int) -> None:
        """Play from where the chain is, and from all states that may soon be used up, as often again as so far."""
        wanted = {self._now: max(1, self._wanted(self._now))}
        if self._states[self._now] is not None:
            known = [number for number, state in enumerate(self._states) if state is not None]
            wanted |= {number: count for number in known if (count := self._wanted(number)) > 0}
        begin = np.repeat(list(wanted), list(wanted.values()))[: min(remaining, self._at_once)]
        distinct, branch = np.unique(begin, return_inverse=True)
        states = [self._states[s] for s in distinct.tolist()]
        beginnings = [state for state in states if state is not None]
        left = replace(self._clocks, states=np.stack(beginnings)) if beginnings and self._clocks is not None else None
        shots = self._play(left, branch.reshape(-1))
        self._clocks = shots.left
        number_of = [self._number(state) for state in shots.left.states]
        self._ends.append([number_of[state] for state in shots.state.tolist()])
        for column, state in enumerate(begin.tolist()):
            self._unused[state].append((len(self._blocks), column))
        self._blocks.append(shots)

    def _wanted(self, state: int) -> int:
        visits, unused = self._visits[state], len(self._unused[state])
        if len(self._states) > _FEW and visits == 0:
            return 0
        return 0 if unused > visits // 2 else max(_FIRST, visits)

    def _number(self, state: NDArray[np.float64]) -> int:
        number = self._index.setdefault(_key(state), len(self._states))
        if number == len(self._states):
            self._states.append(state)
            self._visits.append(0)
            self._unused.append([])
        return number


def _key(state: NDArray[np.float64]) -> bytes:
    return (np.round(state, _SAME) + 0.0).tobytes()  # -0 is 0
