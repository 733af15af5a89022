"""Which job a log line is about comes from a context variable, so that nobody passes ids along for the log's sake."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_job: ContextVar[str] = ContextVar("job", default="")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s%(details)s"
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "details", "taskName"}


@contextmanager
def about_job(job_id: str) -> Generator[None]:
    """Everything logged inside is about this job."""
    token = _job.set(job_id)
    try:
        yield
    finally:
        _job.reset(token)


class _Details(logging.Filter):
    """Writes a record's variable fields behind its fixed message."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if _job.get() and "job" not in fields:
            fields["job"] = _job.get()
        record.details = "".join(f" {key}={value}" for key, value in fields.items())
        return True


def configure(level: str) -> None:
    """Log to stderr. Only the command line calls this."""
    handler = logging.StreamHandler()
    handler.addFilter(_Details())
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
