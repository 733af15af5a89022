"""Tells a calibration as it happens, line by line, and keeps data and picture of every measurement in a folder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from qubitd.calibration.calibrate import Outcome
from qubitd.calibration.experiment import Analysis, Experiment
from qubitd.calibration.folder import make_folder
from qubitd.calibration.measurement import Measurement, save_measurement
from qubitd.calibration.picture import save_analysis
from qubitd.calibration.quantity import written
from qubitd.calibration.write_back import Change


class Narrator:
    """A listener for people.

    Args:
        say: takes one line for good, such as `print`.
        status: takes the newest state of something under way, to be replaced by the next.
        folder: where `<experiment>-<qubit>-<job>.png` and `.npz` go; made if it is missing.

    Raises:
        OutputFolderError: the folder cannot be written to.
    """

    def __init__(self, *, say: Callable[[str], object], status: Callable[[str], object], folder: Path) -> None:
        self._say = say
        self._status = status
        self._folder = make_folder(folder)
        self._doing = ""

    def measuring(self, experiment: Experiment, why: str) -> None:
        """Say what is measured."""
        job = experiment.job()
        self._doing = f"measuring {experiment.name} of {experiment.qubit}"
        self._say(f"{self._doing}: {job.num_programs} points, {job.shots} shots each" + (f" ({why})" if why else ""))

    def progress(self, fraction: float) -> None:
        """Show how far the job is."""
        self._status(f"{self._doing} {fraction:4.0%}")

    def analysed(self, measurement: Measurement, analysis: Analysis) -> None:
        """Keep data and picture, and say the verdict."""
        stem = self._folder / f"{measurement.experiment}-{measurement.qubit}-{measurement.run}"
        save_measurement(measurement, stem.with_suffix(".npz"))
        picture = stem.with_suffix(".png")
        save_analysis(analysis, picture, subtitle=_where_and_when(measurement))
        self._say(f"{analysis.title}: {'accepted' if analysis.is_accepted else 'refused'}")
        for reason in analysis.reasons:
            self._say(f"  {reason}")
        self._say(f"  picture: {picture}")

    def ended(self, outcome: Outcome) -> None:
        """Say what became of every parameter."""
        for change in outcome.changes:
            self._say(sentence(change))
        if outcome.revision is not None:
            self._say(f"committed as revision {outcome.revision.revision}")
        elif outcome.changes:
            self._say("not committed, as asked")
        else:
            self._say("nothing was committed: " + "; ".join(outcome.analysis.reasons))


def sentence(change: Change) -> str:
    """Say what happens to one parameter: its old value, what was measured, the verdict."""
    name, unit = change.new.name, change.measured.unit
    old = "no value" if change.old is None else written(change.old.value, unit, change.old.stderr)
    measured = written(change.measured.value, unit, change.measured.stderr)
    verdict = "confirmed, the old value stays" if change.is_confirmation else "written"
    return f"{name}: {old} -> {measured}, {verdict}"


def _where_and_when(measurement: Measurement) -> str:
    at = datetime.fromtimestamp(measurement.measured_at / 1e9, tz=UTC)
    return (
        f"{measurement.backend} revision {measurement.revision}, {measurement.iq.shape[1]} shots per point, "
        f"{at:%Y-%m-%d %H:%M} UTC\njob {measurement.run}"
    )
