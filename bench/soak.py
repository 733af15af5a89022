"""Sends Bell jobs through one daemon for a while: every count must be right, and no process may grow.

Warm-up jobs come first; what the daemon, its emulated rack and this client hold after them is the measure for the end.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from qiskit import QuantumCircuit, transpile

from qubitd.cli.daemon_process import start_daemon
from qubitd.provider import QubitdBackend, QubitdProvider

WARM_UP = 50
SHOTS = 1000
LEAST_CORRELATED = 850
"""Of 1000 shots in 00 or 11; the demo device gives about 950."""
MOST_GROWTH = 48 * 2**20
"""Bytes of resident memory that all processes together may gain, however long it takes: caches fill up and stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a tree of processes holds."""

    descriptors: int
    threads: int
    memory: int
    """Bytes, resident."""


def main() -> int:
    """Run as many jobs as asked for; the exit code is 1 if a count is wrong or something grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="after the warm-up (%(default)s)")
    jobs = parser.parse_args().jobs
    with (
        tempfile.TemporaryDirectory() as folder,
        start_daemon(data_dir=Path(folder)) as daemon,
        QubitdProvider(daemon.address) as provider,
    ):
        backend = provider.get_backend(daemon.backend)
        circuit = transpile(bell(), backend, seed_transpiler=1)
        send(backend, circuit, WARM_UP)
        before = footprint()
        times = send(backend, circuit, jobs)
        after = footprint()
    print(f"{jobs} jobs, median {statistics.median(times) * 1e3:.1f} ms, longest {max(times) * 1e3:.0f} ms")
    print(f"before {before}\nafter  {after}")
    return report(grown(before, after))


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def send(backend: QubitdBackend, circuit: QuantumCircuit, jobs: int) -> list[float]:
    """Give the seconds that each job took from submission to counts."""
    times = []
    for number in range(jobs):
        start = time.perf_counter()
        counts = backend.run(circuit, shots=SHOTS).result().get_counts()
        times.append(time.perf_counter() - start)
        if counts.get("00", 0) + counts.get("11", 0) < LEAST_CORRELATED:
            raise SystemExit(
                f"job {number} gave {counts}: fewer than {LEAST_CORRELATED} of {SHOTS} shots are correlated"
            )
    return times


def footprint() -> Footprint:
    """Measure this process and everything that it has started."""
    ours = psutil.Process()
    family = [ours, *ours.children(recursive=True)]
    return Footprint(
        descriptors=sum(process.num_fds() for process in family),
        threads=sum(process.num_threads() for process in family),
        memory=sum(process.memory_info().rss for process in family),
    )


def grown(before: Footprint, after: Footprint) -> list[str]:
    """Say what grew beyond what a busy moment explains."""
    complaints = []
    if after.descriptors > before.descriptors + 8:
        complaints.append(f"descriptors grew from {before.descriptors} to {after.descriptors}")
    if after.threads > before.threads + 4:
        complaints.append(f"threads grew from {before.threads} to {after.threads}")
    if after.memory > before.memory + MOST_GROWTH:
        complaints.append(f"memory grew from {before.memory >> 20} to {after.memory >> 20} MiB")
    return complaints


def report(complaints: list[str]) -> int:
    for complaint in complaints:
        sys.stderr.write(f"{complaint}\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
