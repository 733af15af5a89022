"""qubitd's backends in Qiskit."""

from qubitd.provider.backend import QubitdBackend
from qubitd.provider.errors import (
    BackendNotFoundError,
    CircuitFileError,
    JobFailedError,
    JobRefusedError,
    JobUnfinishedError,
    ProviderError,
    SessionClosedError,
    SessionNotFoundError,
)
from qubitd.provider.estimator import QubitdEstimator
from qubitd.provider.job import QubitdJob
from qubitd.provider.partial import PartialResult
from qubitd.provider.primitive_job import QubitdPrimitiveJob
from qubitd.provider.provider import QubitdProvider
from qubitd.provider.sampler import QubitdSampler
from qubitd.provider.session import QubitdBatch, QubitdSession
from qubitd.provider.sweep import SweepResult

__all__ = [
    "BackendNotFoundError",
    "CircuitFileError",
    "JobFailedError",
    "JobRefusedError",
    "JobUnfinishedError",
    "PartialResult",
    "ProviderError",
    "QubitdBackend",
    "QubitdBatch",
    "QubitdEstimator",
    "QubitdJob",
    "QubitdPrimitiveJob",
    "QubitdProvider",
    "QubitdSampler",
    "QubitdSession",
    "SessionClosedError",
    "SessionNotFoundError",
    "SweepResult",
]
