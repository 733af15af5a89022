"""A job that takes the instruments for longer than it may ends with both numbers, and what it finished is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from tests.wire.daemon.conftest import PaperRack, Serve

from qubitd.core.job import MAX_EXECUTION_TIME
from qubitd.server.instruments import rack as rack_module
from qubitd.server.running.run_limit import RunLimit
from qubitd.v1 import jobs_pb2

MakeRequest = Callable[..., jobs_pb2.SubmitRequest]
SHOTS = 5000
"""Five chunks."""


class Late(threading.Event):
    """A gate that lets every run through after some seconds of the rack's clock."""

    def __init__(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._seconds = seconds
        self._ahead = 0.0
        monkeypatch.setattr(rack_module, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + self._ahead))

    def wait(self, timeout: float | None = None) -> bool:
        self.pass_by()
        return True

    def pass_by(self) -> None:
        self._ahead += self._seconds


@pytest.mark.parametrize(
    ("seconds", "asked", "limit"),
    [
        (20.0, MAX_EXECUTION_TIME, "31.58 s (1.5 times the estimate and 30 s)"),
        (6.0, 10.0, "10 s (max_execution_time, with which it was submitted)"),
    ],
)
async def test_a_job_that_runs_for_longer_than_it_may_ends_at_a_chunk_and_keeps_what_it_has(
    serve: Serve,
    request_of: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    asked: float,
    limit: str,
) -> None:
    async with serve(rack=PaperRack(gate=Late(seconds, monkeypatch))) as daemon:
        job_id = await daemon.submit(request_of(shots=SHOTS, max_execution_time=asked))
        assert (await daemon.statuses(job_id))[-1] == "ERROR"
        message = (await daemon.job(job_id)).message
        assert f"on the instruments, where 1.055 s were estimated; the limit is {limit}." in message
        assert [result.first_shot for result in await daemon.results(job_id)] == [0, 1000]
        assert (await daemon.statuses(await daemon.submit(request_of(shots=1))))[-1] == "DONE"


async def test_a_job_that_would_take_longer_than_its_owner_gave_it_does_not_queue(
    serve: Serve, open_rack_of: Callable[..., PaperRack], request_of: MakeRequest
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of(shots=SHOTS, max_execution_time=1.0))
        assert await daemon.statuses(job_id) == ["INITIALIZING", "VALIDATING", "ERROR"]
        assert (await daemon.job(job_id)).message == (
            "job: 5000 shots of programs 0 to 0 alone take 1.05475 s on the instruments; the limit is 1 s "
            "(max_execution_time, with which it was submitted); split the job, or lower the shots"
        )


async def test_the_time_that_the_daemon_takes_counts_for_no_job(
    serve: Serve, request_of: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, slow = Late(0.0, monkeypatch), Late(100.0, monkeypatch).pass_by
    async with serve(rack=PaperRack(gate=at_once, before={"fetch": slow, "load": slow})) as daemon:
        assert (await daemon.statuses(await daemon.submit(request_of(shots=SHOTS))))[-1] == "DONE"


@pytest.mark.parametrize(
    ("estimate", "asked", "limit"),
    [(10.0, MAX_EXECUTION_TIME, 45.0), (10.0, 20.0, 20.0), (MAX_EXECUTION_TIME, MAX_EXECUTION_TIME, 86_400.0)],
)
def test_a_limit_is_the_least_of_three(estimate: float, asked: float, limit: float) -> None:
    found = RunLimit(estimate=estimate, asked=asked)
    assert found.seconds == limit
    assert found.overrun(limit) is None
    assert found.overrun(limit * 1.001) is not None
