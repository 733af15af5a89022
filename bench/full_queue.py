"""Times what clients ask for while nobody waits, and while a hundred thousand jobs do: Get, List, Submit, Watch.

Both daemons are measured in turn, round by round, so that whatever else the machine does is in both. Their racks are
reserved for maintenance, so that what is submitted waits. The last line of `--json` is one JSON object; its `ratio` is
the largest of the four, each the least seconds with the full queue over the least without. `start_s` is how long a
daemon that finds the full queue takes from the start of its process to its first answer.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from jobs import bell

from qubitd.cli.daemon_process import start_daemon
from qubitd.client import QubitdClient, Reservation, SlotKind
from qubitd.server.store.sqlite_store import DATABASE

WAITING = 100_000
GOAL = 1.2
GOAL_START = 5.0
BACKEND = "line5"
ASKED: dict[str, Callable[[QubitdClient, str], object]] = {
    "get": lambda client, job_id: client.get_job(job_id),
    "list": lambda client, _: client.list_jobs(limit=10),
    "submit": lambda client, _: client.submit(bell(), BACKEND),
    "watch": lambda client, job_id: next(iter(client.watch(job_id))),
}


def left(folder: Path, others: int) -> str:
    """Leave a store with a reserved rack, a job that waits, and so many others behind it; gives the job's id."""
    with start_daemon(data_dir=folder) as daemon, QubitdClient(daemon.address) as client:
        held = Reservation(key="held", backend=BACKEND, kind=SlotKind.MAINTENANCE, seconds=36_000.0)
        client.slots.reserve(held)
        job_id = client.submit(bell(), BACKEND)
        for event in client.watch(job_id):
            if "QUEUED" in str(event.what):
                break
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(job)")]
        same = ", ".join(name for name in columns if name not in ("number", "id", "key"))
        connection.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n <= ?)"  # noqa: S608 (names of ours)
            f" INSERT INTO job (id, key, {same}) SELECT 'copy-' || n, 'copy ' || n, {same} FROM job, n"
            " WHERE id = ? AND n <= ?",
            (others, job_id, others),
        )
        connection.execute(
            "INSERT INTO event (job, project, own, time_ns, kind, name, text, done, total)"
            " SELECT copy.number, project, 100 + copy.number, time_ns, kind, name, text, done, total FROM event"
            " JOIN job AS copy ON copy.id <> ? WHERE own = 1",
            (job_id,),
        )
        connection.execute("UPDATE project SET events = (SELECT max(own) FROM event)")
        connection.commit()
    return job_id


def measured(rounds: int, waiting: int) -> dict[str, float]:
    """Print the figures of each request and of the start; give the ratios, and the seconds of the start."""
    with ExitStack() as stack:
        daemons: list[tuple[QubitdClient, str]] = []
        for others in (0, waiting):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            job_id = left(folder, others)
            began = time.perf_counter()
            daemon = stack.enter_context(start_daemon(data_dir=folder))
            daemons.append((stack.enter_context(QubitdClient(daemon.address)), job_id))
            daemons[-1][0].lab.health()
            start = time.perf_counter() - began
        while daemons[1][0].lab.health().queued < waiting:
            time.sleep(0.1)
        times: dict[str, tuple[list[float], list[float]]] = {what: ([], []) for what in ASKED}
        for _ in range(rounds):
            for what, ask in ASKED.items():
                for (client, job_id), found in zip(daemons, times[what], strict=True):
                    began = time.perf_counter()
                    ask(client, job_id)
                    found.append(time.perf_counter() - began)
    ratios = {what: min(full) / min(empty) for what, (empty, full) in times.items()}
    for what, (empty, full) in times.items():
        figures = f"{min(empty) * 1e3:7.2f} ms with no queue, {min(full) * 1e3:7.2f} ms with {waiting} waiting"
        print(f"{what:6} {figures}: {ratios[what]:.2f} (goal at most {GOAL:g})")
    print(f"start  {start:7.2f} s to the first answer with {waiting} waiting (goal {GOAL_START:g})")
    return ratios | {"start_s": start}


def main() -> int:
    """Measure; the last line is JSON if asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=200, help="of each request (%(default)s)")
    parser.add_argument("--waiting", type=int, default=WAITING, help="jobs in the full queue (%(default)s)")
    options = parser.parse_args()
    figures = measured(options.rounds, options.waiting)
    if options.json:
        print(json.dumps({"ratio": max(figures[what] for what in ASKED), **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
