"""QubitdSession under IBM's names, against a daemon on a rack of paper."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from qiskit import QuantumCircuit, transpile

from qubitd.client import Reservation, SlotKind, StateError
from qubitd.provider import (
    JobRefusedError,
    ProviderError,
    QubitdBackend,
    QubitdBatch,
    QubitdProvider,
    QubitdSession,
    SessionClosedError,
    SessionNotFoundError,
)

Serve = Callable[..., AbstractAsyncContextManager[Any]]
Story = Callable[[QubitdProvider, QubitdBackend, QuantumCircuit], None]


@pytest.fixture
def tell(serve: Serve, open_rack_of: Callable[..., Any]) -> Callable[[Story], None]:
    """Tell a story in a thread, while a daemon serves in this one."""

    def play(address: str, story: Story) -> None:
        with QubitdProvider(address) as provider:
            backend = provider.get_backend("line5")
            circuit = QuantumCircuit(1)
            circuit.x(0)
            circuit.measure_all()
            story(provider, backend, transpile(circuit, backend, optimization_level=0))

    async def run(story: Story) -> None:
        async with serve(rack=open_rack_of()) as daemon:
            await asyncio.to_thread(play, daemon.address, story)

    return lambda story: asyncio.run(run(story))


def test_a_session_lives_from_pending_to_closed_under_ibms_words(tell: Callable[[Story], None]) -> None:
    def story(provider: QubitdProvider, backend: QubitdBackend, circuit: QuantumCircuit) -> None:
        with QubitdSession(backend, max_time="2h 30m", idle_time=5) as session:
            assert session.status() == "Pending"
            assert session.service is provider
            assert session.backend() == "line5"
            job = session.run(circuit, shots=50)
            assert sum(job.result().get_counts().values()) == 50
            assert session.status() == "In progress, accepting new jobs"
            details = session.details()
            assert (details["max_time"], details["interactive_timeout"]) == (9000.0, 5.0)
            assert (details["state"], details["accepting_jobs"], details["mode"]) == ("active", True, "dedicated")
            assert details["started_at"] >= details["created_at"] > details["closed_at"] == ""
        assert session.status() == "Closed"
        assert session.usage() == session.details()["usage_time"] > 0.0
        assert session.details()["closed_at"] >= details["started_at"]
        assert session.details()["state"] == "closed"
        with pytest.raises(SessionClosedError, match="is closed and takes no more jobs"):
            session.run(circuit)
        session.close()

    tell(story)


def test_a_session_is_found_by_its_id_open_or_closed(tell: Callable[[Story], None]) -> None:
    def story(provider: QubitdProvider, backend: QubitdBackend, circuit: QuantumCircuit) -> None:
        batch = QubitdBatch(backend)
        again = QubitdSession.from_id(batch.session_id, service=provider)
        assert again.run(circuit, shots=10).result().success
        assert isinstance(again, QubitdBatch)
        assert isinstance(provider.session(batch.session_id), QubitdBatch)
        assert [s.session_id for s in provider.sessions(open_only=True)] == [batch.session_id]
        assert "QubitdBatch" in repr(batch)
        batch.cancel()
        assert provider.session(batch.session_id).status() == "Closed"
        assert provider.sessions(open_only=True) == []
        with pytest.raises(SessionNotFoundError, match="has no session 'nobody' of yours"):
            QubitdSession.from_id("nobody", service=provider)
        with QubitdSession(backend) as session, pytest.raises(ProviderError, match="is no batch; take QubitdSession"):
            QubitdBatch.from_id(session.session_id, service=provider)

    tell(story)


def test_an_urgency_that_a_sessions_job_cannot_have_is_refused(tell: Callable[[Story], None]) -> None:
    def story(provider: QubitdProvider, backend: QubitdBackend, circuit: QuantumCircuit) -> None:
        del provider
        with QubitdSession(backend) as session:
            with pytest.raises(JobRefusedError, match="option urgency: is 'background'; jobs of a session") as caught:
                session.run(circuit, shots=0, urgency="background")
            assert "option shots" in str(caught.value)
            backend.set_options(urgency="background")
            assert session.run(circuit, shots=10).result().success

    tell(story)


def test_a_drained_lab_is_not_taken_for_a_closed_session(tell: Callable[[Story], None]) -> None:
    def story(provider: QubitdProvider, backend: QubitdBackend, circuit: QuantumCircuit) -> None:
        session = QubitdSession(backend)
        provider.client.lab.drain("helium")
        with pytest.raises(StateError, match="the lab was drained by an operator: helium"):
            session.run(circuit)
        provider.client.lab.resume()
        assert session.run(circuit, shots=10).result().success

    tell(story)


def test_a_session_that_is_dropped_leaves_no_thread(tell: Callable[[Story], None]) -> None:
    def story(provider: QubitdProvider, backend: QubitdBackend, circuit: QuantumCircuit) -> None:
        session = QubitdSession(backend)
        beat = next(thread for thread in threading.enumerate() if thread.name == f"qubitd-session-{session.session_id}")
        del session
        beat.join(5.0)
        assert not beat.is_alive()

    tell(story)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"max_time": "soon"}, "'soon' is no time; give seconds, or a text such as '2h 30m'"),
        ({"max_time": ""}, "'' is no time"),
        ({"max_time": [1]}, r"\[1\] is no time; give seconds"),
        ({"max_time": "8d"}, "max_time: is 691200 s; the limits are 1 s and 604800 s"),
        ({"idle_time": "2d"}, "idle_time: is 172800 s; the limits are 0 s and 86400 s"),
        ({"max_time": 0}, "max_time is 0, in which no job can run; give more than 0"),
        ({"max_time": "0s"}, "max_time is '0s', in which no job can run"),
        ({"at_expiry": "explode"}, "at_expiry is 'explode'; give 'requeue' or 'cancel'"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tell: Callable[[Story], None], arguments: dict[str, Any], complaint: str
) -> None:
    def story(provider: QubitdProvider, backend: QubitdBackend, circuit: QuantumCircuit) -> None:
        with pytest.raises(ProviderError, match=complaint):
            QubitdSession(backend, **arguments)

    tell(story)


def test_a_queued_job_tells_its_place_and_when_it_may_start(tell: Callable[[Story], None]) -> None:
    def story(provider: QubitdProvider, backend: QubitdBackend, circuit: QuantumCircuit) -> None:
        now = datetime.now(tz=UTC)
        kind, seconds = SlotKind.MAINTENANCE, 3600.0
        slot = provider.client.slots.reserve(Reservation(key="k", backend="line5", kind=kind, seconds=seconds))
        first, second = backend.run(circuit, shots=10), backend.run(circuit, shots=10)
        while second.queue_position is None:
            second.status()
        assert (first.queue_position, second.queue_position) == (0, 1)
        assert first.forecast is not None
        assert timedelta(minutes=59) < first.forecast - now < timedelta(minutes=61)
        provider.client.slots.release(slot.slot_id)
        assert second.result().success
        again = provider.job(second.job_id())
        assert again.queue_position is None
        assert again.forecast is None

    tell(story)


def test_a_job_chooses_its_class_priority_and_calibration(tell: Callable[[Story], None]) -> None:
    def story(provider: QubitdProvider, backend: QubitdBackend, circuit: QuantumCircuit) -> None:
        job = backend.run(circuit, shots=10, urgency="background", priority=3, revision_policy="exact")
        assert job.result().success
        with pytest.raises(JobRefusedError) as refused:
            backend.run(circuit, priority=101, urgency="now", revision_policy="any")
        assert [str(problem) for problem in refused.value.problems] == [
            "option priority: is 101; the limits are -100 and 100",
            "option urgency: is 'now'; give 'normal', 'background', 'safety'",
            "option revision_policy: is 'any'; give 'latest', 'pinned', 'exact'",
        ]

    tell(story)
