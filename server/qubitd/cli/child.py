"""A process that we start, that says when it is ready, and that does not outlive us."""

from __future__ import annotations

import selectors
import subprocess
import sys
from collections.abc import Sequence

from qubitd.core.errors import QubitdError

_READY_SECONDS = 60.0
_STOP_SECONDS = 10.0


class ChildError(QubitdError):
    """A process that we started did not become ready."""

    def __init__(self, *, name: str, what: str) -> None:
        self.name = name
        super().__init__(f"{name} {what}; its own message, if it had one, stands above")


def started(module: str, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start a module with pipes to its stdin and stdout, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


class Child:
    """A running Python module. Of its own session: Ctrl-C reaches us alone, and we end it in order."""

    def __init__(self, module: str, arguments: Sequence[str], *, name: str) -> None:
        self._name = name
        self._process = started(module, arguments)

    @property
    def process_id(self) -> int:
        """Its number in the operating system."""
        return self._process.pid

    def first_line(self) -> str:
        """Wait for the first line that it prints.

        Raises:
            ChildError: it ended, or took too long.
        """
        output = self._process.stdout
        if output is None:
            raise ChildError(name=self._name, what="has no output")
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            line = output.readline() if selector.select(_READY_SECONDS) else ""
        if line:
            return line.strip()
        self.stop()
        raise ChildError(name=self._name, what=f"did not start (exit code {self._process.returncode})")

    def wait(self, timeout: float) -> int:
        """Wait for its end and give its exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self._process.wait(timeout)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order; by force if it does not end. Safe to call twice."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
