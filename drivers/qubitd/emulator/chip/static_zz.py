"""Static ZZ: coupled qubits that rest still shift each other's f01, since |11> is pushed aside by |20> and |02>.

H = 2 pi zz |11><11| for each pair, always. For gates it acts in the middle of the time between them; over long waits it
is exact beside relaxation, which changes how fast the partner of a qubit turns. Inside: ns, GHz, turns.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.cabling import ChipTruth
from qubitd.emulator.chip.basis import P0, P1, Map, X, Y, pair_map

Bond = tuple[int, int]
"""Two coupled qubits."""
_SENSE = np.array([0, 0, 0, 1, -1])
"""n of the ket less n of the bra, of (P0, P1, leaked, |1><0|, |0><1|)."""


def static_zz(truth: ChipTruth) -> dict[Bond, float]:
    """Give E11 - E10 - E01 + E00 of every pair at the sweet spot, GHz.

    Second order in g, with D = f_a - f_b: 2 g^2 (1 / (D - alpha_b) - 1 / (D + alpha_a)), from |11> against |02> and
    |20>, each with a matrix element of sqrt(2) g; what |10> and |01> do to each other cancels. Sources: Magesan and
    Gambetta, Phys. Rev. A 101, 052308 (2020); DiCarlo et al., Nature 460, 240 (2009).
    """
    found: dict[Bond, float] = {}
    for pair in truth.pairs:
        a, b = truth.qubits[pair.pulsed], truth.qubits[pair.partner]
        gap = a.frequency - b.frequency
        pushed = 1 / (gap - b.anharmonicity) - 1 / (gap + a.anharmonicity)
        found[pair.pulsed, pair.partner] = 2 * pair.coupling**2 * pushed * 1e-9
    return found


@functools.lru_cache(maxsize=1024)
def zz_map(turns: float) -> Map:
    """Give the map on a pair of exp(-2 pi i turns |11><11|); a leaked qubit leaves its partner alone."""
    phases = np.ones(9, dtype=np.complex128)
    phases[4] = np.exp(-2j * np.pi * turns)
    return pair_map([np.diag(phases)])


def rest(
    states: NDArray[np.float64],
    time: float,
    *,
    bonds: Mapping[Bond, float],
    relaxing: Sequence[float],
    dephasing: Sequence[float],
    detuning: Sequence[float],
) -> NDArray[np.float64]:
    """Let all qubits relax, dephase and turn each other for a time, exactly.

    What stands coherent stays coherent while everything rests, so the populations of each qubit relax on their own,
    each with a frequency that the coherences of its neighbours decide: for coherences d = -1, 0, 1 of these, P1 goes as
    exp(-(1/T1 + 2 pi i sum(zz d)) t), and P0 gets what is lost on the way.

    Args:
        states: shape (branches, 5, 5, ...), a qubit for each axis but the first.
        time: ns.
        bonds: zz of pairs of qubits, GHz; qubits are numbered as their axes, from 0.
        relaxing: 1 / T1 of each qubit, 1/ns.
        dephasing: 1 / T2 of each qubit, 1/ns.
        detuning: of each qubit, GHz.
    """
    count = states.ndim - 1
    moved = states.astype(np.complex128)
    for qubit in range(count):
        own = np.moveaxis(moved, qubit + 1, 0)
        turned = np.exp(-(dephasing[qubit] + 2j * np.pi * detuning[qubit]) * time)
        own[X], own[Y] = (own[X] + 1j * own[Y]) / 2 * turned, (own[X] - 1j * own[Y]) / 2 * turned.conj()
    for (a, b), zz in bonds.items():
        both = _along(a, count) * _along(b, count) == 1
        sense = np.where(both, np.sign(_along(a, count) + _along(b, count)), 0)
        moved *= np.exp(-2j * np.pi * zz * time * sense)
    for qubit in range(count):
        own = np.moveaxis(moved, qubit + 1, 0)
        rate = np.asarray(relaxing[qubit] + 0j)
        for (a, b), zz in bonds.items():
            if qubit in (a, b):
                neighbour = b if qubit == a else a
                rate = rate + 2j * np.pi * zz * np.squeeze(_along(neighbour, count), axis=qubit + 1)
        kept = np.exp(-rate * time)
        if relaxing[qubit]:
            own[P0] += relaxing[qubit] * (1 - kept) / rate * own[P1]
        own[P1] *= kept
    for qubit in range(count):
        own = np.moveaxis(moved, qubit + 1, 0)
        own[X], own[Y] = own[X] + own[Y], (own[X] - own[Y]) / 1j
    return np.ascontiguousarray(moved.real)


def _along(qubit: int, count: int) -> NDArray[np.int64]:
    """The sense of one qubit's numbers along its axis, to be broadcast with states."""
    return _SENSE.reshape([-1 if axis == qubit + 1 else 1 for axis in range(count + 1)])
