"""The layers that peers compile, and how they are timed. For the peers' environment: the standard library alone."""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

QUBITS = 5
ROUNDS = 3


def pairs(layer: int) -> tuple[int, int]:
    """Give the first qubits of the two pairs that a layer joins."""
    return (0, 2) if layer % 2 else (1, 3)


def angles(depth: int) -> Iterator[float]:
    """Give angles for ever, the same for each depth."""
    source = random.Random(depth)
    while True:
        yield source.uniform(-math.pi, math.pi)


def main(prepare: Callable[[int], Any], compile_it: Callable[[Any], object]) -> None:
    """Print the median milliseconds of each depth that is asked for, as one line of JSON."""
    found: dict[str, float] = {}
    for depth in map(int, sys.argv[1:]):
        times: list[float] = []
        for _ in range(ROUNDS):
            work = prepare(depth)
            start = time.perf_counter()
            compile_it(work)
            times.append((time.perf_counter() - start) * 1e3)
        found[str(depth)] = statistics.median(times)
    print(json.dumps(found))
