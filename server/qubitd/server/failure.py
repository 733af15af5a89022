"""What a job's owner is told when something went wrong, be it the input, an instrument, or a mistake of ours."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from qubitd.core.errors import Problem, QubitdError
from qubitd.server.error_codes import problems_of
from qubitd.wire.errors import clip

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job ended ERROR."""

    message: str
    problems: tuple[Problem, ...] = ()


MAX_MESSAGE = 4_096
"""Bytes of a job's message; its problems are kept beside it."""
MAX_KEPT = 101
"""Problems that are kept of a job: those that a check lists, and how many more there were."""


def failure_of(error: BaseException) -> Failure:
    """Put an error into words; one that is no `QubitdError` is a mistake of ours, and its traceback goes to the log."""
    if isinstance(error, QubitdError):
        problems = problems_of(error)[:MAX_KEPT]
        return Failure(message=clip(str(error), MAX_MESSAGE), problems=tuple(map(_clipped, problems)))
    _log.error("a job met a mistake in qubitd", exc_info=error)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failure(
        message=f"a mistake in qubitd stopped this job ({what}); it is not the job's fault. "
        f"The daemon goes on; please report this with the lines of its log"
    )


def _clipped(problem: Problem) -> Problem:
    return replace(problem, where=clip(problem.where), what=clip(problem.what))
