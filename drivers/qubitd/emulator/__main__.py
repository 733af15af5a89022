"""Run an emulated rack: `python -m qubitd.emulator`. Prints one line when everything accepts connections, and ends by
itself."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qubitd.core.errors import QubitdError
from qubitd.emulator.cabling import load_cabling
from qubitd.emulator.chip.chip import Chip
from qubitd.emulator.clock import RealClock, VirtualClock
from qubitd.emulator.cluster.instrument import Cluster
from qubitd.emulator.lifetime import AFTER_LAST, Lifetime
from qubitd.emulator.loopback import Loopback
from qubitd.emulator.memory import keep_big_blocks
from qubitd.emulator.rack import Addresses, Rack


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a rack until it is not needed any more; gives the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, stream=sys.stderr)
    keep_big_blocks()
    try:
        cabling = load_cabling(options.cabling)
        cluster = Cluster(
            cabling.slots,
            digitiser=Loopback() if options.loopback else Chip(cabling),
            clock=RealClock() if options.real_time else VirtualClock(),
            rng=np.random.default_rng(options.seed),
        )
        rack = Rack(cluster, address=options.address, control_port=options.control_port, name=options.name)
    except QubitdError as error:
        sys.stderr.write(f"emulator: {error}\n")
        return 1
    asyncio.run(_serve(rack, Lifetime(time.monotonic, after_last=options.linger)))
    return 0


async def _serve(rack: Rack, lifetime: Lifetime) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await rack.serve(lifetime, ready=_announce, stopped=stopped)


def _announce(addresses: Addresses) -> None:
    sys.stdout.write(f"emulator ready on {addresses.address} control {addresses.control_port}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qubitd.emulator", description="Run an emulated rack of instruments."
    )
    parser.add_argument("--cabling", type=Path, metavar="NAME|FILE", help="wiring and chip; default: the demo rack")
    parser.add_argument("--address", metavar="127.a.b.c", help="loopback address; default: one that is free")
    parser.add_argument(
        "--control-port", type=int, default=0, metavar="N", help="port of the control socket; default: any"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of all noise; default: from the operating system")
    parser.add_argument("--name", default="", help="what it answers when it is asked for its name")
    parser.add_argument(
        "--linger",
        type=float,
        default=AFTER_LAST,
        metavar="SECONDS",
        help="how long it waits for somebody after the last one left (%(default)s)",
    )
    parser.add_argument("--real-time", action="store_true", help="let runs last as long as they would")
    parser.add_argument("--loopback", action="store_true", help="no chip: lead what is played back into the inputs")
    parser.add_argument("--log-level", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
