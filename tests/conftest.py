"""What every test shares: hypothesis without deadlines, --update for golden files, and programs made by hand."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import numpy as np
import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from numpy.typing import NDArray
from tests.postgres_server import PostgresServer, running_postgres
from tests.prepared import prepared_starts

from qubitd.core.envelope import samples_digest
from qubitd.core.program import Acquisitions, Plays, Program, ProgramTables, SampledEnvelope
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.server.store.store import Store

hypothesis.settings.register_profile("qubitd", deadline=None, print_blob=True, max_examples=60)
hypothesis.settings.load_profile("qubitd")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs ignore Ctrl-C, and what they start inherits that: tests that send it would wait in vain.
    signal.signal(signal.SIGINT, signal.default_int_handler)


_forks: list[int] = []
os.register_at_fork(before=lambda: _forks.append(os.getpid()))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Fail a test that made a copy of its process.

    The threads of gRPC do not survive that, and a copy that hangs would keep the whole suite from its end: it holds the
    pipe by whose end pytest-xdist knows that a worker is gone.
    """
    if _forks:
        _forks.clear()
        pytest.fail(f"{item.name} copied its process by a fork; start another one instead, as tests/prepared.py does")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run long what is run shortly else")
    parser.addoption("--postgres", type=Path, help="folder of the PostgreSQL programs to test with (a wheel's)")
    parser.addoption("--update", action="store_true", help="write golden files anew instead of comparing with them")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage meanwhile, since everything stays, nor ever again among what was imported and collected."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Unit tests run with the lowest versions, too, and last: no file of theirs is long. A soak takes its time."""
    folder = config.rootpath / "tests/unit"
    unit = [item for item in items if item.path.is_relative_to(folder)]
    for item in unit:
        item.add_marker(pytest.mark.lowest)
    items[:] = [item for item in items if not item.path.is_relative_to(folder)] + unit
    if config.getoption("--soak"):
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """End the process of a test that takes too long, and print where each thread is.

    The usual exception may be swallowed, may unwind what waits again, and does not reach what waits in C.
    """
    told = item.config.stash[fault_handler_stderr_fd_key]
    faulthandler.dump_traceback_later(settings.timeout, exit=True, file=told)
    return True


def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Let the process go on: the test came to its end."""
    del item
    faulthandler.cancel_dump_traceback_later()
    return True


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written anew."""
    return bool(request.config.getoption("--update"))


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether what can run for long is to."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session", autouse=True)
def _prepared() -> Iterator[None]:
    """Start daemons and emulated racks at once, not after a second of imports each."""
    with prepared_starts():
        yield


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A PostgreSQL of the tests' own."""
    with running_postgres(request.config.getoption("--postgres")) as server:
        yield server


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """The store of either kind: what is promised of one is promised of the other."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite")
        return
    server = request.getfixturevalue("postgres")
    from qubitd.server.store.postgres_store import PostgresStore

    opened = PostgresStore(server.new_schema())
    yield opened
    opened.close()


class ProgramBuilder(Protocol):
    """Makes a program by hand."""

    def __call__(
        self,
        *,
        lines: Sequence[str],
        envelopes: Sequence[NDArray[np.complex128]],
        plays: Sequence[tuple[str, int, int, float, float, float]] = (),
        acquisitions: Sequence[tuple[str, int, int, float, float]] = (),
        duration: int,
        name: str = "p",
    ) -> Program: ...


@pytest.fixture(scope="session")
def make_program() -> ProgramBuilder:
    """Make a program from rows.

    A play is (line, start, envelope, amplitude, phase, frequency), an acquisition
    (line, start, length, frequency, phase).
    """
    return _program


def _program(
    *,
    lines: Sequence[str],
    envelopes: Sequence[NDArray[np.complex128]],
    plays: Sequence[tuple[str, int, int, float, float, float]] = (),
    acquisitions: Sequence[tuple[str, int, int, float, float]] = (),
    duration: int,
    name: str = "p",
) -> Program:
    sampled = [SampledEnvelope(samples=samples, digest=samples_digest(samples)) for samples in envelopes]
    played = sorted((lines.index(line), start, *rest) for line, start, *rest in plays)
    acquired = sorted((lines.index(line), start, *rest) for line, start, *rest in acquisitions)
    return Program(
        name=name,
        lines=tuple(lines),
        plays=Plays(
            line=np.array([row[0] for row in played], dtype=np.uint16),
            start=np.array([row[1] for row in played], dtype=np.int64),
            length=np.array([len(envelopes[int(row[2])]) for row in played], dtype=np.int64),
            envelope=np.array([row[2] for row in played], dtype=np.int32),
            amplitude=np.array([row[3] for row in played], dtype=np.float64),
            phase=np.array([row[4] for row in played], dtype=np.float64),
            frequency=np.array([row[5] for row in played], dtype=np.float64),
            frame=np.zeros(len(played), dtype=np.int16),
        ),
        acquisitions=Acquisitions(
            line=np.array([row[0] for row in acquired], dtype=np.uint16),
            qubit=np.zeros(len(acquired), dtype=np.uint16),
            start=np.array([row[1] for row in acquired], dtype=np.int64),
            length=np.array([row[2] for row in acquired], dtype=np.int64),
            frequency=np.array([row[3] for row in acquired], dtype=np.float64),
            phase=np.array([row[4] for row in acquired], dtype=np.float64),
            clbit=np.arange(len(acquired), dtype=np.int32),
            order=np.arange(len(acquired), dtype=np.int32),
        ),
        duration=duration,
        num_clbits=len(acquired),
        tables=ProgramTables(envelopes=tuple(sampled)),
    )
