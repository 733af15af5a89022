"""Two daemons as processes, each with an emulated rack, on one PostgreSQL: what one of them loses, the other knows.

The racks outlive the daemons; what they played is the evidence that no job ran twice. How soon a dead daemon shows as
offline is held by `tests/unit/test_roster.py`.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack

import pytest
from tests.followed import until
from tests.two_fridges import MOVES, SHOTS, Lab, bell, ended_on, until_operational

from qubitd.client.client import QubitdClient
from qubitd.core.job import JobStatus
from qubitd.wire.slots import Reservation, SlotKind

pytest.importorskip("psycopg")


def test_a_fridge_whose_daemon_is_killed_goes_offline_and_loses_and_doubles_nothing(lab: Lab) -> None:
    north, south = lab.north, lab.south
    with ExitStack() as stack:
        north_daemon = stack.enter_context(north.serve())
        client = stack.enter_context(QubitdClient(north_daemon.address))
        with south.serve() as doomed:
            until_operational(client, "south", wanted=True)
            first = [client.submit(bell(), name) for name in ("north", "south")]
            assert [ended_on(client, job_id) for job_id in first] == [("DONE", "north"), ("DONE", "south")]
            one_job = south.played_ns
            assert north.played_ns == one_job > 0

            south.ask(command="fault", kind="late", seconds=60)
            stuck = client.submit(bell(), "south")
            until(client, stuck, JobStatus.RUNNING)
            staying = [client.submit(bell(), "south") for _ in range(3)]
            moving = [client.submit(bell(), "south", terms=MOVES) for _ in range(3)]
            too_long = client.submit(bell(2 * SHOTS), "south", terms=MOVES)
            doomed.kill()
            trouble = until_operational(client, "south", wanted=False)
        assert "was heard of last at" in trouble
        assert [(one.name, one.online) for one in client.standings()] == [("north", True), ("south", False)]

        assert [ended_on(client, job_id) for job_id in moving] == 3 * [("DONE", "north")]
        assert {client.get_job(job_id).submitted_to for job_id in moving} == {"south"}
        assert all(not client.get_job(job_id).status.is_final for job_id in (stuck, too_long, *staying))
        assert client.cancel(staying[0]) is JobStatus.CANCELLED
        assert ended_on(client, client.submit(bell(), "north")) == ("DONE", "north")
        assert len({job.job_id for job in client.list_jobs()}) == 11
        south.ask(command="clear_faults")
        with south.serve():
            assert ended_on(client, stuck)[0] == "ERROR"
            assert client.get_job(stuck).message.startswith("interrupted at program 0, shot 0, attempt 1")
            assert [ended_on(client, job_id) for job_id in staying[1:]] == 2 * [("DONE", "south")]
            assert ended_on(client, too_long) == ("DONE", "south")
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
            until(client, job_id, JobStatus.QUEUED)
        lab.stop(south)
        assert [ended_on(client, job_id) for job_id in moving] == 2 * [("DONE", "north")]
        os.kill(south.process_id, signal.SIGCONT)
        assert south.wait(30) != 0
        with lab.south.serve() as again, QubitdClient(again.address) as operator:
            operator.slots.release(slot.slot_id)
            assert ended_on(client, staying) == ("DONE", "south")
    assert set(lab.attempts().values()) == {1}
    assert lab.north.played_ns == 2 * lab.south.played_ns


def test_a_daemon_that_was_slow_for_a_moment_is_offline_meanwhile_and_goes_on(lab: Lab) -> None:
    with lab.north.serve() as north, lab.south.serve() as south, QubitdClient(north.address) as client:
        until_operational(client, "south", wanted=True)
        lab.stop(south)
        until_operational(client, "south", wanted=False)
        job_id = client.submit(bell(), "south", terms=MOVES)
        os.kill(south.process_id, signal.SIGCONT)
        until_operational(client, "south", wanted=True)
        assert ended_on(client, job_id) == ("DONE", "south")
    assert lab.attempts() == {job_id: 1}
