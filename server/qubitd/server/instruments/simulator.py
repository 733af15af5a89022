"""The control socket of an emulated rack: lines of JSON. Used for the seed of a simulation, and to know and end it."""

from __future__ import annotations

import json
import socket

from qubitd.server.errors import SimulatorError

_TIMEOUT = 10.0


class Simulator:
    """One control socket, opened for each use: it is used rarely, and never while instruments wait."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def is_gone(self) -> bool:
        """Whether nobody listens there any more, or hangs up, as a process does that dies."""
        try:
            self.name()
        except SimulatorError as error:
            return isinstance(error.__cause__, ConnectionError | ValueError)
        return False

    def seed(self, seed: int) -> None:
        """Make what follows repeatable.

        Raises:
            SimulatorError: the emulator does not answer, or refuses.
        """
        self._ask({"command": "seed", "value": seed})

    def name(self) -> str:
        """Give the name that the rack was started with.

        Raises:
            SimulatorError: as for `seed`.
        """
        return str(self._ask({"command": "name"}).get("name"))

    def end(self) -> None:
        """End the rack.

        Raises:
            SimulatorError: as for `seed`.
        """
        self._ask({"command": "end"})

    def _ask(self, request: dict[str, object]) -> dict[str, object]:
        try:
            with socket.create_connection((self._host, self._port), timeout=_TIMEOUT) as connection:
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as answers:
                    answer = json.loads(answers.readline())
        except (OSError, ValueError) as error:
            raise self._failed(f"does not answer ({error})") from error
        if not isinstance(answer, dict) or not answer.get("ok"):
            raise self._failed(f"refused {request}: {answer}")
        return answer

    def _failed(self, what: str) -> SimulatorError:
        return SimulatorError(address=f"{self._host}:{self._port}", what=what)
