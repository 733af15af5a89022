"""The whole way of one experiment: measure, judge, repeat if refused, and commit what was accepted.

A refused measurement is repeated twice, wider and with more shots. A value that jumps is measured a second time and
must come out the same. What others changed meanwhile is never overwritten: the daemon refuses such a commit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from qubitd.calibration.daemon import Daemon
from qubitd.calibration.experiment import Analysis, Experiment
from qubitd.calibration.measurement import Measurement
from qubitd.calibration.run import measure
from qubitd.calibration.write_back import Change, changes, disagreements, is_jump
from qubitd.client import Revision
from qubitd.core.snapshot import Snapshot

ATTEMPTS = 3


class Listener(Protocol):
    """Whoever wants to show what happens, or keep the data."""

    def measuring(self, experiment: Experiment, why: str) -> None:
        """A job is about to be submitted; `why` is empty for the first."""
        ...

    def progress(self, fraction: float) -> None:
        """Some of the data are durable, 0..1."""
        ...

    def analysed(self, measurement: Measurement, analysis: Analysis) -> None:
        """A measurement was judged, whether accepted or refused."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """How a calibration ended."""

    measurement: Measurement
    """The last one."""
    analysis: Analysis
    """Of the last measurement; its reasons say why nothing was committed."""
    changes: tuple[Change, ...]
    """What was written or confirmed; empty after a refusal."""
    revision: Revision | None
    """The new revision; None if nothing was committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrator:
    """Calibrates one device through a daemon."""

    daemon: Daemon
    backend: str
    """Name of the device."""
    listener: Listener
    seed: int | None = None
    """Makes an emulated chip repeatable; every measurement gets its own."""

    def calibrate(self, experiment: Experiment, *, commit: bool = True) -> Outcome:
        """Measure, judge and, if accepted, commit.

        Raises:
            ConflictError: others changed a parameter that this would have written.
            ClientError: the daemon refused something or went away.
            JobEndedError: a job ended without its data.
        """
        measurement, analysis = self._measure_until_accepted(experiment)
        if not analysis.is_accepted:
            return Outcome(measurement=measurement, analysis=analysis, changes=(), revision=None)
        snapshot = self.daemon.snapshot(self.backend, measurement.revision)
        decided = changes(analysis, measurement, snapshot)
        return Outcome(
            measurement=measurement,
            analysis=analysis,
            changes=decided,
            revision=self._commit(experiment, snapshot, decided) if commit else None,
        )

    def _measure_until_accepted(self, experiment: Experiment) -> tuple[Measurement, Analysis]:
        measurement, analysis = self._attempt(experiment, 0)
        for attempt in range(1, ATTEMPTS):
            if analysis.is_accepted:
                break
            experiment = experiment.again(analysis)
            measurement, analysis = self._attempt(experiment, attempt)
        return measurement, analysis

    def _attempt(self, experiment: Experiment, attempt: int) -> tuple[Measurement, Analysis]:
        """Measure once, or twice if the value jumped; two values that disagree count as refused."""
        why = f"refused, attempt {attempt + 1} of {ATTEMPTS}" if attempt else ""
        measurement, first = self._measure(experiment, why=why, run=2 * attempt)
        if not first.is_accepted or not self._is_jump(measurement, first):
            return measurement, first
        why = "the value jumped, so it is measured twice"
        measurement, second = self._measure(experiment, why=why, run=2 * attempt + 1)
        if second.is_accepted:
            second = replace(second, reasons=disagreements(first, second))
        return measurement, second

    def _measure(self, experiment: Experiment, *, why: str, run: int) -> tuple[Measurement, Analysis]:
        self.listener.measuring(experiment, why)
        seed = None if self.seed is None else self.seed + run
        measurement = measure(self.daemon, self.backend, experiment, seed=seed, progress=self.listener.progress)
        analysis = experiment.analyse(measurement)
        self.listener.analysed(measurement, analysis)
        return measurement, analysis

    def _is_jump(self, measurement: Measurement, analysis: Analysis) -> bool:
        return is_jump(analysis, self.daemon.snapshot(self.backend, measurement.revision))

    def _commit(self, experiment: Experiment, snapshot: Snapshot, decided: tuple[Change, ...]) -> Revision:
        return self.daemon.commit(
            self.backend,
            base_revision=snapshot.revision,
            parameters=[change.new for change in decided],
            message=f"{experiment.name} of {experiment.qubit}, job {decided[0].new.run}",
        )
