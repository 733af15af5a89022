"""The state of the qubits that take part in one shot body: a real tensor, one axis per qubit, and one such per branch.

Maps of a single qubit are gathered in a 5x5 matrix until something needs that qubit's axis, each with its own clock. A
coupled pair has a clock, too, for its static ZZ, which acts before either qubit is turned (`static_zz`). Branches
differ in what earlier measurements found; the gathered maps are the same for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.basis import LEAKED, LEVELS, P0, P1, SIZE, Map, X, decay, turn_about_z
from qubitd.emulator.chip.static_zz import Bond, rest, zz_map

_SAME = 12
"""Decimals to which the states of two branches agree when they are one branch."""
_LONG = 1 / 32
"""Turns by ZZ from which on a rest of all qubits is worked out exactly, and by which it acts at one instant at most."""
_NOTHING = np.eye(SIZE)
"""The map of what does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Left:
    """States in which shots leave the qubits at one instant."""

    states: NDArray[np.float64]
    """Normalised to trace 1, shape (states, 5, 5, ...)."""
    time: float
    """ns."""


class Register:
    """Every branch's state, normalised to trace 1."""

    def __init__(
        self,
        qubits: Sequence[int],
        *,
        t1: Sequence[float],
        t2: Sequence[float],
        detuning: Sequence[float] | None = None,
        zz: Mapping[Bond, float] | None = None,
    ) -> None:
        """Start in |0..0>, which does not age.

        Args:
            qubits: those that take part, in any order.
            t1: relaxation time of every qubit of the chip, ns.
            t2: coherence time of every qubit of the chip, ns.
            detuning: f01 of every qubit of the chip beyond its usual one, GHz; None for 0.
            zz: of the chip's coupled pairs, GHz; None for 0.
        """
        self._zz = {bond: value for bond, value in (zz or {}).items() if set(bond) <= set(qubits)}
        self._bond_clock = dict.fromkeys(self._zz, 0.0)
        self._turned: set[int] = set()
        """Qubits that have left |0>: only pairs of such have any ZZ."""
        self._strongest = 0.0
        """Largest ZZ of these, GHz."""
        self._latest = 0.0
        """When anything that was done so far was over, ns."""
        self._aging: dict[tuple[int, float], Map] = {}
        self._detuning = dict(enumerate(detuning)) if detuning is not None else {}
        self._axis = {qubit: 1 + i for i, qubit in enumerate(qubits)}
        self._t1 = t1
        self._t2 = t2
        self._clock = dict.fromkeys(qubits, 0.0)
        self._gathered = dict.fromkeys(qubits, _NOTHING)
        self.states: NDArray[np.float64] = np.zeros((1, *[SIZE] * len(self._axis)))
        self.states[(0, *[P0] * len(self._axis))] = 1.0

    def take_over(self, left: Left) -> None:
        """Begin with states of the same qubits as they were left, each a branch."""
        self.states = left.states.copy()
        self._clock = dict.fromkeys(self._clock, left.time)
        self._bond_clock = dict.fromkeys(self._zz, left.time)
        self._latest = left.time
        for qubit in self._axis:
            self._leaves_ground(qubit)

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

    def apply(
        self,
        qubit: int,
        single: Map,
        *,
        start: float,
        end: float,
        on: NDArray[np.bool_] | None = None,
        mixes: bool = True,
    ) -> None:
        """Act on one qubit from start to end, in all branches or some; the map contains its own decay.

        Half of the qubit's ZZ meanwhile acts before and half after; a map that does not mix levels commutes with it.
        """
        self._pass(start)
        if mixes:
            self._turn_bonds(qubit, until=(start + end) / 2, now=start)
            self._leaves_ground(qubit)
        if on is not None:
            self._apply_in(on, qubit, single, start=start, end=end)
            return
        self._relax(qubit, start)
        self._gathered[qubit] = self._detuned(qubit, single, end - start) @ self._gathered[qubit]
        self._is_over(qubit, end)

    def apply_pair(
        self, first: int, second: int, pair: Map, *, begin: float, end: float, on: NDArray[np.bool_] | None = None
    ) -> None:
        """Act on a coupled pair in the middle of a time that it spends under a pulse, in all branches or some.

        The map stands for all that the two do to each other meanwhile. Their static ZZ, which commutes with it, is left
        to act later for the time before and after.
        """
        self._pass(begin)
        middle = (begin + end) / 2
        bond = (first, second) if (first, second) in self._zz else (second, first)
        if bond in self._zz:
            self._bond_clock[bond] += end - begin
            self._latest = max(self._latest, end)
            if on is not None:
                self._act_on_pair(*bond, zz_map(self._zz[bond] * (end - begin)), middle, ~on)
        self._act_on_pair(first, second, pair, middle, on)

    def hold(self, qubit: int, *, time: float) -> None:
        """Bring a qubit to an instant at which it will be measured; nothing may happen to it afterwards."""
        self._pass(time)
        self._turn_bonds(qubit, until=time, now=time)
        self._settle(qubit, time)

    def freeze(self, qubit: int, *, time: float) -> None:
        """Hold a qubit for good: it stays at its levels, also for what its neighbours see of it by ZZ."""
        self.hold(qubit, time=time)
        self._clock[qubit] = math.inf

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
            left: level in which the measurement left it; for its neighbours it was there all the while.
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
            others = self.states[key // LEVELS**2].take(key // LEVELS % LEVELS, axis=axis - 1)
            made[(i, *[slice(None)] * (axis - 1), key % LEVELS)] = others
        made /= self._trace(made)
        self._is_over(qubit, end)
        self.states, merged = _merge(made)
        return merged[index.reshape(-1)]

    def leave(
        self,
        ends: Mapping[int, float],
        branch: NDArray[np.int64],
        *,
        found: NDArray[np.int64],
        left: NDArray[np.int64],
        time: float,
    ) -> tuple[Left, NDArray[np.int64]]:
        """Give up the states, with what frozen qubits were found in, as they are when everything is over.

        Args:
            ends: frozen qubits, and when each measurement was over, ns.
            branch: branch of each shot, shape (shots,).
            found: level that each shot found, shape (frozen qubits, shots).
            left: level in which the measurements left them, in the same shape; for their neighbours they were there all
                the while.
            time: ns, by which everything is over in all branches.

        Returns:
            The distinct states, and which of them each shot leaves.
        """
        for qubit in self._axis:
            self._settle(qubit, -math.inf)
        keys, index = np.unique(np.concatenate([branch[None], found, left]), axis=1, return_inverse=True)
        made = np.zeros((keys.shape[1], *self.states.shape[1:]))
        for i, (number, *levels) in enumerate(keys.T.tolist()):
            source: list[slice | int] = [slice(None)] * (made.ndim - 1)
            target = source.copy()
            for k, qubit in enumerate(ends):
                source[self._axis[qubit] - 1] = levels[k]
                target[self._axis[qubit] - 1] = levels[len(ends) + k]
            made[(i, *target)] = self.states[(number, *source)]
        self.states, merged = _merge(made / self._trace(made))
        self._clock.update(ends)
        self._latest = max(self._latest, *ends.values()) if ends else self._latest
        self._bring_all_to(time)
        return Left(states=self.states, time=time), merged[index.reshape(-1)]

    def later(self, left: Left, period: float, turns: Mapping[int, float]) -> Left:
        """Give states as the next shot finds them.

        Args:
            left: states of these qubits.
            period: ns from the beginning of one shot to that of the next.
            turns: about z that take each qubit's phase against its drive from one shot to the next.
        """
        states = left.states
        for qubit, axis in self._axis.items():
            passing = turn_about_z(turns[qubit])
            passing[LEAKED, LEAKED] = math.exp(-2 * period / self._t1[qubit])  # level 2 falls twice as fast as 1
            passing[P1, LEAKED] = 1 - passing[LEAKED, LEAKED]
            states = _acted(passing, states, (axis,))
        return Left(states=states, time=left.time - period)

    def _apply_in(self, on: NDArray[np.bool_], qubit: int, single: Map, *, start: float, end: float) -> None:
        self._settle(qubit, start)
        axis = self._axis[qubit]
        single = self._detuned(qubit, single, end - start)
        self.states[on] = _acted(single, self.states[on], (axis,))
        others = np.moveaxis(self.states[~on], axis, 0)
        self._age(others, qubit, max(end - start, 0.0))
        self.states[~on] = np.moveaxis(others, 0, axis)
        self._is_over(qubit, end)

    def _trace(self, states: NDArray[np.float64]) -> NDArray[np.float64]:
        levels = states[(slice(None), *[slice(LEVELS)] * len(self._axis))]
        total: NDArray[np.float64] = levels.sum(axis=tuple(range(1, states.ndim)), keepdims=True)
        return total

    def _leaves_ground(self, qubit: int) -> None:
        if qubit not in self._turned:
            self._turned.add(qubit)
            met = (abs(zz) for bond, zz in self._zz.items() if self._turned.issuperset(bond))
            self._strongest = max(met, default=0.0)

    def _is_over(self, qubit: int, end: float) -> None:
        self._clock[qubit] = max(self._clock[qubit], end)
        self._latest = max(self._latest, end)

    def _pass(self, now: float) -> None:
        """Let a long time in which nothing happened to any qubit pass for all of them at once."""
        begin = self._latest
        if self._strongest * (now - begin) <= _LONG:
            return
        self._bring_all_to(begin)
        aging = [self._clock[qubit] < math.inf for qubit in self._axis]
        self.states = rest(
            self.states,
            now - begin,
            bonds={(self._axis[a] - 1, self._axis[b] - 1): zz for (a, b), zz in self._zz.items()},
            relaxing=[ages / self._t1[qubit] for qubit, ages in zip(self._axis, aging, strict=True)],
            dephasing=[ages / self._t2[qubit] for qubit, ages in zip(self._axis, aging, strict=True)],
            detuning=[self._detuning.get(qubit, 0.0) for qubit in self._axis],
        )
        self._bond_clock = dict.fromkeys(self._zz, now)
        for qubit in self._axis:
            self._is_over(qubit, now)

    def _bring_all_to(self, time: float) -> None:
        for bond in self._zz:
            self._turn_bond(bond, until=time, now=time)
        for qubit in self._axis:
            self._settle(qubit, time)

    def _turn_bonds(self, qubit: int, *, until: float, now: float) -> None:
        for bond in self._zz:
            if qubit in bond:
                self._turn_bond(bond, until=until, now=now)

    def _turn_bond(self, bond: Bond, *, until: float, now: float) -> None:
        """Let a pair's ZZ act for the time since it last did; nothing must have happened yet after `now`."""
        begin, passed = self._bond_clock[bond], until - self._bond_clock[bond]
        if passed <= 0:
            return
        self._bond_clock[bond] = until
        if not self._turned.issuperset(bond):
            return
        turns = self._zz[bond] * passed
        steps = math.ceil(abs(turns) / _LONG)
        for step in range(steps):
            self._act_on_pair(*bond, zz_map(turns / steps), min(begin + (step + 0.5) * passed / steps, now), None)

    def _act_on_pair(self, first: int, second: int, pair: Map, time: float, on: NDArray[np.bool_] | None) -> None:
        axes = (self._axis[first], self._axis[second])
        if on is None:
            self._relax(first, time)
            self._relax(second, time)
            one, other = self._gathered[first], self._gathered[second]
            pair = pair @ (one[:, None, :, None] * other[None, :, None, :]).reshape(SIZE**2, SIZE**2)
            self._gathered[first], self._gathered[second] = _NOTHING, _NOTHING
            self.states = _acted(pair, self.states, axes)
            return
        self._settle(first, time)
        self._settle(second, time)
        self.states[on] = _acted(pair, self.states[on], axes)

    def _relax(self, qubit: int, time: float) -> None:
        gap = time - self._clock[qubit]
        if gap > 0:
            self._gathered[qubit] = self._aged(qubit, gap) @ self._gathered[qubit]
            self._is_over(qubit, time)

    def _aged(self, qubit: int, time: float) -> Map:
        """The map of a qubit that is left alone."""
        if (qubit, time) not in self._aging:
            made = np.eye(SIZE)
            self._age(made, qubit, time)
            self._aging[qubit, time] = made
        return self._aging[qubit, time]

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
        self.states = _acted(self._gathered[qubit], self.states, (self._axis[qubit],))
        self._gathered[qubit] = _NOTHING


def _acted(matrix: Map, states: NDArray[np.float64], axes: tuple[int, ...]) -> NDArray[np.float64]:
    """Multiply a matrix on the numbers of some qubits in; those of neighbouring axes are not moved for it."""
    first, count = min(axes), len(axes)
    if axes == (first + 1, first):
        matrix = matrix.reshape([SIZE] * 4).transpose(1, 0, 3, 2).reshape(SIZE**2, SIZE**2)
    elif axes != (first, first + 1)[:count]:
        moved = np.ascontiguousarray(np.moveaxis(states, axes, range(1, 1 + count)))
        return np.ascontiguousarray(np.moveaxis(_acted(matrix, moved, (1, 2)), range(1, 1 + count), axes))
    rows = states.reshape(math.prod(states.shape[:first]), len(matrix), math.prod(states.shape[first + count :]))
    done = rows[..., 0] @ matrix.T if rows.shape[-1] == 1 else matrix @ rows
    return np.asarray(done.reshape(states.shape))


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
