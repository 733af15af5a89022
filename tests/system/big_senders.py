"""Sends jobs of 16 MB, all at once, and prints their ids as one JSON line.

`python -m tests.system.big_senders ADDRESS COUNT`: its work goes after everybody else's, as if on another machine.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from qubitd.client import QubitdClient
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep
from qubitd.server.posix import step_back


def sixteen_megabytes() -> JobSpec:
    circuit = CircuitBuilder(name="big", num_qubits=5, num_clbits=1)
    for column in range(100):
        circuit.add("rz", 0, params=(FromColumn(column=column),)).add("sx", 0)
    circuit.measure(0, 0).bind(np.random.default_rng(1).uniform(-3, 3, (20_900, 100)))
    return JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=1)


def main() -> int:
    """Send them."""
    address, count = sys.argv[1], int(sys.argv[2])
    step_back(19)
    spec = sixteen_megabytes()

    def send(number: int) -> str:
        with QubitdClient(address) as client:
            return client.submit(spec, "line5", key=f"big {number}")

    with ThreadPoolExecutor(count) as senders:
        jobs = list(senders.map(send, range(count)))
    sys.stdout.write(json.dumps(jobs) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
