"""Small parts of the daemon, each by itself."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from qubitd.core.errors import InvalidCircuitError, OffGridError, Problem, QubitdError
from qubitd.drivers.errors import InstrumentFaultError, RackFileError
from qubitd.drivers.rack_file import load_rack
from qubitd.server import errors
from qubitd.server.error_codes import CODES, code_of, problems_of, refusal_of
from qubitd.server.errors import DataDirError, DataDirInUseError, DrainingError, SimulatorError
from qubitd.server.failure import failure_of
from qubitd.server.front.pages import query_of
from qubitd.server.instruments.rack import PERMIT_PAUSE, chunk_time
from qubitd.server.instruments.simulator import Simulator
from qubitd.server.lock import locked
from qubitd.server.persistence import Landings
from qubitd.server.telemetry.logs import about, configure
from qubitd.server.watching.announcer import Announcer
from qubitd.v1 import jobs_pb2
from qubitd.wire.errors import MalformedMessageError


async def test_a_listener_misses_nothing_that_is_announced_after_it_cleared() -> None:
    announcer = Announcer()
    with announcer.listen("a", "b") as listener:
        listener.clear()
        announcer.announce("b")
        await listener.wait()
        listener.clear()
        announcer.announce("other")
        assert not listener.is_called


async def test_who_listens_when_the_daemon_stops_is_told_at_once() -> None:
    announcer = Announcer()
    with announcer.listen("a") as before:
        announcer.close()
        with pytest.raises(DrainingError):
            await before.wait()
    with announcer.listen("a") as after:
        after.clear()
        with pytest.raises(DrainingError):
            await after.wait()


def test_every_error_of_the_daemon_has_a_code() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, QubitdError)]
    for kind in kinds:
        assert any(base in CODES for base in kind.__mro__)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidCircuitError([]), grpc.StatusCode.INVALID_ARGUMENT),
        (RackFileError([]), grpc.StatusCode.UNAVAILABLE),
        (InstrumentFaultError(resource="r", what="w", words=["x"]), grpc.StatusCode.UNAVAILABLE),
        (errors.UnknownJobError(job_id="j"), grpc.StatusCode.NOT_FOUND),
        (errors.StoreCorruptError(path=Path("p"), what="w"), grpc.StatusCode.DATA_LOSS),
        (errors.StoreBrokenError(place="p", cause="c"), grpc.StatusCode.UNAVAILABLE),
        (QubitdError("x"), grpc.StatusCode.INTERNAL),
    ],
)
def test_an_error_takes_the_code_of_its_nearest_base(error: QubitdError, code: grpc.StatusCode) -> None:
    assert code_of(error) is code


def test_a_conflict_names_its_parameters_as_problems() -> None:
    found = problems_of(errors.CommitConflictError(names=["a", "b"], base=1, newest=3))
    assert [problem.where for problem in found] == ["a", "b"]


def test_a_duration_off_the_grid_is_a_problem_with_a_place() -> None:
    (problem,) = problems_of(OffGridError(what="duration of x on q0", seconds=1.5e-9, tolerance=1e-3))
    assert problem.where == "duration of x on q0"


def test_only_a_daemon_that_stops_asks_to_be_tried_again() -> None:
    assert refusal_of(DrainingError()).retry_after == 1.0
    assert refusal_of(QubitdError("x")).retry_after is None


def test_a_failure_keeps_the_problems_of_the_input() -> None:
    problem = Problem(where="circuit 0", what="wrong")
    failure = failure_of(InvalidCircuitError([problem]))
    assert (failure.message, failure.problems) == ("circuit 0: wrong", (problem,))


@pytest.mark.parametrize("error", [ValueError("bad"), KeyError()])
def test_a_mistake_of_ours_is_told_as_such_and_logged_with_its_traceback(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    failure = failure_of(error)
    assert f"a mistake in qubitd stopped this job ({type(error).__name__}" in failure.message
    assert caplog.records[0].exc_info is not None


def test_a_data_directory_is_held_by_one_and_free_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path / "data"), pytest.raises(DataDirInUseError, match="process"), locked(tmp_path / "data"):
        pass
    with locked(tmp_path / "data"):
        pass


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataDirError, match="data-dir"), locked(tmp_path / "file" / "data"):
        pass


def test_a_page_goes_on_where_the_one_before_ended() -> None:
    query = query_of(jobs_pb2.JobsListRequest(page_token="a job", page_size=5), owner="me")
    assert (query.below, query.limit, query.owner) == ("a job", 5, "me")


def test_a_token_that_is_too_long_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match="page_token"):
        query_of(jobs_pb2.JobsListRequest(page_token="x" * 1000), owner="me")


def test_log_lines_name_the_job_they_are_about(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    root.handlers.clear()
    try:
        configure("info")
        with about(job="job-1", session=""):
            logging.getLogger("qubitd.test").info("loaded", extra={"bytes": 7})
        logging.getLogger("qubitd.test").info("idle")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("INFO qubitd.test: loaded job=job-1 bytes=7")
    assert lines[1].endswith("INFO qubitd.test: idle")


class OneAnswer:
    """A control socket that takes one line and gives one answer."""

    def __init__(self, answer: bytes) -> None:
        self.asked = b""
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as lines:
            self.asked = lines.readline()
            connection.sendall(self._answer)

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[OneAnswer]:
    server = OneAnswer(request.param)
    yield server
    server.close()


@pytest.mark.parametrize("answering", [b'{"ok": true}\n'], indirect=True)
def test_a_seed_is_sent_as_a_line_of_json(answering: OneAnswer) -> None:
    Simulator("127.0.0.1", answering.port).seed(2**64 - 1)
    assert json.loads(answering.asked) == {"command": "seed", "value": 2**64 - 1}


@pytest.mark.parametrize(
    "answering", [b'{"ok": false, "error": "no seeds here"}\n', b"", b"garbage\n", b"[1]\n"], indirect=True
)
def test_an_emulator_that_refuses_is_told_by_its_address(answering: OneAnswer) -> None:
    with pytest.raises(SimulatorError, match=rf"127\.0\.0\.1:{answering.port}"):
        Simulator("127.0.0.1", answering.port).seed(1)


def test_an_emulator_that_is_gone_is_told_by_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SimulatorError, match=f"127.0.0.1:{port}"):
        Simulator("127.0.0.1", port).seed(1)


def test_chunks_last_a_second_on_instruments_and_longer_where_time_is_virtual() -> None:
    rack = load_rack()
    assert chunk_time(replace(rack, time="real")) == 1_000_000_000
    assert chunk_time(replace(rack, time="virtual")) == 100_000_000_000


async def test_what_other_threads_finish_lands_in_order_in_one_turn_and_is_told_though_nobody_waits() -> None:
    landings, told = Landings(), list[object]()
    works: list[Future[str]] = [Future() for _ in range(4)]

    def tell(done: Future[str]) -> None:
        told.append(done.exception() or done.result())

    awaited = [landings.follow(work, tell) for work in works]
    awaited[1].cancel()
    trouble = OSError("full")
    for work, text in zip(works[:3], "abc", strict=True):
        work.set_result(text)
    works[3].set_exception(trouble)
    assert told == []
    assert await awaited[0] == "a"
    assert told == ["a", "b", "c", trouble]
    assert awaited[2].result() == "c"
    with pytest.raises(OSError, match="full"):
        await awaited[3]


def test_a_run_that_waits_for_its_permit_is_left_within_a_tenth_of_the_200_ms_of_a_cancel_by_force() -> None:
    assert PERMIT_PAUSE <= 0.02
