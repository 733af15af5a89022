"""The one thread that writes. What waits when it comes round shares one commit; a future gives its result only after
that. What nobody waits for may wait for company.

What several commands of a commit add to, such as the audit's chain, is written at its end, once for all of them. A
command that is refused undoes itself alone. A disk that fails ends all writing: a failed fsync cannot be repeated,
since the pages it lost are already marked clean.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from qubitd.core.errors import QubitdError
from qubitd.server.errors import ImpossibleWriteError, StoreBrokenError
from qubitd.server.failpoints import failpoint
from qubitd.server.store.database import Database, Engine, Postponing
from qubitd.server.telemetry.meters import Meters

_log = logging.getLogger(__name__)
_LARGEST_COMMIT = 256
"""Commands in one commit, save for those that came together; bounds how long the first of them waits."""

State = TypeVar("State", bound=Postponing)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Command(Generic[State]):
    run: Callable[[State], Any]
    future: Future[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Written:
    future: Future[Any]
    result: Any


class Writer(Generic[State]):
    """Runs commands on the store's read-write connection, in order, many to a commit."""

    def __init__(
        self,
        *,
        engine: Engine,
        prepare: Callable[[Database], State],
        on_broken: Callable[[StoreBrokenError], None],
        meters: Meters,
    ) -> None:
        """Open the store; `prepare` checks it and makes what commands work on, `on_broken` is called from the thread.

        Raises:
            QubitdError: whatever `prepare` found.
        """
        self._engine = engine
        self._prepare = prepare
        self._on_broken = on_broken
        self._meters = meters
        self._commands: queue.SimpleQueue[list[_Command[State]] | None] = queue.SimpleQueue()
        self._unhurried: list[_Command[State]] = []
        self._between: deque[tuple[Callable[[Database], Any], Future[Any]]] = deque()
        """What is to be done outside any transaction."""
        self._lock = threading.Lock()
        """Held to hand over commands, in their order, or to refuse all that come."""
        self._broken: StoreBrokenError | None = None
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._main, name="store-writer")
        self._thread.start()
        self._opened.result()

    def submit(self, run: Callable[[State], Result], *, hurried: bool = True) -> Future[Result]:
        """Run a command; the future gives its result once it is durable, or what it raised.

        One that is not hurried goes with the next that is, in order, or when `hurry` is called. It may be run twice,
        and what it wrote the first time be undone, so it must do nothing else.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._broken is not None:
                future.set_exception(self._broken)
                return future
            self._unhurried.append(_Command(run=run, future=future))
            if hurried:
                self._hand_over()
        return future

    def hurry(self) -> None:
        """Let what was not hurried wait no longer."""
        with self._lock:
            if self._unhurried:
                self._hand_over()

    def between(self, run: Callable[[Database], Result]) -> Future[Result]:
        """Do something on the store's connection between two commits, outside any transaction."""
        future: Future[Result] = Future()
        with self._lock:
            if self._broken is not None:
                future.set_exception(self._broken)
            else:
                self._between.append((run, future))
                self._hand_over()
        return future

    def close(self) -> None:
        """Finish what waits, then close the store. Safe to call twice."""
        self.hurry()
        self._commands.put(None)
        self._thread.join()

    def _hand_over(self) -> None:
        commands, self._unhurried = self._unhurried, []
        self._commands.put(commands)

    def _main(self) -> None:
        try:
            connection, state = self._open()
        except self._engine.opening as error:
            self._opened.set_exception(self._refusal(error))
            return
        except BaseException as error:
            self._opened.set_exception(error)
            raise
        self._opened.set_result(None)
        try:
            self._serve(connection, state)
        finally:
            connection.close()
            self._refuse_rest()

    def _open(self) -> tuple[Database, State]:
        connection = self._engine.open_writer()
        try:
            state = self._prepare(connection)
            self._engine.assert_durable(connection)
        except BaseException:
            connection.close()
            raise
        return connection, state

    def _serve(self, connection: Database, state: State) -> None:
        while (commands := self._commands.get()) is not None:
            batch, is_last = self._gather(commands)
            began = time.monotonic()
            try:
                written = _commit(self._engine, connection, state, batch) if batch else []
            except self._engine.failures as error:
                self._break(batch, error)
                return
            except BaseException as error:
                self._break(batch, error)
                raise
            took = time.monotonic() - began
            for done in written:  # in order: whoever sees the later sees the earlier, too
                done.future.set_result(done.result)
            if batch:
                self._meters.note("commit", took)
            if not self._did_between(connection) or is_last:
                return

    def _did_between(self, connection: Database) -> bool:
        """Whether what was to be done between two commits went well; else nothing can be written any more."""
        while self._between:
            run, future = self._between.popleft()
            try:
                result = run(connection)
            except self._engine.failures as error:
                self._break([_Command(run=_nothing, future=future)], error)
                return False
            except BaseException as error:
                self._break([_Command(run=_nothing, future=future)], error)
                raise
            future.set_result(result)
        return True

    def _gather(self, first: list[_Command[State]]) -> tuple[list[_Command[State]], bool]:
        batch = first
        while len(batch) < _LARGEST_COMMIT:
            try:
                commands = self._commands.get_nowait()
            except queue.Empty:
                break
            if commands is None:
                return batch, True
            batch += commands
        return batch, False

    def _refusal(self, error: Exception) -> QubitdError:
        if isinstance(error, QubitdError):
            return error
        refusal = self._engine.unopened(error)
        refusal.__cause__ = error
        return refusal

    def _break(self, batch: list[_Command[State]], error: BaseException) -> None:
        cause = str(error) or repr(error)
        with self._lock:
            self._broken = error if isinstance(error, StoreBrokenError) else self._engine.broken(cause)
        _log.critical("the store cannot be written", extra={"place": self._broken.place, "cause": cause})
        self._on_broken(self._broken)
        for command in batch:
            if not command.future.done():
                command.future.set_exception(self._broken)

    def _refuse_rest(self) -> None:
        with self._lock:
            self._broken = self._broken or self._engine.broken("the store is closed")
            left = self._unhurried
        for _, future in self._between:
            future.set_exception(self._broken)
        while True:
            for command in left:
                command.future.set_exception(self._broken)
            try:
                left = self._commands.get_nowait() or []
            except queue.Empty:
                return


def _commit(engine: Engine, connection: Database, state: State, batch: list[_Command[State]]) -> list[_Written]:
    """Run commands in one transaction. Few are ever refused, so that each is set apart only once one was: a savepoint
    takes two statements, and a database may be a network away.
    """
    due = [command for command in batch if command.future.set_running_or_notify_cancel()]
    refused: list[tuple[Future[Any], Exception]] = []
    engine.begin(connection)
    failpoint("commit.begin")
    state.postpone()
    try:
        written = [_written(command, state) for command in due]
        state.settle()
    except engine.refusals:
        state.drop()
        connection.execute("ROLLBACK")
        engine.begin(connection)
        written, refused = _one_by_one(engine, connection, state, due)
    failpoint("commit.before")
    connection.execute("COMMIT")
    failpoint("commit.after")
    for future, refusal in refused:
        future.set_exception(refusal)
    return written


def _one_by_one(
    engine: Engine, connection: Database, state: State, due: list[_Command[State]]
) -> tuple[list[_Written], list[tuple[Future[Any], Exception]]]:
    """Run commands so that one which is refused undoes itself alone."""
    written: list[_Written] = []
    refused: list[tuple[Future[Any], Exception]] = []
    for command in due:
        connection.execute("SAVEPOINT command")
        try:
            done = _written(command, state)
            state.settle()
            written.append(done)
        except engine.refusals as error:
            state.drop()
            connection.execute("ROLLBACK TO command")
            is_ours = isinstance(error, QubitdError)
            refused.append((command.future, error if is_ours else ImpossibleWriteError(cause=str(error))))
        connection.execute("RELEASE command")
    return written, refused


def _written(command: _Command[State], state: State) -> _Written:
    return _Written(future=command.future, result=command.run(state))


def _nothing(_: object) -> None:
    """Nothing is left to run."""
