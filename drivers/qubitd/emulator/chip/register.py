"""The state of the qubits that take part in one shot body: a real tensor, one axis per qubit, and one such per branch.

Maps of a single qubit are gathered in a 5x5 matrix until something needs that qubit's axis, each with its own clock:
decay is exact, since idle qubits do not act on each other. Branches differ in what earlier measurements found; the
gathered maps are the same for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.basis import LEVELS, P0, SIZE, Map, X, decay, turn_about_z

_SAME = 12
"""Decimals to which the states of two branches agree when they are one branch."""


class Register:
    """Every branch's state, normalised to trace 1."""

    def __init__(
        self,
        qubits: Sequence[int],
        *,
        t1: Sequence[float],
        t2: Sequence[float],
        detuning: Sequence[float] | None = None,
    ) -> None:
        """Start in |0..0>, which does not age.

        Args:
            qubits: those that take part, in any order.
            t1: relaxation time of every qubit of the chip, ns.
            t2: coherence time of every qubit of the chip, ns.
            detuning: f01 of every qubit of the chip beyond its usual one, GHz; None for 0.
        """
        self._detuning = dict(enumerate(detuning)) if detuning is not None else {}
        self._axis = {qubit: 1 + i for i, qubit in enumerate(qubits)}
        self._t1 = t1
        self._t2 = t2
        self._clock = dict.fromkeys(qubits, 0.0)
        self._gathered = {qubit: np.eye(SIZE) for qubit in qubits}
        self.states: NDArray[np.float64] = np.zeros((1, *[SIZE] * len(self._axis)))
        self.states[(0, *[P0] * len(self._axis))] = 1.0

    def separate(
        self, branch: NDArray[np.int64], taken: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Split branches in some of whose shots something happens.

        Args:
            branch: branch of each shot, shape (shots,).
            taken: whether it happens, shape (shots,).

        Returns:
            The new branch of each shot, and in which branches it happens.
        """
        distinct, index = np.unique(branch * 2 + taken, return_inverse=True)
        self.states = self.states[distinct // 2]
        return index.reshape(-1), (distinct % 2).astype(np.bool_)

    def apply(self, qubit: int, single: Map, *, start: float, end: float, on: NDArray[np.bool_] | None = None) -> None:
        """Act on one qubit from start to end, in all branches or some; the map contains its own decay."""
        if on is not None:
            self._apply_in(on, qubit, single, start=start, end=end)
            return
        self._relax(qubit, start)
        self._gathered[qubit] = self._detuned(qubit, single, end - start) @ self._gathered[qubit]
        self._clock[qubit] = max(self._clock[qubit], end)

    def apply_pair(
        self, first: int, second: int, pair: Map, *, time: float, on: NDArray[np.bool_] | None = None
    ) -> None:
        """Act on two qubits at one instant, in all branches or some."""
        self._settle(first, time)
        self._settle(second, time)
        axes = (self._axis[first], self._axis[second])
        states = self.states if on is None else self.states[on]
        moved = np.tensordot(pair.reshape([SIZE] * 4), states, axes=((2, 3), axes))
        if on is None:
            self.states = np.moveaxis(moved, (0, 1), axes)
        else:
            self.states[on] = np.moveaxis(moved, (0, 1), axes)

    def hold(self, qubit: int, *, time: float) -> None:
        """Bring a qubit to an instant at which it will be measured; nothing may happen to it afterwards."""
        self._settle(qubit, time)

    def joint(self, qubits: Sequence[int]) -> NDArray[np.float64]:
        """Give the joint distribution of levels of held qubits, shape (branches, 3, 3, ...) in the order given."""
        # What is still gathered for other qubits keeps their trace, so it does not matter here.
        levels = self.states[(slice(None), *[slice(LEVELS)] * len(self._axis))]
        others = tuple(axis for qubit, axis in self._axis.items() if qubit not in qubits)
        kept = [qubit for qubit in self._axis if qubit in qubits]
        order = (0, *(1 + kept.index(qubit) for qubit in qubits))
        return _probabilities(levels.sum(axis=others).transpose(order), axes=len(qubits))

    def collapse(
        self,
        qubit: int,
        branch: NDArray[np.int64],
        *,
        found: NDArray[np.int64],
        left: NDArray[np.int64],
        taken: NDArray[np.bool_],
        start: float,
        end: float,
    ) -> NDArray[np.int64]:
        """Continue each shot with what a measurement found.

        Args:
            qubit: what was measured; it must be held.
            branch: branch of each shot, shape (shots,).
            found: level that each shot found.
            left: level in which the measurement left it.
            taken: whether it was measured in each shot.
            start: when the measurement began, ns.
            end: when it was over, ns.

        Returns:
            The new branch of each shot.
        """
        keys = np.where(taken, (branch * LEVELS + found) * LEVELS + left, ~branch)
        distinct, index = np.unique(keys, return_inverse=True)
        axis = self._axis[qubit]
        made = np.zeros((len(distinct), *self.states.shape[1:]))
        for i, key in enumerate(distinct.tolist()):
            if key < 0:
                made[i] = self.states[~key]
                self._age(np.moveaxis(made[i], axis - 1, 0), qubit, end - start)
                continue
            rest = self.states[key // LEVELS**2].take(key // LEVELS % LEVELS, axis=axis - 1)
            target = (i, *[slice(None)] * (axis - 1), key % LEVELS)
            made[target] = rest
        made /= self._trace(made)
        self._clock[qubit] = max(self._clock[qubit], end)
        self.states, merged = _merge(made)
        return merged[index.reshape(-1)]

    def _apply_in(self, on: NDArray[np.bool_], qubit: int, single: Map, *, start: float, end: float) -> None:
        self._settle(qubit, start)
        axis = self._axis[qubit]
        single = self._detuned(qubit, single, end - start)
        self.states[on] = np.moveaxis(np.tensordot(single, self.states[on], axes=((1,), (axis,))), 0, axis)
        others = np.moveaxis(self.states[~on], axis, 0)
        self._age(others, qubit, max(end - start, 0.0))
        self.states[~on] = np.moveaxis(others, 0, axis)
        self._clock[qubit] = max(self._clock[qubit], end)

    def _trace(self, states: NDArray[np.float64]) -> NDArray[np.float64]:
        levels = states[(slice(None), *[slice(LEVELS)] * len(self._axis))]
        total: NDArray[np.float64] = levels.sum(axis=tuple(range(1, states.ndim)), keepdims=True)
        return total

    def _relax(self, qubit: int, time: float) -> None:
        gap = time - self._clock[qubit]
        if gap > 0:
            self._age(self._gathered[qubit], qubit, gap)
            self._clock[qubit] = time

    def _age(self, state: NDArray[np.float64], qubit: int, time: float) -> None:
        """Let a qubit, whose numbers are the first axis, decay and turn on its own."""
        decay(state, time, t1=self._t1[qubit], t2=self._t2[qubit])
        if detuning := self._detuning.get(qubit, 0.0):
            turned = np.tensordot(turn_about_z(-detuning * time)[X:, X:], state[X:], axes=1)
            state[X:] = turned

    def _detuned(self, qubit: int, single: Map, time: float) -> Map:
        """A map between two halves of the turn that its qubit makes on its own meanwhile."""
        detuning = self._detuning.get(qubit, 0.0)
        if not detuning or time <= 0:
            return single
        half = turn_about_z(-detuning * time / 2)
        return np.asarray(half @ single @ half)

    def _settle(self, qubit: int, time: float) -> None:
        """Put the gathered maps of a qubit into the state."""
        self._relax(qubit, time)
        axis = self._axis[qubit]
        moved = np.tensordot(self._gathered[qubit], self.states, axes=((1,), (axis,)))
        self.states = np.moveaxis(moved, 0, axis)
        self._gathered[qubit] = np.eye(SIZE)


def _merge(states: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Join branches whose states agree; give them, and for each old branch its new one."""
    rounded = np.round(states.reshape(len(states), -1), _SAME) + 0.0  # -0 is 0
    found: dict[bytes, int] = {}
    merged = np.array([found.setdefault(row.tobytes(), len(found)) for row in rounded], dtype=np.int64)
    kept = np.flatnonzero(np.diff(np.maximum.accumulate(merged), prepend=-1))
    return states[kept], merged


def _probabilities(values: NDArray[np.float64], *, axes: int) -> NDArray[np.float64]:
    clipped = np.maximum(values, 0.0)
    total: NDArray[np.float64] = clipped.sum(axis=tuple(range(1, 1 + axes)), keepdims=True)
    return clipped / total
