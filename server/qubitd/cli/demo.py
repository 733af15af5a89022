"""`qubitd demo`: a Bell pair and a GHZ state through a whole emulated lab, seen by a remote client, with pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from qubitd.calibration.folder import make_folder
from qubitd.cli.display import open_display

_DEVICE = "line5"
_AS_EXPECTED, _NOT_AS_EXPECTED = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--seed", type=_seed, default=1, help="of transpiler and simulated chip (%(default)s)")
    parser.add_argument("--shots", type=_shots, default=1000, help="of each circuit (%(default)s)")
    parser.add_argument(
        "--output", type=Path, default=Path("build/demo"), metavar="DIR", help="where the pictures go (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Start a rack and a daemon, run the tour, end both; 0 if the counts are as expected."""
    folder = make_folder(arguments.output)
    with open_display() as display:
        display.state("starting the emulated rack and the daemon", 0.0)
        # Qiskit and matplotlib take a second to import: not before something is seen.
        from qubitd.cli.demo_rack import start_demo_rack
        from qubitd.cli.demo_tour import Tour
        from qubitd.provider import QubitdProvider

        with start_demo_rack(_DEVICE) as rack, QubitdProvider(rack.server) as provider:
            backend = provider.get_backend(_DEVICE)
            display.say(
                f"{backend.name}, calibration revision {backend.revision}: daemon on {rack.server}, "
                f"emulated rack on {rack.emulator.address}"
            )
            tour = Tour(display=display, rack=rack, provider=provider, seed=arguments.seed, shots=arguments.shots)
            agreed = tour.run(backend, folder)
    return _AS_EXPECTED if agreed else _NOT_AS_EXPECTED


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**32:
        raise argparse.ArgumentTypeError(f"{seed} is no seed; give 0 to {2**32 - 1}")
    return seed


def _shots(text: str) -> int:
    shots = int(text)
    if not 100 <= shots <= 100_000:
        raise argparse.ArgumentTypeError(f"{shots} shots show nothing here; give 100 to 100000")
    return shots
