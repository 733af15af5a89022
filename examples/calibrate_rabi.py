"""Find the amplitude of a half turn of one qubit: commits `qN.x.amplitude`, and half of it as `qN.sx.amplitude`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qubitd.calibration.calibrate import Calibrator, Outcome
from qubitd.calibration.narrator import Narrator
from qubitd.calibration.rabi import Rabi
from qubitd.calibration.run import qubit_index
from qubitd.client.options import add_access, connect
from qubitd.core.errors import QubitdError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_access(parser)
    parser.add_argument("--backend", default="line5", help="name of the device (%(default)s)")
    parser.add_argument("--qubit", default="q0", help="name of the qubit (%(default)s)")
    parser.add_argument("--points", type=int, default=41, help="amplitudes from 0 to 0.9 (%(default)s)")
    parser.add_argument("--shots", type=int, default=2000, help="per amplitude (%(default)s)")
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
        index = qubit_index(client.backend(options.backend), options.qubit)
        rabi = Rabi(qubit=options.qubit, index=index, points=options.points, shots=options.shots)
        narrator = Narrator(say=print, status=status, folder=options.output)
        calibrator = Calibrator(daemon=client, backend=options.backend, listener=narrator, seed=options.seed)
        outcome = calibrator.calibrate(rabi, commit=not options.dry_run)
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
