"""What one job may ask of this daemon."""

from __future__ import annotations

from qubitd.core.device import Device
from qubitd.wire.backends import Limits
from qubitd.wire.uploads import MAX_UPLOAD_BYTES

MAX_TOTAL_SHOTS = 5_000_000
"""Circuits x bindings x grid points x shots of a job."""
MAX_PROGRAMS = 100_000
"""Circuits x bindings x grid points of a job: each is compiled, checked and described one by one."""
MAX_BOUND_NUMBERS = 2**24
"""Parameters x bindings of all circuits of a job: 128 MiB when they are filled in."""
MAX_RESULT_BYTES = 2**30
"""Bytes of a job's result: it has to pass the store, the wire, and the memory of whoever asked for it."""
TRACE_BYTES = 2**17
"""Bytes of an averaged trace of 16 384 samples, the longest that a digitiser gives of one program."""
MAX_PREDICTED_PROGRAMS = 1000
"""Programs whose bits are predicted in one explanation."""
MAX_PREDICTED_NUMBERS = 2**24
"""Complex numbers of a prediction: 4^qubits, for each way in which the measurements of a circuit can come out."""
MAX_PREDICTED_STEPS = 2**31
"""Operations of all programs of a prediction x 4^qubits: some minutes of a core."""
LEAST_FREE_BYTES = 2**28
"""Room that the disk must have left beside a new job and its result; a store that cannot write ends the daemon."""


def limits_of(device: Device) -> Limits:
    """Give the limits of the backend that serves a device."""
    return Limits(
        max_shots=device.max_shots,
        max_circuits=device.max_circuits,
        max_total_shots=MAX_TOTAL_SHOTS,
        max_job_bytes=MAX_UPLOAD_BYTES,
    )
