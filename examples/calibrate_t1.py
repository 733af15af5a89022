"""Measure T1 of one qubit with a batch of circuits, one for each delay: commits `qN.t1`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qubitd.calibration.calibrate import Calibrator, Outcome
from qubitd.calibration.narrator import Narrator
from qubitd.calibration.run import qubit_index
from qubitd.calibration.t1 import T1
from qubitd.client.options import add_access, connect
from qubitd.core.errors import QubitdError

FIRST_GUESS = 150e-6
"""Longest delay in seconds for a qubit whose T1 was never measured."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_access(parser)
    parser.add_argument("--backend", default="line5", help="name of the device (%(default)s)")
    parser.add_argument("--qubit", default="q0", help="name of the qubit (%(default)s)")
    parser.add_argument("--max-delay", type=float, help="longest delay in seconds (five times the T1 in force)")
    parser.add_argument("--points", type=int, default=21, help="delays from 0 (%(default)s)")
    parser.add_argument("--shots", type=int, default=1000, help="per delay (%(default)s)")
    parser.add_argument("--seed", type=int, help="makes an emulated chip repeatable")
    parser.add_argument(
        "--output", type=Path, default=Path("build/calibration"), help="for pictures and data (%(default)s)"
    )
    parser.add_argument("--dry-run", action="store_true", help="measure and judge, commit nothing")
    return parser.parse_args()


def status(text: str) -> None:
    """Show a line that the next one replaces, if somebody is watching."""
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="\r", file=sys.stderr, flush=True)


def calibrate(options: argparse.Namespace) -> Outcome:
    with connect(options) as client:
        backend = client.backend(options.backend)
        index = qubit_index(backend, options.qubit)
        known = backend.qubits[index].t1
        longest = options.max_delay or (5 * known if known else FIRST_GUESS)
        t1 = T1(qubit=options.qubit, index=index, max_delay=longest, points=options.points, shots=options.shots)
        narrator = Narrator(say=print, status=status, folder=options.output)
        calibrator = Calibrator(daemon=client, backend=options.backend, listener=narrator, seed=options.seed)
        outcome = calibrator.calibrate(t1, commit=not options.dry_run)
        narrator.ended(outcome)
        return outcome


def main() -> int:
    try:
        outcome = calibrate(arguments())
    except QubitdError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the job was cancelled and nothing committed", file=sys.stderr)
        return 130
    return 0 if outcome.analysis.is_accepted else 1


if __name__ == "__main__":
    sys.exit(main())
