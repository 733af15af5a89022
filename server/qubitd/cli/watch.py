"""`qubitd watch ID`: what happens to a job, as it happens, to its end."""

from __future__ import annotations

import argparse
import json
from typing import assert_never

from qubitd.cli.remote import add_remote, connect, moment
from qubitd.client import Bookmark, JobEvent, LogLine, Progress, QueuePlace, StageTime, StatusChange
from qubitd.core.job import JobStatus

_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("job", metavar="ID", help="the job")
    add_remote(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each event; the exit code is 1 unless the job is DONE at its end."""
    last = None
    with connect(arguments) as client:
        for event in client.watch(arguments.job):
            kind, text = _told(event)
            if arguments.json:
                line = {"sequence": event.sequence, "time_ns": event.time_ns, "kind": kind, "text": text}
                print(json.dumps(line), flush=True)
            elif not isinstance(event.what, Bookmark):
                print(f"{moment(event.time_ns)}  {kind:8}  {text}", flush=True)
            if isinstance(event.what, StatusChange):
                last = event.what.status
    return 0 if last is JobStatus.DONE else _FAILED


def _told(event: JobEvent) -> tuple[str, str]:
    match event.what:
        case StatusChange(status=status, message=message):
            return "status", f"{status.value} {message}".strip()
        case StageTime(stage=stage):
            return "stage", stage
        case Progress(done=done, total=total):
            return "progress", f"{done} of {total} shots are kept"
        case LogLine(text=text):
            return "log", text
        case QueuePlace(position=position, expected_start_ns=start):
            return "queue", f"{position} jobs before it" + (f", expected to start at {moment(start)}" if start else "")
        case Bookmark():
            return "bookmark", f"nothing up to {event.sequence}"
        case _:
            assert_never(event.what)
