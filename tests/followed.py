"""A small job, and jobs that are followed: until a state, or to their end."""

from __future__ import annotations

from qubitd.client import Job, QubitdClient, StatusChange
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep


def flip(shots: int = 100, *, circuits: int = 1) -> JobSpec:
    """One qubit of five, turned over and measured."""
    circuit = CircuitBuilder(name="flip", num_qubits=5, num_clbits=1).add("x", 0).measure(0, 0)
    return JobSpec(batch=pack([circuit] * circuits), sweep=Sweep(), shots=shots)


def until(client: QubitdClient, job_id: str, status: JobStatus) -> None:
    """Follow a job until it is in a state.

    Raises:
        AssertionError: its watch ended before.
    """
    with client.watch(job_id) as events:
        if not any(isinstance(event.what, StatusChange) and event.what.status is status for event in events):
            job = client.get_job(job_id)
            raise AssertionError(f"{job_id} was never {status.value}; it is {job.status.value}: {job.message}")


def end_of(client: QubitdClient, job_id: str) -> Job:
    """Follow a job to its end, and describe it.

    Raises:
        AssertionError: its watch ended before.
    """
    for _ in client.watch(job_id):
        pass
    job = client.get_job(job_id)
    assert job.status.is_final, f"the watch of {job_id} ended, and it is {job.status.value}"
    return job
