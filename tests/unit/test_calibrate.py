"""The loop around an experiment, on a daemon small enough to be one class with one simulated qubit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.calibration.calibrate import Calibrator, Outcome
from qubitd.calibration.errors import InvalidRecordError, JobEndedError, OutputFolderError
from qubitd.calibration.experiment import Analysis, Experiment
from qubitd.calibration.measurement import Measurement, load_measurement
from qubitd.calibration.narrator import Narrator
from qubitd.calibration.rabi import Rabi
from qubitd.calibration.run import single_shots
from qubitd.calibration.t1 import T1
from qubitd.client import Job, JobEvent, Progress, Revision, StageTime, StatusChange
from qubitd.core.job import JobSpec, JobStatus, ProgramResult
from qubitd.core.snapshot import Parameter, Snapshot

FIRST_VALUES = {
    "q0.x.amplitude": ("", 0.2),
    "q0.sx.amplitude": ("", 0.1),
    "q0.t1": ("s", 30e-6),
    "q0.readout.rotation": ("rad", 0.0),
    "q0.readout.threshold": ("", 0.0),
}


class OneQubit:
    """A daemon with one qubit: a half turn at amplitude `a_pi`, decay time `t1`, clouds at -0.1 and 0.1."""

    def __init__(self, *, a_pi: float = 0.2, t1: float = 30e-6) -> None:
        self.a_pi = a_pi
        self.t1 = t1
        self.before_job: Callable[[int], None] = lambda _: None
        self.end = JobStatus.DONE
        self.specs: list[JobSpec] = []
        self.cancelled: list[str] = []
        parameters = {n: Parameter(name=n, value=v, unit=u, source="file") for n, (u, v) in FIRST_VALUES.items()}
        self.snapshots = [
            Snapshot(revision=1, parent=0, author="file", message="", created_at=0, parameters=parameters)
        ]

    def submit(self, spec: JobSpec, backend: str) -> str:
        assert backend == "one"
        self.before_job(len(self.specs))
        self.specs.append(spec)
        return f"job-{len(self.specs)}"

    def watch(self, job_id: str) -> AbstractContextManager[Iterator[JobEvent]]:
        happenings: list[StatusChange | StageTime | Progress] = [
            StatusChange(status=JobStatus.RUNNING),
            StageTime(stage="started", time_ns=1),
            Progress(done=1, total=4),
            Progress(done=4, total=4),
            StatusChange(status=self.end, message="" if self.end is JobStatus.DONE else "slot1 reports an underrun"),
        ]
        events = (JobEvent(sequence=i, time_ns=i, what=what) for i, what in enumerate(happenings))
        return nullcontext(events)

    def cancel(self, job_id: str) -> JobStatus:
        self.cancelled.append(job_id)
        return JobStatus.CANCELLED

    def get_job(self, job_id: str) -> Job:
        return Job(
            job_id=job_id,
            backend="one",
            status=self.end,
            revision=self.snapshots[-1].revision,
            shots=1,
            num_circuits=1,
            num_programs=1,
            last_sequence=5,
            created_ns=0,
        )

    def results(self, job_id: str) -> Iterator[ProgramResult]:
        spec = self.specs[int(job_id.removeprefix("job-")) - 1]
        rng = np.random.default_rng(spec.seed_simulator)
        for program, fraction in enumerate(self._fractions(spec)):
            excited = rng.random(spec.shots) < 0.02 + 0.95 * fraction
            blur = rng.normal(size=(2, spec.shots)) * 0.02
            iq = (0.2 * excited - 0.1 + blur[0] + 1j * blur[1]).astype(np.complex64)
            half = spec.shots // 2
            for start, part in ((half, iq[half:]), (0, iq[:half])):
                yield ProgramResult(
                    program=program, first_shot=start, shots=len(part), iq=part[:, None], iq_qubits=(0,), iq_clbits=(0,)
                )

    def snapshot(self, backend: str, revision: int = 0) -> Snapshot:
        return self.snapshots[revision - 1 if revision else -1]

    def commit(self, backend: str, *, base_revision: int, parameters: Sequence[Parameter], message: str) -> Revision:
        old = self.snapshots[-1]
        made = Snapshot(
            revision=old.revision + 1,
            parent=base_revision,
            author="me",
            message=message,
            created_at=1,
            parameters={**old.parameters, **{p.name: p for p in parameters}},
        )
        self.snapshots.append(made)
        return Revision(
            revision=made.revision, parent=base_revision, author="me", message=message, created_at=1, digest=made.digest
        )

    def _fractions(self, spec: JobSpec) -> list[float]:
        if spec.sweep.axes:
            return [float(np.sin(np.pi * a / (2 * self.a_pi)) ** 2) for a in spec.sweep.axes[0].values[0]]
        (bindings,) = [circuit.bindings for circuit in spec.batch.circuits]
        assert bindings is not None
        return [float(np.exp(-delay / self.t1)) for delay in bindings.values[:, 0]]


class Watcher:
    """Remembers what a listener is told."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.fractions: list[float] = []
        self.verdicts: list[bool] = []

    def measuring(self, experiment: Experiment, why: str) -> None:
        self.reasons.append(why)

    def progress(self, fraction: float) -> None:
        self.fractions.append(fraction)

    def analysed(self, measurement: Measurement, analysis: Analysis) -> None:
        self.verdicts.append(analysis.is_accepted)


RABI = Rabi(qubit="q0", index=0)


def calibrated(daemon: OneQubit, experiment: Rabi | T1 = RABI, *, commit: bool = True) -> tuple[Outcome, Watcher]:
    watcher = Watcher()
    calibrator = Calibrator(daemon=daemon, backend="one", listener=watcher, seed=5)
    return calibrator.calibrate(experiment, commit=commit), watcher


def test_a_value_that_moved_is_committed_with_run_error_and_time() -> None:
    daemon = OneQubit(a_pi=0.21)
    outcome, watcher = calibrated(daemon)
    assert outcome.revision is not None
    assert outcome.revision.message == "rabi of q0, job job-1"
    x, sx = (daemon.snapshots[-1].parameters[name] for name in RABI.writes)
    assert x.stderr is not None
    assert abs(x.value - 0.21) < 4 * x.stderr
    assert sx.value == x.value / 2
    assert (x.run, x.source) == ("job-1", "rabi")
    assert x.measured_at is not None
    assert x.measured_at > 1_700_000_000_000_000_000
    assert watcher.fractions == [0.25, 1.0]


def test_a_value_that_stayed_is_confirmed() -> None:
    daemon = OneQubit(t1=30.5e-6)
    outcome, _ = calibrated(daemon, T1(qubit="q0", index=0, max_delay=150e-6))
    (change,) = outcome.changes
    assert change.is_confirmation
    kept = daemon.snapshots[-1].parameters["q0.t1"]
    assert (kept.value, kept.run) == (30e-6, "job-1")


def test_nothing_is_committed_when_asked_not_to() -> None:
    daemon = OneQubit(a_pi=0.21)
    outcome, _ = calibrated(daemon, commit=False)
    assert outcome.changes
    assert outcome.revision is None
    assert len(daemon.snapshots) == 1


def test_a_jump_is_measured_twice_before_it_is_believed() -> None:
    daemon = OneQubit(a_pi=0.26)
    outcome, watcher = calibrated(daemon)
    assert watcher.reasons == ["", "the value jumped, so it is measured twice"]
    assert outcome.measurement.run == "job-2"
    assert daemon.specs[0].seed_simulator != daemon.specs[1].seed_simulator
    assert outcome.revision is not None


def test_two_measurements_of_a_jump_that_disagree_are_refused_and_repeated() -> None:
    daemon = OneQubit(a_pi=0.26)

    def drift(job: int) -> None:
        daemon.a_pi = 0.28 if job else 0.26

    daemon.before_job = drift
    outcome, watcher = calibrated(daemon)
    assert [why.split(",")[0] for why in watcher.reasons] == ["", "the value jumped", "refused", "the value jumped"]
    assert outcome.changes[0].new.value == pytest.approx(0.28, rel=0.01)


def test_a_refused_measurement_is_repeated_twice_and_then_reported() -> None:
    daemon = OneQubit(t1=10.0)
    outcome, watcher = calibrated(daemon, T1(qubit="q0", index=0, max_delay=150e-6))
    assert watcher.verdicts == [False] * 3
    assert watcher.reasons[-1] == "refused, attempt 3 of 3"
    assert (outcome.changes, outcome.revision) == ((), None)
    assert [spec.shots for spec in daemon.specs] == [1000, 4000, 16000]
    assert len(daemon.snapshots) == 1


def test_delays_that_were_too_short_are_made_longer_until_they_fit() -> None:
    daemon = OneQubit(t1=33e-6)
    outcome, watcher = calibrated(daemon, T1(qubit="q0", index=0, max_delay=30e-6))
    assert watcher.verdicts[0] is False
    assert outcome.analysis.is_accepted
    assert outcome.analysis.estimates[0].value == pytest.approx(33e-6, rel=0.1)


def test_a_half_turn_late_in_the_sweep_gets_the_shots_that_it_needs() -> None:
    outcome, watcher = calibrated(OneQubit(a_pi=0.45))
    assert watcher.verdicts[0] is False
    assert outcome.analysis.is_accepted
    assert outcome.analysis.estimates[0].value == pytest.approx(0.45, rel=0.005)


def test_a_job_that_ends_in_error_says_so_with_the_instruments_words() -> None:
    daemon = OneQubit()
    daemon.end = JobStatus.ERROR
    with pytest.raises(JobEndedError, match="job job-1 ended as ERROR: slot1 reports an underrun; nothing"):
        calibrated(daemon)


def test_an_interrupt_cancels_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = OneQubit()

    def interrupted(self: Watcher, fraction: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watcher, "progress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        calibrated(daemon)
    assert daemon.cancelled == ["job-1"]


def piece(program: int, shots: int, iq: NDArray[np.complex64] | None) -> ProgramResult:
    return ProgramResult(program=program, first_shot=0, shots=shots, iq=iq)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([piece(0, 3, np.zeros((3, 1), np.complex64))], "same number for all 2"),
        ([piece(0, 3, None)], "program 0 gave no IQ"),
        ([piece(0, 3, np.zeros((3, 2), np.complex64))], "one measurement per shot"),
        ([piece(2, 3, np.zeros((3, 1), np.complex64))], "expected 2 programs"),
        ([], "same number"),
    ],
)
def test_data_that_do_not_belong_to_the_experiment_are_refused(pieces: list[ProgramResult], message: str) -> None:
    with pytest.raises(InvalidRecordError, match=message):
        single_shots(pieces, points=2)


def narrated(daemon: OneQubit, experiment: Rabi | T1, folder: Path, *, commit: bool = True) -> tuple[str, list[str]]:
    lines: list[str] = []
    states: list[str] = []
    narrator = Narrator(say=lines.append, status=states.append, folder=folder)
    outcome = Calibrator(daemon=daemon, backend="one", listener=narrator, seed=5).calibrate(experiment, commit=commit)
    narrator.ended(outcome)
    return "\n".join(lines), states


def test_the_narrator_tells_old_and_new_values_and_keeps_data_and_picture(tmp_path: Path) -> None:
    text, states = narrated(OneQubit(a_pi=0.21), RABI, tmp_path / "runs")
    assert "measuring rabi of q0: 41 points, 2000 shots each" in text
    assert "Rabi amplitude of q0: accepted" in text
    assert "q0.x.amplitude: 0.2 -> 0.2" in text
    assert "written" in text
    assert "committed as revision 2" in text
    assert states == ["measuring rabi of q0  25%", "measuring rabi of q0 100%"]
    assert (tmp_path / "runs" / "rabi-q0-job-1.png").is_file()
    stored = load_measurement(tmp_path / "runs" / "rabi-q0-job-1.npz")
    assert RABI.analyse(stored).is_accepted


def test_the_narrator_tells_confirmations_refusals_and_dry_runs(tmp_path: Path) -> None:
    t1 = T1(qubit="q0", index=0, max_delay=150e-6)
    assert "confirmed, the old value stays" in narrated(OneQubit(), t1, tmp_path)[0]
    assert "not committed, as asked" in narrated(OneQubit(), t1, tmp_path, commit=False)[0]
    refused, _ = narrated(OneQubit(t1=10.0), replace(t1, shots=100), tmp_path)
    assert "attempt 3 of 3" in refused
    assert "nothing was committed: the data do not differ from a constant" in refused


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputFolderError, match=r"file/runs cannot hold pictures \(Not a directory\)"):
        Narrator(say=print, status=print, folder=tmp_path / "file" / "runs")
    monkeypatch.setattr("os.access", lambda *_: False)  # a superuser may write anywhere
    with pytest.raises(OutputFolderError, match="cannot be written to; name another folder"):
        Narrator(say=print, status=print, folder=tmp_path / "runs")
