"""Daemons of a group die at named points and at random ones: no job is lost, and none runs twice.

The racks outlive the daemons; what they played is the evidence.
"""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from tests.two_fridges import MOVES, Fridge, Lab, bell, ended_on, until_operational

from qubitd.cli.child import ChildError
from qubitd.cli.daemon_process import DaemonProcess
from qubitd.client import ClientError
from qubitd.client.client import QubitdClient

pytest.importorskip("psycopg")


def die_at(point: str, fridge: Fridge, monkeypatch: pytest.MonkeyPatch) -> DaemonProcess:
    """Start a daemon that dies at a named point."""
    with monkeypatch.context() as patch:
        patch.setenv("QUBITD_FAILPOINT", point)
        return fridge.serve()


def test_a_daemon_that_dies_as_it_takes_its_backend_takes_it_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChildError):
        die_at("backend.owned", lab.south, monkeypatch)
    with lab.south.serve() as south, QubitdClient(south.address) as client:
        assert ended_on(client, client.submit(bell(), "south")) == ("DONE", "south")


@pytest.mark.parametrize("point", ["errands.run", "errands.done"])
def test_a_daemon_that_dies_over_its_errands_runs_what_was_handed_to_it_once(
    point: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.north.serve() as north, QubitdClient(north.address) as client:
        with die_at(point, lab.south, monkeypatch) as south:
            job_id = client.submit(bell(), "south")
            assert south.wait(20) == -signal.SIGKILL
        with lab.south.serve():
            assert ended_on(client, job_id) == ("DONE", "south")
    assert lab.attempts() == {job_id: 1}


def test_a_daemon_that_dies_before_it_answers_for_another_has_handed_the_job_over_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.south.serve():
        with die_at("job.passed", lab.north, monkeypatch) as north, QubitdClient(north.address, patience=0.1) as client:
            until_operational(client, "south", wanted=True)
            with pytest.raises(ClientError):
                client.submit(bell(), "south", "key")
            assert north.wait(20) == -signal.SIGKILL
        with lab.north.serve() as again, QubitdClient(again.address) as client:
            job_id = client.submit(bell(), "south", "key")
            assert ended_on(client, job_id) == ("DONE", "south")
            assert [job.job_id for job in client.list_jobs()] == [job_id]
    assert lab.attempts() == {job_id: 1}


def test_a_daemon_that_dies_as_it_takes_a_job_over_has_it_and_runs_it_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.south.serve().stop()
    with die_at("job.moved", lab.north, monkeypatch) as north, QubitdClient(north.address) as client:
        job_id = client.submit(bell(), "south", terms=MOVES)
        assert north.wait(30) == -signal.SIGKILL
    with lab.south.serve(), lab.north.serve() as again, QubitdClient(again.address) as client:
        assert ended_on(client, job_id) == ("DONE", "north")
    assert lab.attempts() == {job_id: 1}
    assert lab.south.played_ns == 0


@dataclass(slots=True, kw_only=True)
class Crowd:
    """One client that submits without end, to either backend."""

    accepted: dict[str, str] = field(default_factory=dict[str, str])
    """Backend by job."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set to end it; it is set, too, when the client failed."""
    news: threading.Condition = field(default_factory=threading.Condition)

    def submit_for_ever(self, address: str) -> None:
        chance = random.Random(6)
        try:
            with QubitdClient(address) as client:
                while not self.over.is_set():
                    backend = chance.choice(("north", "south"))
                    job_id = client.submit(bell(), backend)
                    with self.news:
                        self.accepted[job_id] = backend
                        self.news.notify_all()
                    if backend == "north":
                        ended_on(client, job_id)
        finally:
            with self.news:
                self.over.set()
                self.news.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until so many more jobs were accepted."""
        with self.news:
            goal = len(self.accepted) + count
            self.news.wait_for(lambda: len(self.accepted) >= goal or self.over.is_set())
            assert not self.over.is_set(), "the crowd is gone"


@pytest.mark.timeout(900)
def test_random_kills_of_one_daemon_lose_and_double_no_job_of_either(lab: Lab, *, soak: bool) -> None:
    kills = 100 if soak else 4
    north, south = lab.north, lab.south
    chance = random.Random(5)
    crowd = Crowd()

    with north.serve() as stays, QubitdClient(stays.address) as client:
        south.serve().stop()
        with ThreadPoolExecutor(1) as threads:
            submits = threads.submit(crowd.submit_for_ever, stays.address)
            try:
                for _ in range(kills):
                    with south.serve() as doomed:
                        crowd.wait_for(chance.randrange(1, 12))
                        doomed.kill()
            finally:
                crowd.over.set()
                submits.result()
        accepted = crowd.accepted
        with south.serve():
            ends = {job_id: ended_on(client, job_id) for job_id in accepted}
    assert {job_id: backend for job_id, (_, backend) in ends.items()} == accepted
    states = Counter((backend, status) for status, backend in ends.values())
    assert set(states) <= {("north", "DONE"), ("south", "DONE"), ("south", "ERROR")}
    assert states["south", "ERROR"] <= kills
    assert set(lab.attempts().values()) == {1}
    one_job = north.played_ns / states["north", "DONE"]
    played_there = south.played_ns / one_job
    assert states["south", "DONE"] <= round(played_there, 3) <= states["south", "DONE"] + states["south", "ERROR"]
