"""IQ points to bits and counts.

A bit that no measurement writes is 0; of two measurements into one the later wins. Bits are packed as in Qiskit's
BitArray: each shot is a big-endian number whose lowest bit is classical bit 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qubitd.core.device import Device
from qubitd.core.discriminator import Discriminator, discriminator_of
from qubitd.core.program import Acquisitions, Program
from qubitd.core.snapshot import Snapshot


def discriminators(device: Device, snapshot: Snapshot, program: Program) -> dict[int, Discriminator]:
    """Give the discriminator of each qubit that a program measures, by index.

    Raises:
        InvalidCalibrationError: one has no value.
    """
    measured: list[int] = np.unique(program.acquisitions.qubit).tolist()
    return {qubit: discriminator_of(snapshot, device.qubits[qubit]) for qubit in measured}


def classify(
    iq: NDArray[np.complex64], acquisitions: Acquisitions, discriminators: Mapping[int, Discriminator]
) -> NDArray[np.bool_]:
    """Tell 0 from 1; shape (shots, acquisitions), as the points."""
    outcomes = np.empty(iq.shape, dtype=bool)
    for qubit in np.unique(acquisitions.qubit).tolist():
        columns = np.flatnonzero(acquisitions.qubit == qubit)
        outcomes[:, columns] = discriminators[qubit](iq[:, columns])
    return outcomes


def writers(acquisitions: Acquisitions) -> dict[int, int]:
    """Give the row whose outcome each classical bit ends up with: of several the last one in the circuit."""
    order = np.argsort(acquisitions.order, kind="stable")
    last = dict(zip(acquisitions.clbit[order].tolist(), order.tolist(), strict=True))
    return {clbit: row for clbit, row in last.items() if clbit >= 0}


def pack_bits(
    outcomes: NDArray[np.bool_],
    acquisitions: Acquisitions,
    num_clbits: int,
    taken: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Write outcomes into classical bits, in the order of the circuit.

    Args:
        outcomes: shape (shots, acquisitions).
        acquisitions: whose rows are the columns of `outcomes`.
        num_clbits: of the circuit.
        taken: which of them took place, in the same shape; a bit keeps its value where one did not. None: all.

    Returns:
        Packed bits, shape (shots, ceil(num_clbits / 8)).
    """
    num_bytes = -(-num_clbits // 8)
    bits = np.zeros((len(outcomes), num_bytes), dtype=np.uint8)
    if taken is None:
        written = {clbit: outcomes[:, row] for clbit, row in writers(acquisitions).items()}
    else:
        written = _written(outcomes, acquisitions, taken)
    for clbit, values in written.items():
        bits[:, num_bytes - 1 - clbit // 8] |= values.astype(np.uint8) << (clbit % 8)
    return bits


def _written(
    outcomes: NDArray[np.bool_], acquisitions: Acquisitions, taken: NDArray[np.bool_]
) -> dict[int, NDArray[np.bool_]]:
    """Give the bits that measurements leave which may not take place."""
    found: dict[int, NDArray[np.bool_]] = {}
    for row in np.argsort(acquisitions.order, kind="stable").tolist():
        clbit = int(acquisitions.clbit[row])
        if clbit >= 0:
            before = found.get(clbit, np.zeros(len(outcomes), dtype=bool))
            found[clbit] = np.where(taken[:, row], outcomes[:, row], before)
    return found


def counts(bits: NDArray[np.uint8], num_clbits: int) -> dict[str, int]:
    """Count packed shots by their bit string, classical bit 0 last; sorted."""
    shots, times = np.unique(bits, axis=0, return_counts=True)
    texts = ["".join(f"{byte:08b}" for byte in shot)[8 * bits.shape[1] - num_clbits :] for shot in shots]
    return dict(zip(texts, times.tolist(), strict=True))


def merge_counts(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Add up the counts of several chunks; sorted."""
    total: dict[str, int] = {}
    for part in parts:
        for text, times in part.items():
            total[text] = total.get(text, 0) + times
    return dict(sorted(total.items()))
