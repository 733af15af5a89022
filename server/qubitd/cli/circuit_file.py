"""A circuit file on its way to a backend: read, narrowed to the qubits that it uses, and in native gates."""

from __future__ import annotations

import argparse
from pathlib import Path

from qiskit import transpile
from qiskit.circuit import QuantumCircuit
from qiskit.exceptions import QiskitError

from qubitd.cli.chosen_daemon import add_choice, note
from qubitd.core.errors import Problem
from qubitd.core.job import Decoupling, Scheduling
from qubitd.provider import CircuitFileError, QubitdBackend
from qubitd.provider.everywhere import everywhere
from qubitd.provider.narrow import without_idle_qubits

_LEVEL = 2
_MAX_SEED = 2**32 - 1
_TRANSPILE_FAULTS = (QiskitError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What transpile raises on numbers that it does not expect, such as an OverflowError on an endless delay."""


def add_circuit(parser: argparse.ArgumentParser) -> None:
    """Declare the file, the backend that it is for, and how it is made native."""
    parser.add_argument("file", type=Path, metavar="FILE", help="circuit in OpenQASM 2 or 3, or QPY")
    add_choice(parser)
    parser.add_argument("--seed", type=_seed, metavar="N", help="makes transpiling and an emulated chip repeatable")
    parser.add_argument("--measure-all", action="store_true", help="measure every qubit at the end")


def add_lowering(parser: argparse.ArgumentParser) -> None:
    """Declare what decides which pulses a circuit becomes, and when they are played."""
    parser.add_argument(
        "--scheduling", choices=[kind.value for kind in Scheduling], default="alap", help="late or early (%(default)s)"
    )
    parser.add_argument("--dd", choices=[kind.value for kind in Decoupling], help="dynamical decoupling (none)")
    parser.add_argument(
        "--max-iterations", type=int, metavar="N", help="bound of every while loop; needed if there is one"
    )


def native_circuit(
    circuit: QuantumCircuit, backend: QubitdBackend, file: Path, *, measures_all: bool, seed: int | None
) -> QuantumCircuit:
    """Give a circuit in a backend's gates.

    Raises:
        CircuitFileError: it is too wide, or cannot be transpiled.
    """
    narrow = _narrow(circuit, backend, file)
    if measures_all:
        narrow.measure_all()
    try:
        return transpile(narrow, backend, optimization_level=_LEVEL, seed_transpiler=seed)
    except _TRANSPILE_FAULTS as error:
        what = f"cannot be transpiled for {backend.name}: {getattr(error, 'message', error)}"
        raise CircuitFileError([Problem(where=str(file), what=what)]) from error


def measures_anything(circuit: QuantumCircuit) -> bool:
    """Whether a circuit has a measurement anywhere, be it in a block of control flow."""
    return any(instruction.name == "measure" for instruction in everywhere(circuit))


def _narrow(circuit: QuantumCircuit, backend: QubitdBackend, file: Path) -> QuantumCircuit:
    """Leave out qubits that are never used, if there are too many."""
    narrow = without_idle_qubits(circuit, backend.num_qubits)
    if narrow.num_qubits < circuit.num_qubits:
        note(f"{file} declares {circuit.num_qubits} qubits and uses {narrow.num_qubits}; the idle ones are left out")
    if narrow.num_qubits > backend.num_qubits:
        what = f"uses {narrow.num_qubits} qubits; {backend.name} has {backend.num_qubits}"
        raise CircuitFileError([Problem(where=str(file), what=what)])
    return narrow


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed <= _MAX_SEED:
        raise argparse.ArgumentTypeError(f"{seed} is no seed; give 0 to {_MAX_SEED}")
    return seed
