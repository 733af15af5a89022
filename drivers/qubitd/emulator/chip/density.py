"""The state that a table leaves, for tests to which populations are blind: a reversed phase leaves them alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qubitd.emulator.chip.basis import LADDER
from qubitd.emulator.chip.chip import Chip
from qubitd.emulator.chip.drive import Turn
from qubitd.emulator.chip.flux import Exchange
from qubitd.emulator.chip.register import Register
from qubitd.emulator.errors import EmulatorError
from qubitd.emulator.events import EventTable


def density_matrix(chip: Chip, table: EventTable, *, time: float) -> NDArray[np.complex128]:
    """Give the density matrix of all qubits at a time in ns, from |0..0> at the table's start and without readout.

    Each qubit is in its own frame, which turns at its f01; qubit 0 is the last factor, as in Qiskit. What has leaked is
    missing from the trace.
    """
    qubits = range(len(chip.truth.qubits))
    register = Register(qubits, t1=chip.t1, t2=chip.t2, zz=chip.zz)
    for event in chip.events(table):
        match event:
            case Turn():
                register.apply(event.qubit, event.single, start=event.start, end=event.end, mixes=event.mixes)
            case Exchange():
                register.apply_pair(event.pulsed, event.partner, event.pair, begin=event.begin, end=event.end)
            case _:
                raise EmulatorError("a table with readout leaves no single state; take the tones out")
    for qubit in qubits:
        register.hold(qubit, time=time)
    return _operator(register.states[0])


def _operator(numbers: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Add up number x operator, the last axis becoming the first factor."""
    count = numbers.ndim
    kept = LADDER[:, :2, :2]
    operator = numbers.astype(np.complex128)
    for _ in range(count):
        operator = np.tensordot(operator, kept, axes=([0], [0]))  # the qubit's axes go to the end
    rows, columns = range(2 * count - 2, -1, -2), range(2 * count - 1, 0, -2)
    return operator.transpose([*rows, *columns]).reshape(2**count, 2**count)
