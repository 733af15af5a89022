"""A job that is compiled by another process runs like any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qubitd.cli.daemon_process import DaemonProcess
from qubitd.client import QubitdClient
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus, ProgramResult
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.server.running.workshop import BIG_BYTES


def test_a_big_job_gives_the_same_bits_as_a_small_one(daemon: DaemonProcess) -> None:
    builders = [CircuitBuilder(name=f"c{n}", num_qubits=5, num_clbits=1) for n in range(3)]
    for builder in builders:
        builder.add("sx", 0).measure(0, 0)
    small = JobSpec(batch=pack(builders), sweep=Sweep(), shots=60_000, seed_simulator=7)
    big = JobSpec(batch=small.batch, sweep=Sweep(), shots=60_000, seed_simulator=7, client_data=bytes(BIG_BYTES))
    with QubitdClient(daemon.address) as client:
        bits = [
            [result.bits.tobytes() for result in results_of(client, spec, daemon.backend) if result.bits is not None]
            for spec in (small, big)
        ]
    assert len(bits[0]) > 1
    assert bits[0] == bits[1]


def test_a_big_job_tells_the_values_of_its_sweep_as_a_small_one(daemon: DaemonProcess) -> None:
    builder = CircuitBuilder(name="rabi", num_qubits=5, num_clbits=1).add("x", 0).measure(0, 0)
    sweep = Sweep(axes=(SweepAxis(names=("q0.x.amplitude",), values=np.array([[0.05, 0.15]])),))
    small = JobSpec(batch=pack([builder]), sweep=sweep, shots=10)
    with QubitdClient(daemon.address) as client:
        played = [
            [result.played for result in results_of(client, spec, daemon.backend)]
            for spec in (small, replace(small, client_data=bytes(BIG_BYTES)))
        ]
    assert len(played[0]) == 2
    assert played[0][0] != (("q0.x.amplitude", 0.05),)
    assert played[0] == played[1]


def results_of(client: QubitdClient, spec: JobSpec, backend: str) -> list[ProgramResult]:
    job_id = client.submit(spec, backend)
    with client.watch(job_id) as events:
        assert list(events)
    assert client.get_job(job_id).status is JobStatus.DONE
    return list(client.results(job_id))
