"""Work that takes its time, in a process of its own at low priority: the daemon neither waits for it nor shares its
interpreter.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from qubitd.server.compiling.compile_process import NICENESS
from qubitd.server.errors import AsideError
from qubitd.server.posix import step_back

_P = ParamSpec("_P")
_Result = TypeVar("_Result")


async def aside(work: Callable[_P, _Result], *arguments: _P.args, **named: _P.kwargs) -> _Result:
    """Do something elsewhere and give what came of it; whoever gives up waiting ends it.

    Args:
        work: a function of a module, which the other process imports.
        *arguments: values that can be pickled.
        **named: as well.

    Raises:
        AsideError: it failed, or its process died.
    """
    elsewhere = _Elsewhere(work, arguments, named)
    waiting = asyncio.get_running_loop().run_in_executor(None, elsewhere.run)
    try:
        result, fault = await asyncio.shield(waiting)
    except asyncio.CancelledError:
        elsewhere.give_up()
        await asyncio.wait([waiting])
        raise
    if fault is not None:
        raise AsideError(what=fault)
    found: _Result = result
    return found


class _Elsewhere:
    """One process. `run` waits in a thread; `give_up` may come from another at any time."""

    def __init__(self, work: Callable[..., Any], arguments: Any, named: Any) -> None:
        context = multiprocessing.get_context("spawn")
        pipe: Any = context.Pipe(duplex=False)
        self._ours, self._theirs = pipe
        told = (self._theirs, work, arguments, named)
        self._process = context.Process(target=_main, args=told, name="aside", daemon=True)
        self._lock = threading.Lock()
        self._is_wanted = True

    def run(self) -> tuple[Any, str | None]:
        """Give what came of it, or what went wrong."""
        with self._ours:
            with self._lock, self._theirs:
                if not self._is_wanted:
                    return None, "nobody waits for it any more"
                self._process.start()
            try:
                outcome: tuple[Any, str | None] = self._ours.recv()
            except (EOFError, OSError):
                self._process.join()
                return None, f"the process that did it died, exit code {self._process.exitcode}"
            self._process.join()
            return outcome

    def give_up(self) -> None:
        """End it, however far it is."""
        with self._lock:
            self._is_wanted = False
            if self._process.pid is not None:
                self._process.kill()


def _main(connection: Connection, work: Callable[..., Any], arguments: Any, named: Any) -> None:
    """Work, say what came of it, and end. An interrupt from the keyboard is the daemon's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    step_back(NICENESS)
    outcome: tuple[Any, str | None]
    try:
        outcome = work(*arguments, **named), None
    except Exception as error:  # noqa: BLE001  # whatever it is, it is told where the work was asked for
        outcome = None, str(error) or repr(error)
    connection.send(outcome)
