"""Measure how far the drive of one qubit is off, by Ramsey fringes: commits `qN.frequency`."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from qubitd.calibration.calibrate import Calibrator, Outcome
from qubitd.calibration.errors import InvalidExperimentError
from qubitd.calibration.narrator import Narrator
from qubitd.calibration.ramsey import Ramsey
from qubitd.calibration.run import qubit_index
from qubitd.client.options import add_access, connect
from qubitd.core.errors import QubitdError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_access(parser)
    parser.add_argument("--backend", default="line5", help="name of the device (%(default)s)")
    parser.add_argument("--qubit", default="q0", help="name of the qubit (%(default)s)")
    parser.add_argument(
        "--shift", type=float, default=2e6, help="turn of the frame in Hz, above the offset (%(default)g)"
    )
    parser.add_argument("--max-delay", type=float, default=4e-6, help="longest delay in seconds (%(default)g)")
    parser.add_argument("--points", type=int, default=61, help="delays from 0 (%(default)s)")
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
        known = backend.qubits[index]
        if known.frequency is None:
            raise InvalidExperimentError(f"{options.qubit} has no frequency yet; find it by spectroscopy first")
        ramsey = Ramsey(
            qubit=options.qubit,
            index=index,
            frequency=known.frequency,
            t2=known.t2 or math.inf,
            shift=options.shift,
            max_delay=options.max_delay,
            points=options.points,
            shots=options.shots,
        )
        narrator = Narrator(say=print, status=status, folder=options.output)
        calibrator = Calibrator(daemon=client, backend=options.backend, listener=narrator, seed=options.seed)
        outcome = calibrator.calibrate(ramsey, commit=not options.dry_run)
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
