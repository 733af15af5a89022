"""What is asked of a job before it is taken: that it can be read and is within the limits. A refusal leaves no job
behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from qubitd.core.device import Device
from qubitd.core.errors import Problem
from qubitd.core.job import JobSpec, MeasLevel, MeasReturn
from qubitd.server.compiling.spec_memory import MOST_REMEMBERED_BYTES, SpecMemory
from qubitd.server.errors import InvalidRequestError
from qubitd.server.jobs.limits import (
    MAX_BOUND_NUMBERS,
    MAX_PREDICTED_NUMBERS,
    MAX_PREDICTED_PROGRAMS,
    MAX_PREDICTED_STEPS,
    MAX_PROGRAMS,
    MAX_RESULT_BYTES,
    TRACE_BYTES,
)
from qubitd.server.store.rows import NewJob
from qubitd.v1 import jobs_pb2
from qubitd.wire.backends import Limits
from qubitd.wire.specs import decode_spec, decode_submission
from qubitd.wire.tables import TableStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Who brings a job, and what the daemon gives it."""

    job_id: str
    owner: str
    author: str
    time_ns: int
    """ns since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What came before and need not come, or be read, again."""

    tables: TableStore
    specs: SpecMemory


def admit(request: jobs_pb2.SubmitRequest, newcomer: Newcomer, limits: Limits, memory: Memory, *, size: int) -> NewJob:
    """Read a job and hold it against the limits. What it names by hash becomes a part of it, so that it stands alone.

    Its circuits are taken out of the request, so that they are made into bytes but once: before they are read, if the
    request is small (it may be one that is known by its bytes), else only when nothing is wrong with it.

    Raises:
        MissingTablesError: it names a table that is not here.
        MalformedMessageError: the request breaks the wire contract.
        InvalidRequestError: it exceeds a limit.
    """
    memory.tables.fill_in(request.spec, project=newcomer.owner)
    known = _bytes_of(request) if size <= MOST_REMEMBERED_BYTES else b""
    spec_of = partial(memory.specs.of_message, data=known) if known else decode_spec
    submission = decode_submission(request, spec_of=spec_of)
    check_limits(submission.spec, limits)
    spec = known or _bytes_of(request)
    request.ClearField("spec")
    return NewJob(
        job_id=newcomer.job_id,
        owner=newcomer.owner,
        key=submission.key,
        backend=submission.backend,
        request_digest=_digest(spec, request),
        spec=spec,
        client_data=submission.spec.client_data,
        shots=submission.spec.shots,
        circuits=len(submission.spec.batch.circuits),
        programs=submission.spec.num_programs,
        result_bytes=result_bytes(submission.spec),
        tags=submission.spec.tags,
        created_ns=newcomer.time_ns,
        terms=submission.terms,
        author=newcomer.author,
    )


def _bytes_of(request: jobs_pb2.SubmitRequest) -> bytes:
    return bytes(request.spec.SerializeToString(deterministic=True))


def _digest(spec: bytes, rest: jobs_pb2.SubmitRequest) -> str:
    """Tell two requests apart by what they say."""
    return hashlib.sha256(hashlib.sha256(spec).digest() + rest.SerializeToString(deterministic=True)).hexdigest()


def check_limits(spec: JobSpec, limits: Limits) -> None:
    """Hold a job against the limits.

    Raises:
        InvalidRequestError: with everything that exceeds one.
    """
    problems = tuple(_excesses(spec, limits))
    if problems:
        raise InvalidRequestError(problems)


def check_predictable(spec: JobSpec, device: Device) -> None:
    """Make sure that the circuits of a job can be simulated in memory and time: a matrix of 4^qubits goes through each.

    Raises:
        InvalidRequestError: they cannot.
    """
    problems = tuple(_obstacles(spec, device))
    if problems:
        raise InvalidRequestError(problems)


def result_bytes(spec: JobSpec) -> int:
    """Count the bytes that a job will give: packed bits for each shot, an IQ point for each measurement, or traces."""
    if spec.meas_level is MeasLevel.RAW:
        return spec.num_programs * TRACE_BYTES
    shots = 1 if spec.meas_return is MeasReturn.AVERAGE else spec.shots
    of_points = 0 if spec.meas_level is MeasLevel.CLASSIFIED else 8 * shots
    of_bits = spec.shots * spec.meas_level.has_bits
    circuits = spec.batch.columns
    byte = int((circuits.num_bindings * -(-circuits.num_clbits // 8)).sum())
    points = int((circuits.num_bindings * np.diff(circuits.bounds.clbits)).sum())
    return (of_bits * byte + of_points * points) * spec.sweep.num_points


def _obstacles(spec: JobSpec, device: Device) -> Iterator[Problem]:
    circuits = spec.batch.circuits
    size = 4**device.num_qubits
    if spec.sweep.axes:
        yield Problem(where="sweep", what="is not predicted; ask for what is expected of circuits without one")
    if spec.num_programs > MAX_PREDICTED_PROGRAMS:
        what = f"{spec.num_programs} to be predicted; the limit is {MAX_PREDICTED_PROGRAMS} at once; ask for fewer"
        yield Problem(where="programs", what=what)
    if size * max((2 ** len(c.clbits) for c in circuits), default=1) > MAX_PREDICTED_NUMBERS:
        what = (
            f"{device.num_qubits} qubits and {max(len(c.clbits) for c in circuits)} measurements in a circuit take "
            f"more than {MAX_PREDICTED_NUMBERS} numbers to predict; measure less often"
        )
        yield Problem(where="circuits", what=what)
    if (steps := sum(len(c) * c.num_bindings for c in circuits)) * size > MAX_PREDICTED_STEPS:
        what = (
            f"{steps} operations on {device.num_qubits} qubits take too long to predict; the limit is "
            f"{MAX_PREDICTED_STEPS // size} at once; ask for fewer"
        )
        yield Problem(where="circuits", what=what)


def _excesses(spec: JobSpec, limits: Limits) -> Iterator[Problem]:
    circuits = len(spec.batch.circuits)
    total = spec.num_programs * spec.shots
    if spec.shots > limits.max_shots:
        yield Problem(where="shots", what=f"{spec.shots} asked for; the limit is {limits.max_shots} for each circuit")
    if circuits > limits.max_circuits:
        yield Problem(
            where="circuits", what=f"{circuits} in one job; the limit is {limits.max_circuits}; split the job"
        )
    if spec.num_programs > MAX_PROGRAMS:
        what = (
            f"{spec.batch.num_bindings} circuits and bindings x {spec.sweep.num_points} grid points are "
            f"{spec.num_programs} programs; the limit is {MAX_PROGRAMS} for one job; split it"
        )
        yield Problem(where="programs", what=what)
    bound = int((spec.batch.columns.num_bindings * np.diff(spec.batch.columns.bounds.params)).sum())
    if bound > MAX_BOUND_NUMBERS:
        what = f"fill in {bound} parameters of the circuits; the limit is {MAX_BOUND_NUMBERS} for one job; split it"
        yield Problem(where="bindings", what=what)
    if (size := result_bytes(spec)) > MAX_RESULT_BYTES:
        what = (
            f"would take {size} bytes ({spec.num_programs} programs x {spec.shots} shots); the limit is "
            f"{MAX_RESULT_BYTES} for one job; split it, lower the shots, declare fewer classical bits, or average"
        )
        yield Problem(where="result", what=what)
    if total > limits.max_total_shots:
        what = (
            f"{spec.batch.num_bindings} circuits and bindings x {spec.sweep.num_points} grid points x {spec.shots} "
            f"shots are {total} shots in all; the limit is {limits.max_total_shots} for one job; "
            "split it or lower the shots"
        )
        yield Problem(where="shots", what=what)
