"""Processes of ours that start in a hundredth of a second: copies of one that has imported everything already.

    python -P tests/prepared.py

serves whoever holds the other end of its stdin, a socket. Each request is a module, its arguments, the environment and
the folder, with five descriptors: stdin, stdout, stderr, a socket for the answers, which are the process's number and a
descriptor of it, and in the end its exit status, and that other end, so that a daemon can have its rack started, too.
What starts is a process like any other, with a session of its own. It runs by itself, so that it has no thread when it
copies itself, and imports nothing of the tests.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from qubitd.cli import child

_MODULES = ("qubitd.cli.__main__", "qubitd.cli.serve", "qubitd.emulator.__main__")
_LATER = ("encodings.idna", "numpy.fft", "numpy.ma", "numpy.random", "psutil", "pyvisa_py.highlevel")
"""What they import as they begin."""
_LONGEST = 1 << 18
"""Bytes of a request."""
_STDERR = 2
_ASKING = 3
"""The descriptor through which a prepared process asks for others."""
_STARTERS = ("qubitd.cli",)
"""Modules that start others. An emulator lingers, and must not keep the way to ask open."""
_COUNTED = "COVERAGE_PROCESS_CONFIG"
"""Set where lines are counted, which must begin before the first import."""


class Nursery:
    """Starts processes; its own begins with the first of them, unless there is a way to ask one."""

    def __init__(self, control: socket.socket | None = None) -> None:
        self._control = control
        self._server: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def started(self, module: str, arguments: Sequence[str]) -> PreparedProcess:
        """Start `python -m module arguments` with pipes to its stdin and stdout."""
        their_stdin, stdin = os.pipe()
        stdout, their_stdout = os.pipe()
        answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps([module, list(arguments), dict(os.environ), str(Path.cwd())]).encode()
        asked = self._asked()
        handed = [their_stdin, their_stdout, _STDERR, theirs.fileno(), asked.fileno()]
        socket.send_fds(asked, [request], handed)
        theirs.close()
        os.close(their_stdin)
        os.close(their_stdout)
        return PreparedProcess(answers, stdin=stdin, stdout=stdout)

    def close(self) -> None:
        """End the server; what it started goes on."""
        if self._control is not None and self._server is not None:
            self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()
            self._server.wait()

    def _asked(self) -> socket.socket:
        with self._lock:
            if self._control is None:
                self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:
                    command = [sys.executable, "-P", __file__]
                    self._server = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)
            return self._control


class PreparedProcess:
    """As much of `subprocess.Popen` as is asked of it."""

    def __init__(self, answers: socket.socket, *, stdin: int, stdout: int) -> None:
        number, descriptors, _, _ = socket.recv_fds(answers, _LONGEST, 1)
        self.pid = int(number)
        self.returncode: int | None = None
        self.stdin = os.fdopen(stdin, "w")
        self.stdout = os.fdopen(stdout)
        self._answers = answers
        (self._descriptor,) = descriptors

    def poll(self) -> int | None:
        """Give the exit code; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and give the exit code."""
        if self.returncode is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a prepared process", timeout or 0)
            self.returncode = int(self._answers.recv(_LONGEST))
            self._answers.close()
            os.close(self._descriptor)
        return self.returncode

    def kill(self) -> None:
        """End it as a power cut would."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)


@contextlib.contextmanager
def prepared_starts() -> Generator[None]:
    """Let daemons and emulators that this process starts be prepared ones, unless their lines are counted."""
    if _COUNTED in os.environ:
        yield
        return
    nursery, usual = Nursery(), child.started
    _let_start(nursery)
    try:
        yield
    finally:
        child.started = usual
        nursery.close()


def _let_start(nursery: Nursery) -> None:
    """Have it start what this process starts."""
    child.started = nursery.started  # type: ignore[assignment]  # what it gives is like a Popen, and is none


def _serve(control: socket.socket) -> None:
    with selectors.DefaultSelector() as waiting:
        waiting.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.data is not None:
                    waiting.unregister(key.fd)
                    _tell_end(key.fd, *key.data)
                elif not _begin(control, waiting):
                    return


def _begin(control: socket.socket, waiting: selectors.BaseSelector) -> bool:
    """Start what is asked for next; False if nobody asks any more. Does not return in what is started."""
    request, descriptors, _, _ = socket.recv_fds(control, _LONGEST, 5)
    if not request:
        return False
    number = os.fork()
    if number == 0:
        waiting.close()
        control.detach()
        _become(json.loads(request), descriptors)
    for given in (*descriptors[:3], descriptors[4]):
        os.close(given)
    told, process = socket.socket(fileno=descriptors[3]), os.pidfd_open(number)
    waiting.register(process, selectors.EVENT_READ, (number, told))
    with contextlib.suppress(OSError):
        socket.send_fds(told, [str(number).encode()], [process])
    return True


def _tell_end(process: int, number: int, told: socket.socket) -> None:
    os.close(process)
    code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    with told, contextlib.suppress(OSError):
        told.send(str(code).encode())


def _become(request: Any, descriptors: Sequence[int]) -> NoReturn:
    """Go on as the process that was asked for."""
    module, arguments, environment, folder = request
    os.setsid()
    for wanted, given in enumerate(descriptors[:3]):
        os.dup2(given, wanted)
    is_starter = module in _STARTERS
    if is_starter:
        os.dup2(descriptors[4], _ASKING, inheritable=False)
    os.closerange(_ASKING + is_starter, 65_536)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.argv = [module, *arguments]
    if is_starter:
        _let_start(Nursery(socket.socket(fileno=_ASKING)))
    sys.exit(importlib.import_module(f"{module}.__main__").main(arguments))


def main() -> None:
    """Import, then serve until nobody asks any more."""
    for module in (*_MODULES, *_LATER):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=0))


if __name__ == "__main__":
    main()
