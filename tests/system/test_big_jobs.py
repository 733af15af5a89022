"""A job that is compiled by another process runs like any other."""

from __future__ import annotations

from qubitd.cli.daemon_process import DaemonProcess
from qubitd.client import QubitdClient
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep
from qubitd.server.workshop import BIG_BYTES


def test_a_big_job_gives_the_same_bits_as_a_small_one(daemon: DaemonProcess) -> None:
    builders = [CircuitBuilder(name=f"c{n}", num_qubits=5, num_clbits=1) for n in range(3)]
    for builder in builders:
        builder.add("sx", 0).measure(0, 0)
    small = JobSpec(batch=pack(builders), sweep=Sweep(), shots=60_000, seed_simulator=7)
    big = JobSpec(batch=small.batch, sweep=Sweep(), shots=60_000, seed_simulator=7, client_data=bytes(BIG_BYTES))
    with QubitdClient(daemon.address) as client:
        bits = []
        for spec in (small, big):
            job_id = client.submit(spec, daemon.backend)
            with client.watch(job_id) as events:
                assert list(events)
            assert client.get_job(job_id).status is JobStatus.DONE
            bits.append([result.bits.tobytes() for result in client.results(job_id) if result.bits is not None])
    assert len(bits[0]) > 1
    assert bits[0] == bits[1]
