"""Where things are on this machine. The only place that reads the environment."""

from __future__ import annotations

import os
from pathlib import Path

USUAL_ADDRESS = "localhost:50051"
"""Where a daemon is looked for if nobody says where it is."""


def state_directory() -> Path:
    """Give the directory in which qubitd keeps what must survive a restart."""
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state"
    return root / "qubitd"
