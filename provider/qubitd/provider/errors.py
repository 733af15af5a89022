"""Errors as a Qiskit user expects them: each is also Qiskit's own class, and its text has no quotes round it."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit.exceptions import QiskitError
from qiskit.providers import JobError, JobTimeoutError, QiskitBackendNotFoundError

from qubitd.core.errors import InvalidInputError, Problem, QubitdError, problem_lines


class ProviderError(QubitdError, QiskitError):
    """Anything that the provider raises."""

    def __init__(self, message: str) -> None:
        QiskitError.__init__(self, message)  # what stands between in the order of bases may want problems
        self.message = message

    def __str__(self) -> str:
        return self.message


class BackendNotFoundError(ProviderError, QiskitBackendNotFoundError):
    """The daemon has no such backend."""


class JobRefusedError(ProviderError, InvalidInputError):
    """Circuits or options cannot run on this backend; `problems` holds all that was found wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        ProviderError.__init__(self, "\n".join(problem_lines(problems)))
        self.problems = tuple(problems)


class JobFailedError(ProviderError, JobError):
    """The job gave no result: it failed, was cancelled, or cannot be reached."""

    def __init__(self, message: str, *, job_id: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.problems = tuple(problems)


class JobUnfinishedError(ProviderError, JobTimeoutError, TimeoutError):
    """The job did not end within the time that the caller gave it; it goes on."""


class SessionNotFoundError(ProviderError):
    """The daemon has no such session of yours."""


class SessionClosedError(ProviderError):
    """The session is closed and takes no more jobs."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id} is closed and takes no more jobs; open another one")
        self.session_id = session_id


class CircuitFileError(ProviderError, InvalidInputError):
    """A circuit file cannot be read; `problems` names lines and constructs."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        ProviderError.__init__(self, "\n".join(problem_lines(problems)))
        self.problems = tuple(problems)
