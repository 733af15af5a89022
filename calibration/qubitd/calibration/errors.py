"""What can go wrong between a measurement and a committed parameter."""

from __future__ import annotations

from qubitd.core.errors import QubitdError
from qubitd.core.job import JobStatus


class CalibrationError(QubitdError):
    """Root of the errors of this layer."""


class InvalidExperimentError(CalibrationError):
    """An experiment asks for something that cannot be measured: a range, a number of points or of shots."""


class OutputFolderError(CalibrationError):
    """Pictures and data cannot be put where they should go."""


class InvalidRecordError(CalibrationError):
    """A stored measurement cannot be read, or the data of a job do not belong to its experiment."""


class NotAcceptedError(CalibrationError):
    """A measurement was refused by the acceptance gate, with every reason."""

    def __init__(self, *, experiment: str, reasons: tuple[str, ...]) -> None:
        self.experiment = experiment
        self.reasons = reasons
        super().__init__(f"{experiment} was not accepted: {'; '.join(reasons)}")


class JobEndedError(CalibrationError):
    """The job of an experiment ended without all of its data."""

    def __init__(self, *, job_id: str, status: JobStatus, message: str) -> None:
        self.job_id = job_id
        self.status = status
        reason = f": {message}" if message else ""
        super().__init__(f"job {job_id} ended as {status.value}{reason}; nothing was committed")
