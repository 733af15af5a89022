"""Whom the daemon refuses is in its audit log, once a second however often they knock and whatever the clock says."""

from __future__ import annotations

from pathlib import Path

from qubitd.server.clocks import Clocks
from qubitd.server.front.denials import Denials
from qubitd.server.store.audit import read_lines
from qubitd.server.store.backup import open_source
from qubitd.server.store.sqlite_store import SqliteStore

HOUR = 3600


def test_a_refusal_is_logged_again_after_a_second_though_the_wall_clock_was_set_back(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    seconds, offset = 100.0, 0
    clocks = Clocks(wall=lambda: round(seconds + offset) * 10**9, steady=lambda: seconds)
    denials = Denials(store=sqlite, clocks=clocks)
    for later, step in ((0.0, 0), (0.5, 0), (1.0, -HOUR), (0.5, HOUR), (1.0, 0)):
        seconds, offset = seconds + later, offset + step
        denials("bob", "denied qubitd.v1.Lab/Stop")
    denials("ann", "denied qubitd.v1.Lab/Stop")
    sqlite.write(lambda w: None).result()
    lines = [(line.who, line.what) for line in read_lines(open_source(tmp_path))]
    assert lines == [("bob", "denied qubitd.v1.Lab/Stop")] * 3 + [("ann", "denied qubitd.v1.Lab/Stop")]
