"""The work and the memory of a process, as Linux tells them."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

from qubitd.cli.daemon_process import DaemonProcess


class Watched:
    """A daemon whose work and memory are looked at."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._process = psutil.Process(daemon.process_id)
        self._folder = Path(f"/proc/{daemon.process_id}")

    def resident(self) -> int:
        """Give bytes, and begin to look for the most."""
        (self._folder / "clear_refs").write_text("5")
        return int(self._process.memory_info().rss)

    def most_resident(self) -> int:
        """Give the most bytes since the last `resident`."""
        (most,) = map(int, re.findall(r"VmHWM:\s+(\d+) kB", (self._folder / "status").read_text()))
        return most * 1024

    def worked(self) -> float:
        """Give the seconds that it has computed."""
        times = self._process.cpu_times()
        return float(times.user + times.system)
