"""Runs any number of circuits for any number of shots: as many jobs as the backend's limits ask for."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.providers import BackendV2

from qubitd.client import BackendInfo
from qubitd.core.errors import Problem
from qubitd.core.job import MeasLevel
from qubitd.provider.errors import JobFailedError, JobRefusedError, ProviderError
from qubitd.provider.job import QubitdJob
from qubitd.provider.options import whole_of

_MOST_PARTS = 1000
"""Jobs that one circuit's shots may take; a precision of 1e-9 would otherwise be sent until memory is full."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """A circuit, which travels once, and the values of its parameters."""

    circuit: QuantumCircuit
    values: NDArray[np.float64] | None = None
    """Shape (rows, parameters), columns as in `circuit.parameters`; None for a circuit without any."""

    @property
    def num_programs(self) -> int:
        """Rows, or one."""
        return 1 if self.values is None else len(self.values)


def work_of(circuit: QuantumCircuit, pub: Any) -> list[Work]:
    """Give a circuit with the parameter values of a primitive's input, in the order of their flattened shape."""
    if not pub.parameter_values.size:
        return []
    if not circuit.num_parameters:
        return [Work(circuit=circuit)] * pub.parameter_values.size
    values = pub.parameter_values.as_array(circuit.parameters)
    return [Work(circuit=circuit, values=values.reshape(-1, circuit.num_parameters))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Work that was sent together."""

    jobs: tuple[tuple[QubitdJob, ...], ...]
    """For each part of the shots the jobs that hold all programs in order."""

    def rows(self) -> list[NDArray[np.uint8]]:
        """Wait, and give each program's outcomes: shape (shots, bytes), bit 0 last.

        Raises:
            JobFailedError: one of the jobs failed or was cancelled.
        """
        parts = [[rows for job in jobs for rows in job.packed_bits()] for jobs in self.jobs]
        return [rows[0] if len(rows) == 1 else np.concatenate(rows) for rows in zip(*parts, strict=True)]


def options_of_primitive(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse what the primitive decides itself, and what it could not use.

    Raises:
        ProviderError: `shots` are among the options, or a `meas_level` without bits.
    """
    if whole_of(options.get("meas_level")) in (MeasLevel.RAW, MeasLevel.KERNELED):
        raise ProviderError("primitives work with bits; for IQ points take backend.run(..., meas_level=1)")
    if "shots" in options:
        raise ProviderError("a sampler's shots are default_shots, or run(..., shots=n); an estimator's are max_shots")
    return options


class Device(BackendV2):
    """What a primitive needs of a backend, beside what every backend of Qiskit has."""

    @property
    @abstractmethod
    def info(self) -> BackendInfo:
        """The daemon's description, limits included."""

    @abstractmethod
    def known_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what is no option of this backend, and warn of it."""


class Place(Protocol):
    """Where a primitive's jobs run: a backend, or a session of one."""

    @property
    def device(self) -> Device:
        """The backend."""
        ...

    def run(self, run_input: Iterable[QuantumCircuit], *, parameter_values: Any = None, **options: Any) -> QubitdJob:
        """Send circuits as one job."""
        ...


def device_of(where: Place) -> Device:
    """Give the backend of a primitive that runs on one, or in a session.

    Raises:
        ProviderError: it is neither, or the session's backend is offered no longer.
    """
    device = getattr(where, "device", None)
    if not isinstance(device, Device):
        raise ProviderError(f"backend is {where!r}; give one that provider.get_backend() gives, or a session")
    return device


class Runner:
    """Sends batches of work, and can give all of them up at once."""

    def __init__(self, where: Place, options: dict[str, Any]) -> None:
        backend = device_of(where)
        self._where = where
        self._limits = backend.info.limits
        self._options = backend.known_options(options)
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._jobs: list[QubitdJob] = []

    @property
    def jobs(self) -> tuple[QubitdJob, ...]:
        """Every job that was sent so far."""
        return tuple(self._jobs)

    def submit(self, works: Sequence[Work], shots: int) -> Batch:
        """Send work.

        Raises:
            JobRefusedError: circuits or options cannot run.
            JobFailedError: all was cancelled before.
        """
        limits = self._limits
        if shots > _MOST_PARTS * limits.max_shots:
            raise JobRefusedError(_too_many(shots, _MOST_PARTS * limits.max_shots))
        sent: list[tuple[QubitdJob, ...]] = []
        for part in _parts(shots, limits.max_shots):
            programs = max(1, limits.max_total_shots // max(part, 1))
            jobs = _cut(works, most_circuits=limits.max_circuits, most_programs=programs)
            sent.append(tuple(self._run(job, part) for job in jobs))
        return Batch(jobs=tuple(sent))

    def cancel(self) -> None:
        """Give up all jobs that have not ended, and send no more."""
        with self._lock:
            self._is_cancelled = True
        for job in self.jobs:
            job.cancel()

    def _run(self, works: Sequence[Work], shots: int) -> QubitdJob:
        with self._lock:
            if self._is_cancelled:
                raise JobFailedError("was cancelled before all of its jobs were sent", job_id=self._jobs[0].job_id())
            circuits, values = [work.circuit for work in works], [work.values for work in works]
            job = self._where.run(circuits, parameter_values=values, shots=shots, **self._seeded())
            self._jobs.append(job)
            return job

    def _seeded(self) -> dict[str, Any]:
        """Jobs with one seed would give the same shots again and pass for more than they are."""
        seed = whole_of(self._options.get("seed_simulator"))
        if seed is None:
            return self._options
        return self._options | {"seed_simulator": seed + len(self._jobs)}


def _too_many(shots: int, most: int) -> list[Problem]:
    what = f"are {shots} for each circuit; the limit is {most} in {_MOST_PARTS} jobs; ask for fewer, or less precision"
    return [Problem(where="shots", what=what)]


def _parts(shots: int, most: int) -> list[int]:
    """Cut shots into nearly equal parts within a limit; what is no number of shots is left to the backend to refuse."""
    count = max(1, -(-shots // most))
    return [shots // count + (index < shots % count) for index in range(count)]


def _cut(works: Sequence[Work], *, most_circuits: int, most_programs: int) -> Iterator[list[Work]]:
    """Cut work into jobs within limits, between circuits or between rows of values."""
    job: list[Work] = []
    room = most_programs
    for work in works:
        for piece in _pieces(work, most_programs):
            if job and (len(job) == most_circuits or piece.num_programs > room):
                yield job
                job, room = [], most_programs
            job.append(piece)
            room -= piece.num_programs
    if job:
        yield job


def _pieces(work: Work, most: int) -> Iterator[Work]:
    if work.values is None or len(work.values) <= most:
        yield work
        return
    for first in range(0, len(work.values), most):
        yield replace(work, values=work.values[first : first + most])
