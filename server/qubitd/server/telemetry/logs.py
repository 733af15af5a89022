"""Which job, session or instrument a log line is about comes from a context variable, so that nobody passes ids along
for the log's sake.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

FORMS = ("text", "json")
"""How lines may be written."""
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default={})  # noqa: B039  (never changed in place)
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s%(details)s"
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "details", "taskName"}


@contextmanager
def about(**names: str) -> Generator[None]:
    """Everything logged inside is about these: `job`, `session`, `instrument`; what is empty is left out."""
    token = _about.set({**_about.get(), **{key: value for key, value in names.items() if value}})
    try:
        yield
    finally:
        _about.reset(token)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Give a record's variable fields, and what it is about."""
    own = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    return {**_about.get(), **own}


class _Details(logging.Filter):
    """Writes a record's variable fields behind its fixed message."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        record.details = "".join(f" {key}={value}" for key, value in _fields(record).items())
        return True


class _Json(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Give time, level, logger and message, then the record's fields; a traceback in `error`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(level: str, form: str = "text") -> None:
    """Log to stderr, as lines for people or of JSON. Only the command line calls this."""
    handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(_Json())
    else:
        handler.addFilter(_Details())
        handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
