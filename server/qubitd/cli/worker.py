"""`qubitd worker`: takes compiler's work off the daemons of a group, until it is told to stop. It needs no rack."""

from __future__ import annotations

import argparse
import asyncio

from qubitd.cli.config import failpoint_to_arm
from qubitd.cli.daemon_config import LEVELS, port_number
from qubitd.cli.supervision import find_supervisor
from qubitd.cli.until_told import stop_when_told
from qubitd.server.failpoints import arm
from qubitd.server.store.opening import check_address
from qubitd.server.telemetry.logs import FORMS, configure

_MOST_PROCESSES = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--store",
        metavar="URL",
        required=True,
        help="PostgreSQL database of a group of daemons, postgresql://USER@HOST:PORT/DATABASE",
    )
    parser.add_argument(
        "--processes", type=_number, default=1, metavar="N", help="pieces of work that are done at the same time (1)"
    )
    parser.add_argument("--log-level", choices=LEVELS, default="warning", help="what is logged to stderr (warning)")
    parser.add_argument("--log-form", choices=FORMS, default="text", help="lines for people, or of JSON (text)")
    parser.add_argument(
        "--metrics-port",
        type=port_number,
        metavar="PORT",
        help="loopback port for Prometheus, 0 for any free (none)",
    )
    parser.add_argument("--stop-at-eof", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Work until SIGTERM, SIGINT or, if asked to, the end of stdin."""
    if point := failpoint_to_arm():
        arm(point)
    configure(arguments.log_level, arguments.log_form)
    check_address(arguments.store)
    asyncio.run(_work(arguments))
    return 0


async def _work(arguments: argparse.Namespace) -> None:
    from qubitd.server.workers.worker import WorkerSettings, run_worker

    settings = WorkerSettings(
        store=arguments.store,
        processes=arguments.processes,
        metrics_port=arguments.metrics_port,
        supervisor=find_supervisor(),
    )

    def announce(place: str) -> None:
        print(f"working for {place}, {arguments.processes} at a time", flush=True)

    await run_worker(settings, stop=stop_when_told(stop_at_eof=arguments.stop_at_eof), on_ready=announce)


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_PROCESSES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; give 1 to {_MOST_PROCESSES}")
    return int(text)
