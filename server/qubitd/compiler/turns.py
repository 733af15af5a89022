"""Phases as whole multiples of 2^-53 turn, which are summed up and wrap without error."""

from __future__ import annotations

import numpy as np

from qubitd.compiler.columns import Floats, Ints

_TURN = 2**53
"""Steps of a turn."""
_MANY = 2**12
"""Turns from which on dividing by 2 pi as a float would be off by more than 1e-12 rad."""


def to_steps(radians: Floats) -> Ints:
    """Round to whole multiples of 2^-53 turn, whole turns left out; each the same whatever stands beside it."""
    turns = radians / (2 * np.pi)
    if turns.max(initial=0) > _MANY or turns.min(initial=0) < -_MANY:
        are_many = np.abs(turns) > _MANY
        many = radians[are_many]
        turns[are_many] = np.arctan2(np.sin(many), np.cos(many)) / (2 * np.pi)
    turns -= np.rint(turns)
    turns *= _TURN
    return np.rint(turns, out=turns).astype(np.int64)


def to_radians(steps: Ints) -> Floats:
    """Wrap into [0, 2 pi)."""
    return (steps & (_TURN - 1)).astype(np.float64) * (2 * np.pi / _TURN)
