"""A process that does what would keep the daemon from answering, at a lower priority.

It holds nothing that is not told it again: if it dies, the work is done again by another one.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from qubitd.server.errors import HelperForgoneError, HelperProcessError, HelperTooLongError
from qubitd.server.posix import return_big_blocks, step_back

_log = logging.getLogger(__name__)
ATTEMPTS = 2
"""How often the same work is begun; a second death is most likely its own doing."""
_GLANCE = 0.05
"""Seconds after which it is asked again whether somebody still waits for the work."""

_Tools = TypeVar("_Tools")
_P = ParamSpec("_P")
_Result = TypeVar("_Result")


class Long:
    """Bytes that cross to the other process as they are; within a pickle they would be copied twice, in one breath."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        return Long, (pickle.PickleBuffer(self.data),)


class HelperProcess(Generic[_Tools]):
    """Another process, started when it is first needed. Called by one thread at a time, which waits."""

    def __init__(self, equip: Callable[[], _Tools], *, name: str, task: str, niceness: int, longest: float) -> None:
        """Have a process.

        Args:
            equip: makes there what its work is done with.
            name: of the process.
            task: what it does, for whoever reads that it died: `compiles big jobs`.
            niceness: how far it stands back behind other processes, 0 to 19.
            longest: seconds after which work is taken to have no end.
        """
        self._equip = equip
        self._name = name
        self._task = task
        self._niceness = niceness
        self._longest = longest
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._is_closed = False

    @property
    def process_id(self) -> int | None:
        """Its number in the operating system; None before it is needed."""
        return None if self._process is None else self._process.pid

    @property
    def is_closed(self) -> bool:
        """Whether it does nothing more."""
        return self._is_closed

    def do(self, work: Callable[Concatenate[_Tools, _P], _Result], *arguments: _P.args, **named: _P.kwargs) -> _Result:
        """Have work done there, and give or raise what came of it.

        Raises:
            HelperProcessError: the process does not survive it.
            HelperTooLongError: it comes to no end.
            HelperForgoneError: as `do_while`.
        """
        return self.do_while(always, work, *arguments, **named)

    def do_while(
        self,
        is_wanted: Callable[[], bool],
        work: Callable[Concatenate[_Tools, _P], _Result],
        *arguments: _P.args,
        **named: _P.kwargs,
    ) -> _Result:
        """Have work done there as long as somebody waits for it; the process ends with work that nobody wants.

        Raises:
            HelperProcessError: as `do`.
            HelperTooLongError: as `do`.
            HelperForgoneError: nobody waits for it any more.
        """
        for _ in range(ATTEMPTS):
            connection = self._open()
            try:
                result, error = self._exchanged(connection, (work, arguments, named), is_wanted)
            except (EOFError, OSError) as death:
                self._bury(connection, death)
                continue
            except BaseException as cause:  # what is left in the pipe would be the next one's answer
                self._bury(connection, cause)
                raise
            if error is not None:
                raise error
            found: _Result = result
            return found
        raise HelperProcessError(task=self._task, attempts=ATTEMPTS)

    def start(self) -> None:
        """Start it, unless it runs: it will be needed soon."""
        self._open()

    def close(self) -> None:
        """End the process, whatever it does; who waits for it is told."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()

    def _open(self) -> Connection:
        with self._lock:
            if self._is_closed:
                raise HelperProcessError(task=self._task, attempts=0)
            if self._process is None:
                context = multiprocessing.get_context("spawn")
                pipe: Any = context.Pipe()
                self._connection, theirs = pipe
                arguments = (theirs, self._equip, self._niceness)
                self._process = context.Process(target=_main, args=arguments, name=self._name, daemon=True)
                self._process.start()
                theirs.close()
            connection: Connection = self._connection
            return connection

    def _exchanged(
        self, connection: Connection, message: Any, is_wanted: Callable[[], bool]
    ) -> tuple[Any, Exception | None]:
        _send(connection, message)
        until = time.monotonic() + self._longest
        while not connection.poll(min(_GLANCE, self._longest)):
            if not is_wanted():
                raise HelperForgoneError(task=self._task)
            if time.monotonic() >= until:
                raise HelperTooLongError(task=self._task, seconds=self._longest)
        outcome: tuple[Any, Exception | None] = _receive(connection)
        return outcome

    def _bury(self, connection: Connection, death: BaseException) -> None:
        with self._lock:
            connection.close()
            if self._process is not None:
                self._process.kill()
                self._process.join()
                told = {"task": self._task, "exit": self._process.exitcode, "cause": repr(death)}
                is_meant = self._is_closed or isinstance(death, HelperForgoneError)
                _log.log(logging.DEBUG if is_meant else logging.WARNING, "a helping process died", extra=told)
            self._process = None


def always() -> bool:
    """Say that work is wanted until it is done."""
    return True


def _send(connection: Connection, message: Any) -> None:
    beside: list[pickle.PickleBuffer] = []

    def is_within(buffer: pickle.PickleBuffer) -> bool:
        is_long = isinstance(buffer.raw().obj, bytes)
        if is_long:
            beside.append(buffer)
        return not is_long

    connection.send_bytes(pickle.dumps(message, protocol=5, buffer_callback=is_within))
    for buffer in beside:
        connection.send_bytes(buffer.raw())


def _receive(connection: Connection) -> Any:
    return pickle.loads(connection.recv_bytes(), buffers=_following(connection))  # noqa: S301  # our own child


def _following(connection: Connection) -> Iterator[bytes]:
    while True:
        yield connection.recv_bytes()


def _main(connection: Connection, equip: Callable[[], Any], niceness: int) -> None:
    """Work until the daemon hangs up. An interrupt from the keyboard is the daemon's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    step_back(niceness)
    return_big_blocks()
    tools = equip()
    with contextlib.suppress(EOFError, OSError):
        while True:
            work, arguments, named = _receive(connection)
            _send(connection, _outcome(work, tools, arguments, named))
            del work, arguments, named


def _outcome(work: Callable[..., Any], tools: Any, arguments: Any, named: Any) -> tuple[Any, Exception | None]:
    try:
        return work(tools, *arguments, **named), None
    except Exception as error:  # noqa: BLE001  # whatever it is, it is raised again where the work was asked for
        return None, error
