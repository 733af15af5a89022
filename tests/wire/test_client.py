"""The plain client against a daemon of a few canned answers: what it sends, and how it bears cut connections.

What is asked of it holds for the blocking client and for that of asyncio.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import replace
from typing import Any

import grpc
import pytest
from tests import canned_daemon
from tests.awaited_client import AwaitedClient
from tests.canned_daemon import BASE, EVENTS, JOB, PLAN, Backends, Daemon, serve
from tests.quick_clock import QuickClock

from qubitd.client import (
    BusyError,
    ClosedError,
    ConfigError,
    ConflictError,
    DaemonFaultError,
    DeniedError,
    KeyReusedError,
    LostError,
    NotFoundError,
    QubitdClient,
    RefusedError,
    StateError,
    UnreachableError,
)
from qubitd.client.errors import ClientError
from qubitd.client.link import FIRST_WAIT
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.errors import Problem
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep
from qubitd.v1 import backends_pb2_grpc, calibrations_pb2, jobs_pb2
from qubitd.wire.calibrations import encode_parameter
from qubitd.wire.errors import Refusal


class MendingClock(QuickClock):
    """After so many waits the daemon is well again."""

    def __init__(self, daemon: Daemon, waits: int) -> None:
        super().__init__()
        self.daemon = daemon
        self.bad_waits = waits

    def wait(self, event: threading.Event, seconds: float) -> bool:
        stopped = super().wait(event, seconds)
        if len(self.waits) == self.bad_waits:
            self.daemon.refuse = None
        return stopped


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def address(daemon: Daemon) -> Iterator[str]:
    server, port = serve(daemon)
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture(params=[QubitdClient, AwaitedClient])
def connect(request: pytest.FixtureRequest) -> Any:
    """Give either kind of client."""
    return request.param


@pytest.fixture
def client(connect: Any, address: str) -> Iterator[QubitdClient]:
    with connect(address, patience=10.0) as client:
        yield client


@pytest.fixture
def blocking(address: str) -> Iterator[QubitdClient]:
    with QubitdClient(address, patience=10.0) as client:
        yield client


def bell() -> JobSpec:
    builder = CircuitBuilder(name="bell", num_qubits=2, num_clbits=2).add("sx", 0).add("cz", 0, 1).measure(0, 0)
    return JobSpec(batch=pack([builder]), sweep=Sweep(), shots=10)


def test_backends_are_listed(client: QubitdClient) -> None:
    assert client.backends() == ("line5",)
    assert client.backend("line5").dt == 1e-9


def test_submitting_gives_the_servers_id_and_makes_a_key(client: QubitdClient, daemon: Daemon) -> None:
    assert client.submit(bell(), "line5") == "j1"
    assert client.submit(bell(), "line5") == "j1"
    first, second = daemon.asked
    assert isinstance(first, jobs_pb2.SubmitRequest)
    assert isinstance(second, jobs_pb2.SubmitRequest)
    assert first.key != second.key
    assert first.spec == second.spec


def test_a_submission_whose_answer_was_lost_is_sent_again_with_its_key(
    connect: Any, address: str, daemon: Daemon
) -> None:
    with connect(address, clock=MendingClock(daemon, 1)) as client:
        client.backends()
        daemon.refuse = Refusal(code=14, message="draining")
        assert client.submit(bell(), "line5") == "j1"
    _, first, second = daemon.asked
    assert first == second


def gridded(**fields: Any) -> JobSpec:
    """A job whose angles stand in a table that is worth naming."""
    circuit = CircuitBuilder(name="grid", num_qubits=1, num_clbits=0)
    for i in range(400):
        circuit.add("rz", 0, params=(i % 40 / 40,))
    return replace(bell(), batch=pack([circuit]), **fields)


def test_a_table_is_sent_once_and_named_afterwards(client: QubitdClient, daemon: Daemon) -> None:
    client.submit(gridded(), "line5")
    client.explain(gridded(), "line5")
    sent, named = [request.spec.batch.value_table for request in daemon.asked]  # type: ignore[attr-defined]
    assert len(sent.content) == 320
    assert (named.sha256, named.HasField("content")) == (hashlib.sha256(sent.content).digest(), False)


def test_a_daemon_that_has_forgotten_a_table_is_sent_it_again(client: QubitdClient, daemon: Daemon) -> None:
    client.submit(gridded(), "line5")
    daemon.forgets = True
    assert client.submit(gridded(), "line5") == "j1"
    first, named, again = [request.spec.batch.value_table for request in daemon.asked]  # type: ignore[attr-defined]
    assert not named.HasField("content")
    assert again == first


def test_a_job_comes_with_its_clients_data(client: QubitdClient) -> None:
    assert client.get_job("j1") == JOB


def test_a_list_of_jobs_is_read_page_by_page(client: QubitdClient, daemon: Daemon) -> None:
    assert [job.job_id for job in client.list_jobs(limit=3, statuses=[JobStatus.DONE], tags=["a"])] == ["j1"] * 3
    assert [request.page_size for request in daemon.asked] == [3, 1]  # type: ignore[attr-defined]  # list requests


def test_a_list_of_jobs_ends_with_the_last_page(client: QubitdClient) -> None:
    assert len(client.list_jobs(limit=50)) == 4


def test_every_event_comes_once_and_in_order(client: QubitdClient) -> None:
    assert list(client.watch("j1")) == EVENTS


def test_watching_goes_on_behind_the_cursor(client: QubitdClient) -> None:
    assert list(client.watch("j1", after=4)) == EVENTS[2:]


def test_a_watch_that_is_cut_goes_on_where_it_was(client: QubitdClient, daemon: Daemon) -> None:
    daemon.cut_after = 1
    assert list(client.watch("j1")) == EVENTS
    assert [request.after_sequence for request in daemon.asked] == [0, 4, 7, 10]  # type: ignore[attr-defined]


def test_results_that_are_cut_go_on_with_the_next_piece(client: QubitdClient, daemon: Daemon) -> None:
    daemon.cut_after = 4
    assert [piece.first_shot for piece in client.results("j1")] == list(range(6))
    assert [request.skip for request in daemon.asked] == [0, 4]  # type: ignore[attr-defined]  # results requests


def test_a_watch_bears_a_restart_of_the_daemon(connect: Any) -> None:
    hold = threading.Event()
    server, port = serve(Daemon(cut_after=2, hold=hold))
    with connect(f"127.0.0.1:{port}", patience=30.0) as client:
        stream = client.watch("j1")
        seen = [next(stream)]
        server.stop(None).wait()
        again, _ = serve(Daemon(), port)
        seen += stream
        again.stop(None).wait()
    assert seen == EVENTS


def test_a_daemon_that_stays_away_is_given_up_with_address_and_time(connect: Any) -> None:
    server, port = serve(Daemon(hold=threading.Event()))
    clock = QuickClock()
    with connect(f"127.0.0.1:{port}", patience=60.0, clock=clock) as client:
        stream = client.watch_session("s1")
        for _ in EVENTS:
            next(stream)
        server.stop(None).wait()
        with pytest.raises(LostError) as caught:
            next(stream)
    assert f"the daemon at 127.0.0.1:{port} went away during watching session s1" in str(caught.value)
    assert "has not come back for 60 s" in str(caught.value)
    assert clock.time == pytest.approx(60.0)
    assert clock.waits[:6] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0]
    assert max(clock.waits) == 1.0


def test_a_daemon_that_never_was_there_is_reported_at_once(connect: Any) -> None:
    clock = QuickClock()
    with connect("127.0.0.1:1", clock=clock) as client:
        with pytest.raises(UnreachableError, match=r"no daemon answers at 127\.0\.0\.1:1 \(connection refused\)"):
            client.backends()
        with pytest.raises(UnreachableError, match="qubitd serve"):
            next(client.watch("j1"))
    assert clock.waits == []


def test_a_new_client_does_not_wait_for_what_an_older_one_was_told(connect: Any, daemon: Daemon) -> None:
    """gRPC would have both share a connection, and its pause until the next try."""
    server, port = serve(daemon)
    server.stop(None).wait()
    with connect(f"127.0.0.1:{port}") as older, connect(f"127.0.0.1:{port}") as newer:
        with pytest.raises(UnreachableError):
            older.backends()
        server, _ = serve(daemon, port)
        try:
            assert newer.backends()
        finally:
            server.stop(None).wait()


def test_a_commit_is_never_sent_twice(client: QubitdClient, daemon: Daemon) -> None:
    client.backends()
    daemon.refuse = Refusal(code=14, message="draining")
    with pytest.raises(LostError):
        client.commit("line5", base_revision=4, parameters=[*BASE.parameters.values()], message="m")
    assert len(daemon.asked) == 2


def test_only_a_new_description_of_a_backend_is_given(client: QubitdClient) -> None:
    assert [info.revision for info in client.watch_backend("line5")] == [1, 2]


def test_only_new_revisions_are_given(client: QubitdClient) -> None:
    assert [change.revision.revision for change in client.watch_calibrations("line5")] == [1, 2]


def test_calibrations_are_read_and_written(client: QubitdClient, daemon: Daemon) -> None:
    assert client.snapshot("line5") == BASE
    assert client.history("line5", "q0.t1")[0].parameter == BASE.parameters["q0.t1"]
    assert client.diff("line5", 1)[0].name == "q0.t1"
    parameters = [*BASE.parameters.values()]
    assert client.commit("line5", base_revision=4, parameters=parameters, message="m").revision == 5
    assert client.rollback("line5", to_revision=1, names=["q0.t1"], message="back").revision == 6
    assert daemon.asked[-2] == calibrations_pb2.CommitRequest(
        backend="line5", base_revision=4, parameters=map(encode_parameter, parameters), message="m"
    )


def test_a_job_is_explained_cancelled_and_deleted(client: QubitdClient, daemon: Daemon) -> None:
    assert client.explain(bell(), "line5") == PLAN
    assert client.cancel("j1") is JobStatus.CANCELLED
    client.delete("j1")
    assert daemon.asked[-1] == jobs_pb2.JobsDeleteRequest(job_id="j1")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (3, RefusedError),
        (5, NotFoundError),
        (6, KeyReusedError),
        (7, DeniedError),
        (8, BusyError),
        (9, StateError),
        (10, ConflictError),
        (13, DaemonFaultError),
        (16, DeniedError),
    ],
)
def test_a_refusal_becomes_the_error_of_its_kind(
    client: QubitdClient, daemon: Daemon, code: int, kind: type[ClientError]
) -> None:
    daemon.refuse = Refusal(code=code, message="the reason")
    with pytest.raises(kind, match="the reason"):
        client.get_job("j1")


def test_a_refused_input_names_all_its_problems(client: QubitdClient, daemon: Daemon) -> None:
    problems = (Problem(where="circuit 0, operation 3", what="no such gate", circuit=0, operation=3),) * 2
    daemon.refuse = Refusal(code=3, message="2 problems", problems=problems)
    with pytest.raises(RefusedError) as caught:
        client.submit(bell(), "line5")
    assert caught.value.problems == problems
    assert str(caught.value).count("no such gate") == 2


def test_a_conflict_names_the_parameters(client: QubitdClient, daemon: Daemon) -> None:
    problem = Problem(where="q0.t1", what="changed in revision 5")
    daemon.refuse = Refusal(code=10, message="conflict", problems=(problem,))
    with pytest.raises(ConflictError, match=r"conflict; q0\.t1: changed in revision 5") as caught:
        client.commit("line5", base_revision=4, parameters=[*BASE.parameters.values()], message="m")
    assert caught.value.problems == (problem,)


def test_a_quota_that_is_used_up_says_when_to_try_again(client: QubitdClient, daemon: Daemon) -> None:
    daemon.refuse = Refusal(code=8, message="you have 9 jobs", retry_after=2.5, quota="9 jobs")
    with pytest.raises(BusyError, match=r"you have 9 jobs; try again in 2\.5 s"):
        client.submit(bell(), "line5")
    assert len(daemon.asked) == 1


def test_a_call_for_which_there_is_no_room_just_now_is_made_again(connect: Any, address: str, daemon: Daemon) -> None:
    clock = MendingClock(daemon, 3)
    with connect(address, patience=10, clock=clock) as client:
        daemon.refuse = Refusal(code=8, message="others wait", retry_after=1.5)
        assert client.submit(bell(), "line5") == "j1"
        assert clock.waits == [1.5] * 3
        assert len({request.key for request in daemon.asked if isinstance(request, jobs_pb2.SubmitRequest)}) == 1
        clock.bad_waits = 1000
        daemon.refuse = Refusal(code=8, message="others wait", retry_after=1.5)
        with pytest.raises(BusyError, match=r"submitting to line5: others wait; try again in 1\.5 s"):
            client.submit(bell(), "line5")
        assert sum(clock.waits[3:]) == pytest.approx(10)


def test_a_stream_for_which_there_is_no_room_asks_again_for_as_long_as_it_takes(
    connect: Any, address: str, daemon: Daemon
) -> None:
    clock = MendingClock(daemon, 100)
    with connect(address, patience=10, clock=clock) as client:
        daemon.refuse = Refusal(code=8, message="64 watches are open already", retry_after=1.5)
        assert list(client.watch("j1")) == EVENTS
        assert clock.waits == [1.5] * 100
        clock.bad_waits = 103
        daemon.refuse = Refusal(code=8, message="ask again", retry_after=0.0)
        assert list(client.watch("j1")) == EVENTS
        assert clock.waits[100:] == [FIRST_WAIT] * 3
        daemon.refuse = Refusal(code=8, message="larger than it takes")
        with pytest.raises(BusyError, match="larger than it takes"):
            list(client.watch("j1"))


def test_a_cancelled_stream_ends_and_wakes_the_thread_that_waits(blocking: QubitdClient, daemon: Daemon) -> None:
    daemon.hold = threading.Event()
    stream = blocking.watch("j1")
    seen = [next(stream) for _ in EVENTS]
    waiter = threading.Thread(target=lambda: seen.extend(stream))
    waiter.start()
    stream.cancel()
    waiter.join(10)
    assert not waiter.is_alive()
    assert seen == EVENTS
    assert list(stream) == []


def test_leaving_a_stream_cancels_it(client: QubitdClient, daemon: Daemon) -> None:
    daemon.hold = threading.Event()
    with client.watch("j1") as stream:
        next(stream)
    assert list(stream) == []
    assert daemon.hold.wait(10)


def test_a_closed_client_says_so_and_closing_twice_is_harmless(address: str) -> None:
    client = QubitdClient(address)
    assert repr(client) == f"<QubitdClient('{address}')>"
    client.close()
    client.close()
    assert repr(client).endswith("closed>")
    calls: list[Callable[[], object]] = [client.backends, lambda: client.watch("j1")]
    for call in calls:
        with pytest.raises(ClosedError, match="was closed; make a new one"):
            call()


def test_a_channel_that_is_closed_during_a_call_is_a_closed_client(address: str) -> None:
    with QubitdClient(address) as client:
        client.wire.channel.close()
        with pytest.raises(ClosedError):
            client.get_job("j1")
        with pytest.raises(ClosedError):
            next(client.watch("j1"))


def test_a_refusal_whose_details_are_damaged_keeps_its_text(
    client: QubitdClient, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canned_daemon, "encode_refusal", lambda _: b"\xff\xff")
    daemon.refuse = Refusal(code=5, message="no such job")
    with pytest.raises(NotFoundError, match="no such job"):
        client.get_job("j1")


def test_a_message_that_is_too_large_is_no_bare_code(client: QubitdClient, daemon: Daemon) -> None:
    daemon.refuse = Refusal(code=8, message="Received message larger than max (5 vs. 4)")
    with pytest.raises(BusyError, match=r"submitting to line5: Received message larger than max \(5 vs\. 4\)"):
        client.submit(bell(), "line5")


def test_the_token_travels_with_every_call(connect: Any, daemon: Daemon) -> None:
    seen: list[tuple[str, str | bytes]] = []

    class Watcher(grpc.ServerInterceptor):  # type: ignore[type-arg]  # no class with parameters at run time
        def intercept_service(self, continuation, details):  # type: ignore[no-untyped-def]  # as gRPC has it
            seen.extend(details.invocation_metadata)
            return continuation(details)

    server = grpc.server(futures.ThreadPoolExecutor(1), interceptors=[Watcher()])
    backends_pb2_grpc.add_BackendsServicer_to_server(Backends(daemon), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with connect(f"127.0.0.1:{port}", token="secret\n") as client:  # as a file ends
        client.backends()
    server.stop(None).wait()
    assert ("authorization", "Bearer secret") in seen


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"token": "one\ntwo"}, "token holds a character that none has"),
        ({"token": "\ud800"}, "token holds a character that none has"),
        ({"token": 5}, "token is a int; give the text"),
        ({"patience": float("nan")}, "patience is nan; give seconds of 0 or more"),
        ({"patience": -1}, "patience is -1; give seconds of 0 or more"),
        ({"patience": "long"}, "patience is 'long'; give seconds of 0 or more"),
    ],
)
def test_a_token_and_a_patience_that_are_none_are_refused_at_once(
    address: str, fields: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        QubitdClient(address, **fields)


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get_job("\ud800"),
        lambda client: client.get_job(5),
        lambda client: client.snapshot("line5", "newest"),
        lambda client: client.list_jobs(since_ns=10**30),
        lambda client: next(iter(client.watch("\ud800"))),
        lambda client: next(iter(client.watch("j1", after=10**30))),
        lambda client: next(iter(client.watch_some({"\ud800": 0}))),
        lambda client: next(iter(client.watch_backend("\ud800"))),
        lambda client: next(iter(client.watch_calibrations("\ud800"))),
        lambda client: next(iter(client.results("\ud800"))),
    ],
)
def test_what_no_message_can_hold_is_refused(client: QubitdClient, ask: Callable[[QubitdClient], object]) -> None:
    with pytest.raises(RefusedError, match="what was given cannot be sent: "):
        ask(client)


def client_threads() -> set[threading.Thread]:
    """All threads but those of the canned daemon, which lives in this process, too."""
    return {t for t in threading.enumerate() if not t.name.startswith("ThreadPoolExecutor")}


def test_fifty_streams_leave_no_thread_behind(blocking: QubitdClient) -> None:
    blocking.backends()
    list(blocking.watch("j1"))
    before = client_threads()
    for _ in range(50):
        list(blocking.watch("j1"))
    for thread in client_threads() - before:
        thread.join(10)
    assert client_threads() <= before


def test_an_interpreter_that_exits_while_a_stream_is_open_ends_cleanly(address: str, daemon: Daemon) -> None:
    daemon.hold = threading.Event()
    program = f"""
        import threading
        from qubitd.client import QubitdClient
        client = QubitdClient({address!r})
        stream = client.watch("j1")
        started = threading.Event()
        def follow():
            for event in stream:
                started.set()
        threading.Thread(target=follow, daemon=True).start()
        started.wait()
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
