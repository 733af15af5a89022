"""A big job that ends while it is looked at holds up none of those behind it; neither does a caller who hangs up."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

import numpy as np
import pytest
from tests.wire.daemon.conftest import PaperRack, Serve, Served

from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep
from qubitd.server.compiling.compile_process import CompileProcess
from qubitd.server.running.workshop import BIG_PROGRAMS
from qubitd.v1 import jobs_pb2
from qubitd.wire.jobs import StatusChange, decode_events
from qubitd.wire.specs import encode_spec

MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


def big() -> CircuitBatch:
    """So many programs that another process looks at them."""
    circuit = CircuitBuilder(name="big", num_qubits=5, num_clbits=1).add("rz", 0, params=(FromColumn(column=0),))
    circuit.measure(0, 0).bind(np.linspace(-3, 3, BIG_PROGRAMS + 1)[:, None])
    return pack([circuit])


def endless_once(asked: Callable[..., Any], begun: threading.Event) -> Callable[..., Any]:
    def ask(process: CompileProcess, *given: Any, **named: Any) -> Any:
        if not begun.is_set():
            process.start()
            assert process.process_id is not None
            os.kill(process.process_id, signal.SIGSTOP)
            begun.set()
        return asked(process, *given, **named)

    return ask


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Have the process come to no end with its first piece of work, and tell when that has begun."""
    begun = threading.Event()
    for name in ("validate", "explain"):
        monkeypatch.setattr(CompileProcess, name, endless_once(getattr(CompileProcess, name), begun))
    return begun


async def looked_at(daemon: Served, job_id: str) -> JobStatus:
    """Follow a job until it waits for the rack, or has ended."""
    async for message in daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id)):
        for event in decode_events(message):
            if isinstance(event.what, StatusChange):
                status = event.what.status
                if status is JobStatus.QUEUED or status.is_final:
                    return status
    raise AssertionError(f"the watch of {job_id} ended")


@pytest.fixture
async def busy(serve: Serve, shut_rack: PaperRack, request_of: MakeRequest) -> AsyncGenerator[Served]:
    """A daemon with a job on its rack that does not end, so that others wait."""
    async with serve(rack=shut_rack) as daemon:
        await daemon.submit(request_of())
        yield daemon
        shut_rack.gate.set()


async def test_a_job_that_is_cancelled_while_it_is_looked_at_lets_the_next_one_go_ahead(
    busy: Served, request_of: MakeRequest, begun: threading.Event
) -> None:
    first = await busy.submit(request_of(batch=big(), shots=1))
    await asyncio.to_thread(begun.wait)
    second = await busy.submit(request_of(batch=big(), shots=2))
    await busy.jobs.Cancel(jobs_pb2.JobsCancelRequest(job_id=first))
    assert await looked_at(busy, second) is JobStatus.QUEUED
    assert (await busy.job(first)).status is JobStatus.CANCELLED


async def test_an_explanation_whose_caller_hung_up_lets_the_next_job_go_ahead(
    busy: Served, request_of: MakeRequest, begun: threading.Event
) -> None:
    spec = JobSpec(batch=big(), sweep=Sweep(), shots=1)
    explaining = busy.jobs.Explain(jobs_pb2.ExplainRequest(backend="line5", spec=encode_spec(spec)))
    await asyncio.to_thread(begun.wait)
    explaining.cancel()
    job_id = await busy.submit(request_of(batch=big(), shots=2))
    assert await looked_at(busy, job_id) is JobStatus.QUEUED
