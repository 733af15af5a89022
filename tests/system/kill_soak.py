"""Kills a daemon at random moments while clients submit, and then asks for every job that was ever accepted.

`python tests/system/kill_soak.py --kills 300` runs as long as you like; the test suite runs it with a few. One
emulated rack outlives all daemons, so each new one also finds the instruments as the last one left them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import grpc

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.rack_process import Emulator, start_emulator
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep
from qubitd.server.store.sqlite_store import DATABASE
from qubitd.v1 import jobs_pb2, jobs_pb2_grpc
from qubitd.wire.jobs import Job, decode_job
from qubitd.wire.results import decode_results
from qubitd.wire.specs import Submission, encode_submission

CLIENTS = 3
SHOTS = 200
SHORTEST_LIFE, LONGEST_LIFE = 0.02, 0.35
"""Seconds that a daemon serves before it is killed."""
PATIENCE = 2.0
"""Seconds after which a client gives a call up and sends it again."""
LONGEST_REST = 0.1
"""Seconds that a client waits at most before it sends the next call."""


@dataclass(slots=True, kw_only=True)
class Crowd:
    """Clients that submit, send again what got no answer, and remember every id they were given."""

    address: str = ""
    """Of the daemon that lives now; empty while there is none."""
    accepted: dict[str, str] = field(default_factory=dict)
    """Job id by key."""
    faults: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def submit_for_ever(self) -> None:
        """Be one client."""
        while not self.over.is_set():
            key = f"key-{next(self._numbers)}"
            while not self.over.is_set() and not self._send(key):
                time.sleep(random.uniform(0, LONGEST_REST))
            if random.random() < 0.2:
                self._send(key)
            time.sleep(random.uniform(0, LONGEST_REST))

    def _send(self, key: str) -> bool:
        if not self.address:
            return False
        try:
            with grpc.insecure_channel(self.address) as channel:
                answer = jobs_pb2_grpc.JobsStub(channel).Submit(request_of(key), timeout=PATIENCE)
        except grpc.RpcError:
            return False
        if self.accepted.setdefault(key, answer.job_id) != answer.job_id:
            self.faults.append(f"{key} has two ids: {self.accepted[key]} and {answer.job_id}")
        return True


def request_of(key: str) -> jobs_pb2.SubmitRequest:
    """A Bell pair in native gates."""
    half = math.pi / 2
    circuit = CircuitBuilder(name="bell", num_qubits=5, num_clbits=2)
    for qubit in (0, 1):
        circuit.add("rz", qubit, params=(half,)).add("sx", qubit).add("rz", qubit, params=(half,))
    circuit.add("cz", 0, 1).add("rz", 1, params=(half,)).add("sx", 1).add("rz", 1, params=(half,))
    spec = JobSpec(batch=pack([circuit.measure(0, 0).measure(1, 1)]), sweep=Sweep(), shots=SHOTS)
    return encode_submission(Submission(key=key, backend="line5", spec=spec))


def rack_file(folder: Path, address: str) -> Path:
    """The demo rack as if it were real: at an address, and nobody's to start."""
    text = (files("qubitd.drivers") / "racks" / "cluster.toml").read_text()
    before, _, rest = text.partition("[emulator]")
    rest = rest[rest.index("[instruments") :]
    path = folder / "rack.toml"
    path.write_text(before + rest.replace("127.0.0.1", address))
    return path


def soak(kills: int, folder: Path) -> list[str]:
    """Kill daemons, and give everything that is wrong afterwards."""
    crowd = Crowd()
    clients = [threading.Thread(target=crowd.submit_for_ever) for _ in range(CLIENTS)]
    with start_emulator(linger=120) as emulator:
        rack = rack_file(folder, emulator.address)
        for client in clients:
            client.start()
        try:
            for _ in range(kills):
                live_and_die(crowd, start_daemon(data_dir=folder / "data", rack=rack))
        finally:
            crowd.over.set()
            for client in clients:
                client.join()
        with start_daemon(data_dir=folder / "data", rack=rack) as daemon:
            database = folder / "data" / DATABASE
            found = [*crowd.faults, *verdict(crowd.accepted, daemon, database)]
            return [*found, *faults_of_runs(database, runs_of(emulator))]


def live_and_die(crowd: Crowd, daemon: DaemonProcess) -> None:
    """Let a daemon serve for a random time."""
    with daemon:
        crowd.address = daemon.address
        time.sleep(random.uniform(SHORTEST_LIFE, LONGEST_LIFE))
        daemon.kill()
        crowd.address = ""


def verdict(accepted: dict[str, str], daemon: DaemonProcess, database: Path) -> list[str]:
    """Ask for every job that was accepted, and for the attempts that are recorded."""
    return [*faults_of_jobs(accepted, daemon), *faults_of_attempts(database)]


def faults_of_jobs(accepted: dict[str, str], daemon: DaemonProcess) -> list[str]:
    """Ask for every job that was accepted."""
    faults: list[str] = []
    ends: Counter[str] = Counter()
    with grpc.insecure_channel(daemon.address) as channel:
        jobs = jobs_pb2_grpc.JobsStub(channel)
        for key, job_id in accepted.items():
            for _ in jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id), timeout=300):
                pass
            job = decode_job(jobs.Get(jobs_pb2.JobsGetRequest(job_id=job_id)).job)
            pieces = jobs.Results(jobs_pb2.ResultsRequest(job_id=job_id))
            shots = sum(result.shots for message in pieces for result in decode_results(message.SerializeToString()))
            faults += faults_of(job, shots)
            ends[job.status.value] += 1
            if jobs.Submit(request_of(key)).job_id != job_id:
                faults.append(f"{key}: sent again it gave another id")
    sys.stdout.write(f"{len(accepted)} accepted, {dict(ends)}, {len(faults)} faults\n")
    return faults


def faults_of(job: Job, shots: int) -> list[str]:
    """A job is done with all its shots, or it says that it was interrupted."""
    if job.status is JobStatus.DONE:
        return [] if shots == SHOTS else [f"{job.job_id}: DONE with {shots} shots"]
    if job.status is JobStatus.ERROR and job.message.startswith("interrupted at program"):
        return []
    return [f"{job.job_id}: {job.status.value} {job.message}"]


def faults_of_attempts(database: Path) -> list[str]:
    """No job ran twice, and none ran without a record."""
    with sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True) as connection:
        twice = connection.execute("SELECT job FROM attempt GROUP BY job HAVING count(*) > 1").fetchall()
        unrecorded = connection.execute(
            "SELECT id FROM job WHERE status = 'DONE' AND number NOT IN (SELECT job FROM attempt)"
        ).fetchall()
    connection.close()
    return [f"job {row[0]} ran twice" for row in twice] + [f"{row[0]} ran unrecorded" for row in unrecorded]


def runs_of(emulator: Emulator) -> int:
    """Ask the instruments how often they played, whichever daemon made them."""
    place = (emulator.address, emulator.control_port)
    with socket.create_connection(place, timeout=10) as connection, connection.makefile("rb") as answers:
        connection.sendall(b'{"command": "runs"}\n')
        return int(json.loads(answers.readline())["runs"])


def faults_of_runs(database: Path, runs: int) -> list[str]:
    """What the instruments played was recorded first, and what is DONE was played. Each attempt here is one run."""
    with sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True) as connection:
        (attempts,) = connection.execute("SELECT count(*) FROM attempt").fetchone()
        (done,) = connection.execute("SELECT count(*) FROM job WHERE status = 'DONE'").fetchone()
    connection.close()
    sys.stdout.write(f"{done} done, {runs} runs of the instruments, {attempts} attempts\n")
    found = [] if runs <= attempts else [f"the instruments played {runs} times, and {attempts} attempts are recorded"]
    return found if done <= runs else [*found, f"{done} jobs are DONE, and the instruments played {runs} times"]


def main() -> int:
    """Run from the command line; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        faults = soak(options.kills, Path(folder))
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
