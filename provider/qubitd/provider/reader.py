"""Circuits into flat columns at the speed of C, where the user has had the reader compiled (`accelerate`).

It gives exactly what walking over `circuit.data` gives. What it does not know (a parameter that is no number yet) it
leaves to the walk.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import qiskit
from numpy.typing import NDArray
from qiskit.circuit import CircuitInstruction, QuantumCircuit

from qubitd.core import native
from qubitd.core.circuit import Operation

log = logging.getLogger(__name__)

NEEDED = (
    "qk_circuit_borrow_from_python",
    "qk_circuit_view_instruction",
    "qk_param_as_real",
    "qk_param_kind",
    "qk_param_stride",
)
"""Functions of Qiskit's C API that the reader calls; they are there from Qiskit 2.6 on."""
_MOST_ROWS = 256
_DENSE = 2**22
"""Most codes that are told apart by a table instead of by sorting."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Read:
    """A circuit as it was read; the columns are those of `qubitd.core.circuit.Circuit`."""

    row: NDArray[np.uint16]
    """Of each instruction: which distinct (name, qubits, parameters, bits) it is, numbered as they first occur."""
    first: tuple[int, ...]
    """First instruction of each row."""
    qubits: NDArray[np.uint16]
    params: NDArray[np.float64]
    """NaN for what is no plain number."""
    clbits: NDArray[np.uint32]


class _Sizes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("qubits", "params", "clbits")]  # as ctypes has it


class _Columns(ctypes.Structure):
    _fields_ = [  # as ctypes has it
        (name, ctypes.c_void_p) for name in ("row", "qubits", "params", "clbits", "first")
    ]


class Reader:
    """The compiled reader and the functions of Qiskit that it calls."""

    def __init__(self, library: Path) -> None:
        """Load it.

        Raises:
            OSError, AttributeError: it cannot be loaded, or this Qiskit lacks a function.
        """
        import qiskit.capi as api  # loads nothing for those who have no reader

        self._borrow: Any = api.qk_circuit_borrow_from_python
        self._view = ctypes.cast(api.qk_circuit_view_instruction, ctypes.c_void_p)
        self._kind = ctypes.cast(api.qk_param_kind, ctypes.c_void_p)
        self._real = ctypes.cast(api.qk_param_as_real, ctypes.c_void_p)
        self._stride = int(api.qk_param_stride())
        # With the GIL held, nobody changes the circuit meanwhile.
        self._library = ctypes.PyDLL(str(library))
        self._library.qubitd_read.restype = ctypes.c_int64

    def read(self, circuit: QuantumCircuit) -> Read | None:
        """Read a circuit; None if it has too many kinds of instructions."""
        count = len(circuit.data)
        borrowed = ctypes.cast(self._borrow(circuit._data), ctypes.c_void_p)
        sizes = _Sizes()
        self._library.qubitd_measure(borrowed, ctypes.c_int64(count), self._view, ctypes.byref(sizes))
        row, first = np.empty(count, dtype=np.uint16), np.empty(_MOST_ROWS, dtype=np.int64)
        qubits = np.empty(sizes.qubits, dtype=np.uint16)
        params = np.empty(sizes.params, dtype=np.float64)
        clbits = np.empty(sizes.clbits, dtype=np.uint32)
        out = _Columns(*(column.ctypes.data for column in (row, qubits, params, clbits, first)))
        length, stride = ctypes.c_int64(count), ctypes.c_int64(self._stride)
        functions = self._view, self._kind, self._real
        rows = self._library.qubitd_read(borrowed, length, *functions, stride, ctypes.byref(out))
        if rows < 0:
            return None
        return Read(row=row, first=tuple(first[:rows].tolist()), qubits=qubits, params=params, clbits=clbits)


def row_of(instruction: CircuitInstruction) -> Operation:
    """Give the row of the table of operations that an instruction belongs to."""
    return Operation(
        name=instruction.name,
        num_qubits=len(instruction.qubits),
        num_params=len(instruction.params),
        num_clbits=len(instruction.clbits),
    )


def param_starts(read: Read, rows: Sequence[Operation]) -> NDArray[np.int64]:
    """Find where each instruction's parameters begin."""
    count = np.array([row.num_params for row in rows], dtype=np.int64)[read.row]
    return np.cumsum(count) - count


def distinct_operations(
    read: Read, rows: Sequence[Operation], *, num_qubits: int
) -> list[tuple[int, tuple[int, ...]]] | None:
    """Give each (row, operands) that occurs; a barrier, which may be anywhere, is left out.

    Args:
        read: the circuit.
        rows: its rows.
        num_qubits: of the device.

    Returns:
        None if a qubit is not on the device, or a gate has more than two.
    """
    if any(row.num_qubits > 2 for row in rows if row.name != "barrier"):
        return None
    if len(read.qubits) and read.qubits.max() >= num_qubits:
        return None
    arity = np.array([row.num_qubits for row in rows], dtype=np.int64)
    width = arity[read.row]
    begin = np.cumsum(width) - width
    base = num_qubits + 1
    code = read.row * np.int64(base**2)
    for position, digit in ((0, base), (1, 1)):
        have = np.flatnonzero(width > position)
        code[have] += (read.qubits[begin[have] + position] + np.int64(1)) * digit
    return [
        _operation(code, base)
        for code in _distinct(code, len(rows) * base**2)
        if rows[code // base**2].name != "barrier"
    ]


def _distinct(code: NDArray[np.int64], size: int) -> list[int]:
    if size > _DENSE:
        return [int(found) for found in np.unique(code)]
    present = np.zeros(size, dtype=bool)
    present[code] = True
    return [int(found) for found in np.flatnonzero(present)]


def _operation(code: int, base: int) -> tuple[int, tuple[int, ...]]:
    row, operands = divmod(code, base**2)
    return row, tuple(digit - 1 for digit in divmod(operands, base) if digit)


def source() -> str:
    """Give the C source of the reader."""
    return files("qubitd.provider").joinpath("reader.c").read_text(encoding="utf-8")


def library_path() -> Path:
    """Say where the reader for this source, this Qiskit and this machine is kept, whether or not it is there."""
    return native.library_path("reader", source(), "qiskit", qiskit.__version__)


@functools.lru_cache(maxsize=1)
def load_reader() -> Reader | None:
    """Give the reader if the user has had it compiled for this Qiskit."""
    path = library_path()
    if not path.exists():
        return None
    try:
        return Reader(path)
    except (OSError, AttributeError, ImportError):
        log.warning("the compiled reader cannot be loaded; circuits are read in Python", extra={"path": str(path)})
        return None
