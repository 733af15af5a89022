"""`qubitd accelerate`: compile the loops that a daemon spends its time in."""

from __future__ import annotations

import argparse

from qubitd.compiler.native import PASSES
from qubitd.drivers.cluster.native import LINES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.epilog = "Daemons and workers that this user starts from now on use them; those that run keep to NumPy."


def run(_: argparse.Namespace) -> int:
    """Compile what is not compiled yet, and say where it is."""
    for source, what in ((PASSES, "circuits are compiled"), (LINES, "Q1ASM is written")):
        print(f"{what} with {source.build()}", flush=True)
    return 0
