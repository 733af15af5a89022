"""Many who send much at once take little of the daemon's memory, and lose nothing. About 7 s."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from qubitd.cli.daemon_process import start_daemon
from qubitd.client import QubitdClient
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep

CLIENTS = 16
MOST_RESIDENT = 512 * 2**10
"""KiB that the daemon ever had in memory."""


def sixteen_megabytes() -> JobSpec:
    circuit = CircuitBuilder(name="big", num_qubits=5, num_clbits=1)
    for column in range(100):
        circuit.add("rz", 0, params=(FromColumn(column=column),)).add("sx", 0)
    circuit.measure(0, 0).bind(np.random.default_rng(1).uniform(-3, 3, (20_900, 100)))
    return JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=1)


def test_sixteen_clients_with_sixteen_megabytes_each(tmp_path: Path) -> None:
    spec = sixteen_megabytes()
    with start_daemon(data_dir=tmp_path / "data") as daemon:

        def send(number: int) -> str:
            with QubitdClient(daemon.address) as client:
                assert client.backends() == ("line5",)
                return client.submit(spec, "line5", key=f"key {number}")

        with ThreadPoolExecutor(CLIENTS) as clients:
            jobs = list(clients.map(send, range(CLIENTS)))
        status = Path(f"/proc/{daemon.process_id}/status").read_text()
        with QubitdClient(daemon.address) as client:
            assert {job.job_id for job in client.list_jobs()} == set(jobs)
        daemon.kill()
    assert len(set(jobs)) == CLIENTS
    (most,) = map(int, re.findall(r"VmHWM:\s+(\d+) kB", status))
    assert most < MOST_RESIDENT
