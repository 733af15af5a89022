"""Observables as terms that are measured: each a letter on some qubits, grouped by what one circuit can measure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import pi

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ClassicalRegister, QuantumCircuit

_BASIS: Mapping[str, str] = {"X": "X", "+": "X", "-": "X", "Y": "Y", "r": "Y", "l": "Y", "Z": "Z", "0": "Z", "1": "Z"}
_FACTORS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys("XYZ", (1.0, -1.0)),
    **dict.fromkeys("+r0", (1.0, 0.0)),
    **dict.fromkeys("-l1", (0.0, 1.0)),
}
"""What a letter is worth where its qubit gives 0, and where it gives 1."""
REGISTER = "qubitd_observable"

Term = tuple[tuple[int, str], ...]
"""(qubit, letter) of all but identities, by qubit."""


def term_of(letters: str) -> Term:
    """Read a term as Qiskit writes it, qubit 0 last."""
    return tuple((qubit, letter) for qubit, letter in enumerate(reversed(letters)) if letter != "I")


@dataclass(slots=True, kw_only=True)
class Group:
    """Terms that one circuit measures."""

    bases: dict[int, str] = field(default_factory=dict[int, str])
    """X, Y or Z for each measured qubit."""
    terms: list[Term] = field(default_factory=list[Term])

    def takes(self, term: Term) -> bool:
        """Say whether a term can be measured together with those in the group."""
        return all(self.bases.get(qubit, _BASIS[letter]) == _BASIS[letter] for qubit, letter in term)

    def add(self, term: Term) -> None:
        """Take a term in."""
        self.bases.update((qubit, _BASIS[letter]) for qubit, letter in term)
        self.terms.append(term)

    @property
    def qubits(self) -> list[int]:
        """Measured qubits, sorted; the n-th is measured into the n-th bit of the added register."""
        return sorted(self.bases)


def grouped(terms: Iterable[Term]) -> list[Group]:
    """Put terms into few groups, the largest terms first. The term without a letter needs none."""
    groups: list[Group] = []
    for term in sorted(set(terms), key=lambda term: (-len(term), term)):
        if not term:
            continue
        home = next((group for group in groups if group.takes(term)), None)
        if home is None:
            home = Group()
            groups.append(home)
        home.add(term)
    return groups


def with_measurement(circuit: QuantumCircuit, group: Group) -> QuantumCircuit:
    """Give the circuit with a measurement of a group at its end, in gates that every Target has: rz and sx."""
    whole = circuit.copy()
    name = REGISTER
    while any(own.name == name for own in circuit.cregs):
        name += "_"
    register = ClassicalRegister(len(group.qubits), name)
    whole.add_register(register)
    for qubit, bit in zip(group.qubits, register, strict=True):
        # Rz(pi/2) turns X to Y, and sx turns Y to Z.
        if group.bases[qubit] == "X":
            whole.rz(pi / 2, qubit)
        if group.bases[qubit] != "Z":
            whole.sx(qubit)
        whole.measure(qubit, bit)
    return whole


def values(
    group: Group, observable: Sequence[tuple[Term, float]], rows: NDArray[np.uint8], *, first_bit: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give what the group's part of an observable is worth in each distinct outcome, and how often that came.

    Args:
        group: what was measured.
        observable: its terms that belong to this group, with their coefficients.
        rows: outcomes, shape (shots, bytes), bit 0 last.
        first_bit: place of the added register among the circuit's classical bits.
    """
    distinct, numbers = np.unique(rows, axis=0, return_counts=True)
    bits = np.unpackbits(distinct[:, ::-1], axis=1, bitorder="little")
    column = {qubit: bits[:, first_bit + place] for place, qubit in enumerate(group.qubits)}
    total = np.zeros(len(distinct), dtype=np.float64)
    for term, coefficient in observable:
        worth = np.full(len(distinct), coefficient)
        for qubit, letter in term:
            worth *= np.array(_FACTORS[letter])[column[qubit]]
        total += worth
    return total, np.asarray(numbers, dtype=np.int64)
