"""The name of a daemon among others, kept in its data directory, whose lock one daemon at a time holds."""

from __future__ import annotations

import uuid
from pathlib import Path

from qubitd.server.errors import DataDirError

FILE = "daemon-id"
"""Name of the file in the data directory."""


def daemon_id(directory: Path) -> str:
    """Give the name; made up at the first start. Hold the directory meanwhile.

    Raises:
        DataDirError: the file cannot be read or written.
    """
    path = directory / FILE
    try:
        if not path.exists():
            half = path.with_suffix(".part")
            half.write_text(uuid.uuid4().hex, encoding="ascii")
            half.replace(path)
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise DataDirError(path=directory, cause=error.strerror or str(error)) from error
