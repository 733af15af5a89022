"""Runs any number of circuits for any number of shots: as many jobs as the backend's limits ask for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit

from qubitd.provider.backend import QubitdBackend
from qubitd.provider.errors import JobFailedError
from qubitd.provider.job import QubitdJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A job, and the circuits of a batch that it ran."""

    job: QubitdJob
    first: int
    """Index of its first circuit in the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Circuits that were sent together."""

    num_circuits: int
    shares: tuple[Share, ...]

    def rows(self) -> list[NDArray[np.uint8]]:
        """Wait, and give each circuit's outcomes: shape (shots, bytes), bit 0 last.

        Raises:
            JobFailedError: one of the jobs failed or was cancelled.
        """
        parts: list[list[NDArray[np.uint8]]] = [[] for _ in range(self.num_circuits)]
        for share in self.shares:
            for offset, rows in enumerate(share.job.packed_bits()):
                parts[share.first + offset].append(rows)
        return [rows[0] if len(rows) == 1 else np.concatenate(rows) for rows in parts]


class Runner:
    """Sends batches of circuits, and can give all of them up at once."""

    def __init__(self, backend: QubitdBackend, options: dict[str, Any]) -> None:
        self._backend = backend
        self._options = options
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._jobs: list[QubitdJob] = []

    @property
    def jobs(self) -> tuple[QubitdJob, ...]:
        """Every job that was sent so far."""
        return tuple(self._jobs)

    def submit(self, circuits: Sequence[QuantumCircuit], shots: int) -> Batch:
        """Send circuits.

        Raises:
            JobRefusedError: circuits or options cannot run.
            JobFailedError: all was cancelled before.
        """
        limits = self._backend.info.limits
        shares: list[Share] = []
        for part in _parts(shots, limits.max_shots):
            step = max(1, min(limits.max_circuits, limits.max_total_shots // max(part, 1)))
            shares += [
                Share(job=self._run(circuits[first : first + step], part), first=first)
                for first in range(0, len(circuits), step)
            ]
        return Batch(num_circuits=len(circuits), shares=tuple(shares))

    def cancel(self) -> None:
        """Give up all jobs that have not ended, and send no more."""
        with self._lock:
            self._is_cancelled = True
        for job in self.jobs:
            job.cancel()

    def _run(self, circuits: Sequence[QuantumCircuit], shots: int) -> QubitdJob:
        with self._lock:
            if self._is_cancelled:
                raise JobFailedError("was cancelled before all of its jobs were sent", job_id=self._jobs[0].job_id())
            job = self._backend.run(list(circuits), shots=shots, **self._seeded())
            self._jobs.append(job)
            return job

    def _seeded(self) -> dict[str, Any]:
        """Jobs with one seed would give the same shots again and pass for more than they are."""
        seed = self._options.get("seed_simulator")
        if not isinstance(seed, int) or isinstance(seed, bool):
            return self._options
        return self._options | {"seed_simulator": seed + len(self._jobs)}


def _parts(shots: int, most: int) -> list[int]:
    """Cut shots into nearly equal parts within a limit; what is no number of shots is left to the backend to refuse."""
    count = max(1, -(-shots // most))
    return [shots // count + (index < shots % count) for index in range(count)]
