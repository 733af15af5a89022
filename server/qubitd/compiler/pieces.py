"""A gate of one qubit that happens where a sum of tests is 1, as gates of which each has a test of its own or none.

A turn about x is one about z between two Hadamards, which happen in any case; a test that looks at all outcomes keeps
them from being played long before these are known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from qubitd.compiler.axis import Turn
from qubitd.compiler.outcomes import OutcomeTest
from qubitd.compiler.parities import Parities
from qubitd.core.circuit import Operation

PHASES = ("rz", "p", "u1")
"""Gates that turn about z by their one parameter."""
RZ = Operation(name="rz", num_qubits=1, num_params=1, num_clbits=0)
SX = Operation(name="sx", num_qubits=1, num_params=0, num_clbits=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A gate on the qubit of another, for which it stands in part."""

    gate: Operation
    test: OutcomeTest | None = None
    """Under which it happens; None for always."""
    angle: float = 0.0
    """Of an rz, radians."""
    is_share: bool = False
    """Whether it is a factor instead, of the parameter of what it stands for."""


def pieces_of_turn(turn: Turn, parities: Parities) -> tuple[Piece, ...]:
    """Write a turn that happens where a sum of tests is 1."""
    if turn.azimuth is None:
        return tuple(_turned_phase(parities, turn.angle, is_share=False))
    return (
        Piece(gate=RZ, test=parities.everything),
        Piece(gate=RZ, angle=-turn.azimuth),
        *_HADAMARD,
        *_turned_phase(parities, turn.angle, is_share=False),
        *_HADAMARD,
        Piece(gate=RZ, angle=turn.azimuth),
    )


def pieces_of_phase(parities: Parities) -> tuple[Piece, ...]:
    """Write one of `PHASES` that happens where a sum of tests is 1, whatever its angle is."""
    return tuple(_turned_phase(parities, 1.0, is_share=True))


_QUARTER = Piece(gate=RZ, angle=math.pi / 2)
_HADAMARD = (_QUARTER, Piece(gate=SX), _QUARTER)


def _turned_phase(parities: Parities, angle: float, *, is_share: bool) -> Iterator[Piece]:
    for test, weight in ((None, parities.constant), *parities.weights):
        if weight:
            yield Piece(gate=RZ, test=test, angle=weight * angle, is_share=is_share)
