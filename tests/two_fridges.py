"""Two cryostats on one PostgreSQL: each an emulated rack, and a daemon that may come and go."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tests.followed import end_of

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.rack_process import Emulator
from qubitd.client.client import QubitdClient
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep
from qubitd.wire.terms import JobTerms

SHOTS = 200
MOVES = JobTerms(equivalents=("north",))


def bell(shots: int = SHOTS) -> JobSpec:
    half = math.pi / 2
    circuit = CircuitBuilder(name="bell", num_qubits=5, num_clbits=2)
    for qubit in (0, 1):
        circuit.add("rz", qubit, params=(half,)).add("sx", qubit).add("rz", qubit, params=(half,))
    circuit.add("cz", 0, 1).add("rz", 1, params=(half,)).add("sx", 1).add("rz", 1, params=(half,))
    return JobSpec(batch=pack([circuit.measure(0, 0).measure(1, 1)]), sweep=Sweep(), shots=shots)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fridge:
    """A cryostat: its rack, and the daemon that may come and go."""

    name: str
    rack: Emulator
    folder: Path
    store: str
    shots: int
    """That its device allows."""

    def serve(self) -> DaemonProcess:
        text = (files("qubitd.compiler") / "line5.toml").read_text()
        self.folder.mkdir(exist_ok=True)
        device = self.folder / f"{self.name}.toml"
        text = text.replace('name = "line5"', f'name = "{self.name}"').replace(
            "shots = 100_000", f"shots = {self.shots}"
        )
        device.write_text(text)
        options = ["--store", self.store, "--emulator", f"{self.rack.address}:{self.rack.control_port}"]
        return start_daemon(data_dir=self.folder / "data", device=str(device), options=options)

    def ask(self, **request: object) -> dict[str, object]:
        """Ask the rack itself, whoever drives it."""
        with socket.create_connection((self.rack.address, self.rack.control_port), timeout=10) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answers:
                return dict(json.loads(answers.readline()))

    @property
    def played_ns(self) -> int:
        """The time that everything it ever played took."""
        return int(str(self.ask(command="clock")["time_ns"]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lab:
    """Two fridges on one database."""

    north: Fridge
    south: Fridge
    store: str

    def attempts(self) -> dict[str, int]:
        """How often each job was started."""
        import psycopg

        with psycopg.connect(self.store, autocommit=True) as connection:
            return dict(connection.execute("SELECT id, attempt FROM job").fetchall())

    def stop(self, daemon: DaemonProcess) -> None:
        """Stop a daemon as a frozen machine would, when it neither holds the turn to write nor waits for it: the others
        would wait for theirs until the database takes it away.
        """
        import psycopg

        from qubitd.server.store.postgres import BEGIN_WRITING

        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        with psycopg.connect(self.store, autocommit=True) as connection:
            while True:
                connection.execute(BEGIN_WRITING.encode())
                os.kill(daemon.process_id, signal.SIGSTOP)
                nobody_waits = connection.execute(waiting).fetchone() == (0,)
                connection.execute("COMMIT")
                if nobody_waits:
                    return
                os.kill(daemon.process_id, signal.SIGCONT)


def until_operational(client: QubitdClient, name: str, *, wanted: bool) -> str:
    """Follow a backend until it is as wanted, and say what its trouble is then."""
    with client.watch_backend(name) as descriptions:
        for info in descriptions:
            if info.operational is wanted:
                return info.trouble
    raise AssertionError(f"the watch of {name} ended")


def ended_on(client: QubitdClient, job_id: str) -> tuple[str, str]:
    """Follow a job to its end: its state and the backend that ran it."""
    job = end_of(client, job_id)
    return job.status.value, job.backend
