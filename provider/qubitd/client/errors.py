"""What can go wrong between a client and a daemon, each with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from qubitd.core.errors import InvalidInputError, Problem, QubitdError, problem_lines


class ClientError(QubitdError):
    """Anything that went wrong between this client and a daemon."""


class AddressError(ClientError):
    """An address, or a file of a TLS connection, cannot be read."""


class ConfigError(ClientError):
    """Nothing says where the daemon is, or the file of profiles cannot be used."""


class UnconfiguredError(ConfigError):
    """Nothing says where the daemon is: no address, no profile, and no variable of the environment."""


CONNECTION_REFUSED = "connection refused"
"""The reason if nobody listens at an address."""
NO_ANSWER = "no answer in time"
"""The reason if a call took longer than one may."""


class UnreachableError(ClientError):
    """No daemon answers at the address."""

    def __init__(self, *, address: str, reason: str, advice: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(f"no daemon answers at {address} ({reason}); {advice}")

    @property
    def nobody_listens(self) -> bool:
        """Whether the port is closed; otherwise somebody may be there who speaks otherwise."""
        return self.reason == CONNECTION_REFUSED


class LostError(ClientError):
    """The daemon was there and has stayed away for longer than the client's patience."""

    def __init__(self, *, address: str, seconds: float, doing: str, reason: str) -> None:
        self.address = address
        self.seconds = seconds
        self.doing = doing
        self.reason = reason
        super().__init__(
            f"the daemon at {address} {self._story}; accepted jobs are kept: "
            f"{'' if reason == NO_ANSWER else 'start it again with `qubitd serve` and '}ask for the job by its id"
        )

    @property
    def _story(self) -> str:
        if self.reason == NO_ANSWER:
            tried = f"and was asked for {self.seconds:.3g} s"
            return f"has not finished {self.doing} in the time that a call may take, {tried}"
        return f"went away during {self.doing} and has not come back for {self.seconds:.3g} s ({self.reason})"


class RefusedError(ClientError, InvalidInputError):
    """The daemon refused an input; `problems` says what is wrong and where."""

    def __init__(self, *, message: str, problems: Sequence[Problem]) -> None:
        Exception.__init__(self, "; ".join(problem_lines(problems)) or message)
        self.problems = tuple(problems)
        self.message = message


class ProgramError(ClientError, InvalidInputError):
    """A program cannot be read; `problems` names the line and the construct."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        Exception.__init__(self, "; ".join(problem_lines(problems)))
        self.problems = tuple(problems)


class NotFoundError(ClientError):
    """The daemon knows no such backend, job, revision or parameter."""


class KeyReusedError(ClientError):
    """The key of a submission was used before with other content."""


class ConflictError(ClientError):
    """Others changed the same parameters since the base revision; `problems` names them."""

    def __init__(self, *, message: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join([message, *map(str, problems)]))


class StateError(ClientError):
    """What was asked for does not fit the state of the job, session, slot or lab."""


class ForgottenTablesError(ClientError):
    """The daemon has not, or no longer, the tables that a job named by their hashes."""

    def __init__(self, *, message: str, hashes: Sequence[bytes]) -> None:
        self.hashes = tuple(hashes)
        super().__init__(message)


class DeniedError(ClientError):
    """The daemon does not know who asks, or does not let them."""


class BusyError(ClientError):
    """The daemon is full, or the message is larger than it takes."""

    def __init__(self, *, message: str, retry_after: float | None) -> None:
        self.retry_after = retry_after
        """Seconds after which another try may succeed."""
        wait = "" if retry_after is None else f"; try again in {retry_after:.3g} s"
        super().__init__(f"{message}{wait}")


class DaemonFaultError(ClientError):
    """The daemon failed at something that is no fault of the request; its log says more."""


class OlderDaemonError(ClientError):
    """The daemon took a request and left out what it does not know, since it is older than this client."""

    def __init__(self, *, address: str, version: str, left_out: str) -> None:
        self.address = address
        self.version = version
        self.left_out = left_out
        super().__init__(
            f"the daemon at {address} (version {version or 'unknown'}) does not know {left_out}, and left it out; "
            "update the daemon, or ask without it"
        )


class ClosedError(ClientError):
    """The client was closed before."""
