"""Runs an experiment's job through the daemon and brings back what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from qubitd.calibration.daemon import Daemon
from qubitd.calibration.errors import InvalidExperimentError, InvalidRecordError, JobEndedError
from qubitd.calibration.experiment import Experiment
from qubitd.calibration.measurement import Measurement
from qubitd.client import BackendInfo, Progress, StatusChange
from qubitd.core.discriminator import discriminator_of
from qubitd.core.job import JobStatus, ProgramResult


def qubit_index(backend: BackendInfo, qubit: str) -> int:
    """Find a qubit on a device by its name.

    Raises:
        InvalidExperimentError: the device has no such qubit.
    """
    names = [known.name for known in backend.qubits]
    if qubit not in names:
        raise InvalidExperimentError(f"{backend.name} has no qubit {qubit!r}; it has {', '.join(names)}")
    return names.index(qubit)


def measure(
    daemon: Daemon,
    backend: str,
    experiment: Experiment,
    *,
    seed: int | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Measurement:
    """Submit the experiment's job and wait for its data. An interrupt cancels the job.

    Args:
        daemon: such as an open `QubitdClient`.
        backend: name of the device.
        experiment: what to measure.
        seed: makes an emulated chip repeatable.
        progress: told the fraction that is durable, 0..1.

    Raises:
        JobEndedError: the job ended without all of its data.
        ClientError: the daemon refused the job or went away.
    """
    run = daemon.submit(experiment.job(seed=seed), backend)
    try:
        _await(daemon, run, progress)
    except KeyboardInterrupt:
        daemon.cancel(run)
        raise
    revision = daemon.get_job(run).revision
    return Measurement(
        experiment=experiment.name,
        qubit=experiment.qubit,
        run=run,
        backend=backend,
        revision=revision,
        measured_at=time.time_ns(),
        discriminator=discriminator_of(daemon.snapshot(backend, revision), experiment.qubit),
        x=experiment.x,
        iq=single_shots(daemon.results(run), points=len(experiment.x)),
    )


def single_shots(pieces: Iterable[ProgramResult], *, points: int) -> NDArray[np.complex64]:
    """Put the pieces of a result together: IQ of the one measurement of each program, shape (points, shots).

    Raises:
        InvalidRecordError: pieces are missing, or are not IQ of one measurement per shot.
    """
    rows: list[list[NDArray[np.complex64]]] = [[] for _ in range(points)]
    for piece in sorted(pieces, key=lambda piece: (piece.program, piece.first_shot)):
        if piece.iq is None or piece.iq.shape != (piece.shots, 1) or piece.program >= points:
            raise InvalidRecordError(
                f"program {piece.program} gave no IQ points of one measurement per shot; "
                f"expected {points} programs with meas_level kerneled, meas_return single"
            )
        rows[piece.program].append(piece.iq[:, 0])
    shots = {sum(map(len, row)) for row in rows}
    if len(shots) != 1 or 0 in shots:
        raise InvalidRecordError(f"programs have {sorted(shots)} shots each; expected the same number for all {points}")
    return np.stack([np.concatenate(row) for row in rows])


def _await(daemon: Daemon, run: str, progress: Callable[[float], None]) -> None:
    with daemon.watch(run) as events:
        for event in events:
            match event.what:
                case Progress(done=done, total=total):
                    progress(done / total)
                case StatusChange(status=status, message=message) if status.is_final:
                    if status is not JobStatus.DONE:
                        raise JobEndedError(job_id=run, status=status, message=message)
                case _:
                    continue
