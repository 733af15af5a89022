"""The state of a chip as a density matrix that splits with the outcomes read so far and with the qubits that leaked.

Each branch is an unnormalised density matrix as a tensor with one axis of 4 per qubit (index 2 row + column). All of
them lie in one array, so that what happens in all takes one multiplication.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.compiler.channels import Channel, operator_channel

_NEGLIGIBLE = 1e-14
"""Branches with less probability than this are dropped."""
_DEPHASE: Channel = np.diag([1, 0, 0, 1]).astype(np.complex128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What tells the branches apart."""

    bits: int
    """Classical bits as they are."""
    leaked: int
    """Bit i: qubit i has left its two levels, and reads as 1 for good."""
    outcomes: int = 0
    """Bit n: outcome n, which something still looks at, was 1."""


Where = Callable[[Branch], bool]
"""Picks the branches in which something happens."""


def everywhere(_: Branch) -> bool:
    """Pick all branches."""
    return True


class Density:
    """Starts as a product of mixtures; `excited` is the population of 1 of each qubit."""

    def __init__(self, excited: list[float]) -> None:
        state = np.ones(1, dtype=np.complex128)
        for population in excited:
            state = np.multiply.outer(state, np.array([1 - population, 0, 0, population]))
        self.num_qubits = len(excited)
        self._branches: list[Branch] = [Branch(bits=0, leaked=0)]
        self._states: NDArray[np.complex128] = state
        """Of each branch, shape (branches, 4, ..., 4)."""
        self._gathered: dict[Branch, NDArray[np.complex128]] = {}
        """Branches while they are made anew."""

    def apply(self, channel: Channel, *qubits: int, where: Where = everywhere) -> None:
        """Apply a channel to one or two qubits."""
        chosen = [row for row, branch in enumerate(self._branches) if where(branch)]
        if len(chosen) == len(self._branches):
            self._states = _applied(channel, self._states, qubits)
        elif chosen:
            self._states[chosen] = _applied(channel, self._states[chosen], qubits)

    def leak(self, part: float, pair: tuple[int, int], leaking: int, *, where: Where = everywhere) -> None:
        """Let part of 11 of a pair leave for a level of one of them, the other one falling to 0."""
        kept = _both_weighted(np.sqrt(1 - part))
        lost = np.zeros((16, 16), dtype=np.complex128)
        both = 4 * 3 + 3
        lost[12 if leaking == pair[0] else 3, both] = part
        for branch, state in self._rebuilt(where):
            self._add(branch, _applied(kept, state[None], pair)[0])
            self._add(replace(branch, leaked=branch.leaked | 1 << leaking), _applied(lost, state[None], pair)[0])

    def record(
        self,
        outcomes: tuple[Channel, Channel],
        qubit: int,
        *,
        clbit: int = -1,
        outcome: int = -1,
        where: Where = everywhere,
    ) -> None:
        """Split by the outcome of a measurement. A leaked qubit reads as 1.

        Args:
            outcomes: what reading 0 and 1 do.
            qubit: that is measured.
            clbit: that gets the outcome; -1 for none.
            outcome: its number, if something looks at it; otherwise -1.
            where: it happens.
        """
        for branch, state in self._rebuilt(where):
            for value, channel in enumerate(outcomes):
                seen = channel[3, 3] * _DEPHASE if branch.leaked >> qubit & 1 else channel
                bits = branch.bits if clbit < 0 else branch.bits & ~(1 << clbit) | value << clbit
                told = branch.outcomes if outcome < 0 else branch.outcomes | value << outcome
                self._add(replace(branch, bits=bits, outcomes=told), _applied(seen, state[None], (qubit,))[0])

    def dephase(self, qubit: int, *, where: Where = everywhere) -> None:
        """Measure a qubit without recording the outcome."""
        self.apply(_DEPHASE, qubit, where=where)

    def forget(self, outcome: int) -> None:
        """Join branches that differ in an outcome that nothing looks at any more."""
        for branch, state in self._rebuilt(everywhere):
            self._add(replace(branch, outcomes=branch.outcomes & ~(1 << outcome)), state)

    def _rebuilt(self, where: Where) -> Iterator[tuple[Branch, NDArray[np.complex128]]]:
        """Take the branches that are picked out, one after another, to be put back changed."""
        self._gathered = {}
        for branch, state in zip(self._branches, self._states, strict=True):
            if where(branch):
                yield branch, state
            else:
                self._add(branch, state)
        self._branches, self._states = list(self._gathered), np.stack(list(self._gathered.values()))
        self._gathered = {}

    def populations(self) -> Iterator[tuple[Branch, NDArray[np.float64]]]:
        """Give each branch and the probabilities of its basis states, one axis of 2 per qubit; leaked ones are in 1."""
        both = np.ix_(*[[0, 3]] * self.num_qubits)
        for branch, state in zip(self._branches, self._states, strict=True):
            found = state[both].real
            for qubit in range(self.num_qubits):
                if branch.leaked >> qubit & 1:
                    total = found.sum(axis=qubit, keepdims=True)
                    found = np.concatenate((np.zeros_like(total), total), axis=qubit)
            yield branch, found

    def _add(self, branch: Branch, state: NDArray[np.complex128]) -> None:
        if branch in self._gathered:
            self._gathered[branch] = self._gathered[branch] + state
        elif _trace(state) > _NEGLIGIBLE:
            self._gathered[branch] = state


def excited_populations(populations: Mapping[Branch, NDArray[np.float64]], num_qubits: int) -> list[float]:
    """Give each qubit's population of 1, over all branches."""
    total = sum(populations.values(), np.zeros([2] * num_qubits))
    return [float(total.take(1, axis=qubit).sum()) for qubit in range(num_qubits)]


def _applied(channel: Channel, states: NDArray[np.complex128], qubits: tuple[int, ...]) -> NDArray[np.complex128]:
    """Apply a channel to every branch. Qubits side by side need no axis moved, which takes longer than all the rest."""
    if max(qubits) - min(qubits) > 1:
        return _applied_apart(channel, states, qubits)
    if qubits[0] > qubits[-1]:
        channel = channel.reshape(4, 4, 4, 4).transpose(1, 0, 3, 2).reshape(16, 16)
    blocks = states.reshape(len(states) * 4 ** min(qubits), len(channel), -1)
    done = channel @ blocks if blocks.shape[2] > 1 else blocks[:, :, 0] @ channel.T
    return done.reshape(states.shape)


def _applied_apart(channel: Channel, states: NDArray[np.complex128], qubits: tuple[int, ...]) -> NDArray[np.complex128]:
    count = len(qubits)
    tensor = channel.reshape([4] * (2 * count))
    axes = [1 + qubit for qubit in qubits]
    moved = np.tensordot(tensor, states, axes=(range(count, 2 * count), axes))
    return np.moveaxis(moved, range(count), axes)


def _both_weighted(weight: float) -> Channel:
    """rho -> K rho K+ with K = diag(1, 1, 1, weight)."""
    return operator_channel(np.diag([1, 1, 1, weight]).astype(np.complex128))


def _trace(state: NDArray[np.complex128]) -> float:
    return float(state[np.ix_(*[[0, 3]] * state.ndim)].real.sum())
