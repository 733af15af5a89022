"""Two daemons as processes, each with an emulated rack, on one PostgreSQL: what one of them loses, the other knows.

The racks outlive the daemons; what they played is the evidence that no job ran twice.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
from tests.postgres_server import PostgresServer

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.rack_process import Emulator, start_emulator
from qubitd.client.client import QubitdClient
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep
from qubitd.wire.jobs import StatusChange
from qubitd.wire.slots import Reservation, SlotKind
from qubitd.wire.terms import JobTerms

psycopg = pytest.importorskip("psycopg")
SOON = 5.0
"""Seconds in which a backend whose daemon died shows as offline: a promise."""
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
        with psycopg.connect(self.store, autocommit=True) as connection:
            return dict(connection.execute("SELECT id, attempt FROM job").fetchall())


@pytest.fixture
def lab(tmp_path: Path, postgres: PostgresServer) -> Iterator[Lab]:
    store = postgres.new_schema()
    with start_emulator(linger=120) as one, start_emulator(linger=120) as other:
        north, south = (
            Fridge(name=name, rack=rack, folder=tmp_path / name, store=store, shots=shots)
            for name, rack, shots in (("north", one, SHOTS), ("south", other, 2 * SHOTS))
        )
        yield Lab(north=north, south=south, store=store)


def until_operational(client: QubitdClient, name: str, *, wanted: bool) -> str:
    """Follow a backend until it is as wanted, and say what its trouble is then."""
    for info in client.watch_backend(name):
        if info.operational is wanted:
            return info.trouble
    raise AssertionError(f"the watch of {name} ended")


def end_of(client: QubitdClient, job_id: str) -> tuple[str, str]:
    """Follow a job to its end: its state and the backend that ran it."""
    for _ in client.watch(job_id):
        pass
    job = client.get_job(job_id)
    return job.status.value, job.backend


def until_running(client: QubitdClient, job_id: str) -> None:
    for event in client.watch(job_id):
        if isinstance(event.what, StatusChange) and event.what.status is JobStatus.RUNNING:
            return


def test_a_fridge_whose_daemon_is_killed_goes_offline_and_loses_and_doubles_nothing(lab: Lab) -> None:
    north, south = lab.north, lab.south
    with ExitStack() as stack:
        north_daemon = stack.enter_context(north.serve())
        client = stack.enter_context(QubitdClient(north_daemon.address))
        with south.serve() as doomed:
            until_operational(client, "south", wanted=True)
            first = [client.submit(bell(), name) for name in ("north", "south")]
            assert [end_of(client, job_id) for job_id in first] == [("DONE", "north"), ("DONE", "south")]
            one_job = south.played_ns
            assert north.played_ns == one_job > 0

            south.ask(command="fault", kind="late", seconds=60)
            stuck = client.submit(bell(), "south")
            until_running(client, stuck)
            staying = [client.submit(bell(), "south") for _ in range(3)]
            moving = [client.submit(bell(), "south", terms=MOVES) for _ in range(3)]
            too_long = client.submit(bell(2 * SHOTS), "south", terms=MOVES)
            doomed.kill()
            killed = time.monotonic()
            trouble = until_operational(client, "south", wanted=False)
            assert time.monotonic() - killed < SOON
        assert "was heard of last at" in trouble
        assert [(one.name, one.online) for one in client.standings()] == [("north", True), ("south", False)]

        assert [end_of(client, job_id) for job_id in moving] == 3 * [("DONE", "north")]
        assert {client.get_job(job_id).submitted_to for job_id in moving} == {"south"}
        assert all(not client.get_job(job_id).status.is_final for job_id in (stuck, too_long, *staying))
        assert client.cancel(staying[0]) is JobStatus.CANCELLED
        assert end_of(client, client.submit(bell(), "north")) == ("DONE", "north")
        assert len({job.job_id for job in client.list_jobs()}) == 11
        south.ask(command="clear_faults")
        with south.serve():
            assert end_of(client, stuck)[0] == "ERROR"
            assert client.get_job(stuck).message.startswith("interrupted at program 0, shot 0, attempt 1")
            assert [end_of(client, job_id) for job_id in staying[1:]] == 2 * [("DONE", "south")]
            assert end_of(client, too_long) == ("DONE", "south")
            assert len(list(client.results(staying[1]))) == 1
            until_operational(client, "south", wanted=True)
    assert north.played_ns == 5 * one_job
    assert round(south.played_ns / one_job, 3) == 5.0
    attempts = lab.attempts()
    assert attempts.pop(staying[0]) == 0
    assert set(attempts.values()) == {1}


def test_a_daemon_that_was_only_stopped_for_a_while_writes_nothing_once_others_acted_for_it(lab: Lab) -> None:
    with lab.north.serve() as north, lab.south.serve() as south, QubitdClient(north.address) as client:
        until_operational(client, "south", wanted=True)
        with QubitdClient(south.address) as operator:
            slot = operator.slots.reserve(
                Reservation(key="quiet", backend="south", kind=SlotKind.MAINTENANCE, seconds=3600.0)
            )
        moving = [client.submit(bell(), "south", terms=MOVES) for _ in range(2)]
        staying = client.submit(bell(), "south")
        for job_id in (*moving, staying):
            next(
                e for e in client.watch(job_id) if isinstance(e.what, StatusChange) and e.what.status.value == "QUEUED"
            )
        os.kill(south.process_id, signal.SIGSTOP)
        assert [end_of(client, job_id) for job_id in moving] == 2 * [("DONE", "north")]
        os.kill(south.process_id, signal.SIGCONT)
        assert south.wait(30) != 0
        with lab.south.serve() as again, QubitdClient(again.address) as operator:
            operator.slots.release(slot.slot_id)
            assert end_of(client, staying) == ("DONE", "south")
    assert set(lab.attempts().values()) == {1}
    assert lab.north.played_ns == 2 * lab.south.played_ns


def test_random_kills_of_one_daemon_lose_and_double_no_job_of_either(lab: Lab) -> None:
    north, south = lab.north, lab.south
    chance = random.Random(5)
    accepted: dict[str, str] = {}
    over = threading.Event()

    def submit_for_ever(address: str) -> None:
        with QubitdClient(address) as client:
            while not over.is_set():
                backend = chance.choice(("north", "south"))
                job_id = client.submit(bell(), backend)
                accepted[job_id] = backend
                if backend == "north":
                    end_of(client, job_id)

    with north.serve() as stays, QubitdClient(stays.address) as client:
        south.serve().stop()
        crowd = threading.Thread(target=submit_for_ever, args=(stays.address,))
        crowd.start()
        try:
            for _ in range(4):
                with south.serve() as doomed:
                    before = len(accepted)
                    while len(accepted) < before + chance.randrange(1, 12):
                        next(iter(client.watch_backend("north")))
                    doomed.kill()
        finally:
            over.set()
            crowd.join()
        with south.serve():
            ends = {job_id: end_of(client, job_id) for job_id in accepted}
    assert {job_id: backend for job_id, (_, backend) in ends.items()} == accepted
    states = Counter((backend, status) for status, backend in ends.values())
    assert set(states) <= {("north", "DONE"), ("south", "DONE"), ("south", "ERROR")}
    assert states["south", "ERROR"] <= 4
    assert set(lab.attempts().values()) == {1}
    one_job = north.played_ns / states["north", "DONE"]
    played_there = south.played_ns / one_job
    assert states["south", "DONE"] <= round(played_there, 3) <= states["south", "DONE"] + states["south", "ERROR"]
