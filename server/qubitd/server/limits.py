"""What one job may ask of this daemon."""

from __future__ import annotations

from qubitd.core.device import Device
from qubitd.wire.backends import Limits

MAX_TOTAL_SHOTS = 5_000_000
"""Circuits x bindings x grid points x shots of a job."""
MAX_JOB_BYTES = 64 * 1024 * 1024
"""Bytes of any request: the limit that gRPC itself enforces."""


def limits_of(device: Device) -> Limits:
    """Give the limits of the backend that serves a device."""
    return Limits(
        max_shots=device.max_shots,
        max_circuits=device.max_circuits,
        max_total_shots=MAX_TOTAL_SHOTS,
        max_job_bytes=MAX_JOB_BYTES,
    )
