"""What T1 and T2 alone cost a gate: no statement about a gate's error can be below it."""

from __future__ import annotations

import math
from collections.abc import Sequence


def coherence_limit(time: float, lifetimes: Sequence[tuple[float, float]]) -> float:
    """Give the average gate infidelity that T1 and T2 alone leave to a gate.

    Args:
        time: the gate's duration, seconds.
        lifetimes: (T1, T2) of each of its one or two qubits, seconds; infinite where a qubit does not decay.
    """
    process = math.prod((1 + math.exp(-time / t1) + 2 * math.exp(-time / t2)) / 4 for t1, t2 in lifetimes)
    dimension: int = 2 ** len(lifetimes)
    return 1 - (dimension * process + 1) / (dimension + 1)
