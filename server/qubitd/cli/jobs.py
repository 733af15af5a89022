"""`qubitd jobs`: your jobs, newest first."""

from __future__ import annotations

import argparse

from qubitd.cli.remote import add_remote, connect, moment, show_rows
from qubitd.core.job import JobStatus

_MOST = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--limit", type=_limit, default=20, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--status",
        type=str.upper,
        action="append",
        default=[],
        choices=[status.value for status in JobStatus],
        help="may be repeated",
    )
    parser.add_argument("--tag", action="append", default=[], help="only jobs that carry it; may be repeated")
    parser.add_argument("--session", default="", metavar="ID", help="only jobs of this session")
    add_remote(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    with connect(arguments) as client:
        jobs = client.list_jobs(
            limit=arguments.limit,
            statuses=[JobStatus(status) for status in arguments.status],
            tags=arguments.tag,
            session_id=arguments.session,
        )
    rows = [
        {
            "job": job.job_id,
            "status": job.status.value,
            "accepted": moment(job.created_ns),
            "circuits": job.num_circuits,
            "shots": job.shots,
            "instrument_seconds": job.instrument_seconds,
            "tags": job.tags,
            "message": job.message,
        }
        for job in jobs
    ]
    show_rows(rows, nothing="no jobs", as_json=arguments.json, one_line=("message",))
    return 0


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of jobs; give 1 to {_MOST}")
    return int(text)
