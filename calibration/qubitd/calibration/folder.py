"""The folder for pictures and data, looked at before anything is measured so that nothing is lost afterwards."""

from __future__ import annotations

import os
from pathlib import Path

from qubitd.calibration.errors import OutputFolderError


def make_folder(folder: Path) -> Path:
    """Give a folder that can be written to, made if it is missing.

    Raises:
        OutputFolderError: it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFolderError(f"{folder} cannot hold pictures ({error.strerror}); name another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputFolderError(f"{folder} cannot be written to; name another folder")
    return folder
