"""`qubitd job ID`: all that is known of one job."""

from __future__ import annotations

import argparse

from qubitd.cli.remote import add_remote, connect, moment, show_facts
from qubitd.core.errors import problem_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("job", metavar="ID", help="the job")
    add_remote(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    with connect(arguments) as client:
        job = client.get_job(arguments.job)
    facts = {
        "job": job.job_id,
        "backend": job.backend,
        "status": job.status.value,
        "message": job.message,
        "accepted": moment(job.created_ns),
        "calibration": job.revision,
        "circuits": job.num_circuits,
        "programs": job.num_programs,
        "shots": job.shots,
        "instrument_seconds": job.instrument_seconds,
        "session": job.session_id,
        "tags": job.tags,
    }
    if job.queue is not None:
        facts |= {"jobs_before_it": job.queue.position, "expected_start": moment(job.queue.expected_start_ns)}
    begin = job.timeline[0].time_ns if job.timeline else 0
    facts |= {f"stage_{stage.stage}": f"{(stage.time_ns - begin) * 1e-6:.3f} ms" for stage in job.timeline}
    problems = [str(problem) for problem in job.problems] if arguments.json else problem_lines(job.problems)
    facts |= {f"problem_{number}": problem for number, problem in enumerate(problems, start=1)}
    show_facts(facts, as_json=arguments.json)
    return 0
