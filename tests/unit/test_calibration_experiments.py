"""Rabi and T1: what they play, what they conclude, and what they try after a refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.calibration.errors import InvalidExperimentError, InvalidRecordError
from qubitd.calibration.experiment import Experiment
from qubitd.calibration.measurement import Measurement, load_measurement, save_measurement
from qubitd.calibration.picture import draw_analysis, save_analysis
from qubitd.calibration.quantity import prefixed, written
from qubitd.calibration.rabi import Rabi
from qubitd.calibration.run import qubit_index
from qubitd.calibration.t1 import T1
from qubitd.client import BackendInfo, Limits
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import instructions
from qubitd.core.discriminator import Discriminator
from qubitd.core.job import MeasLevel, MeasReturn
from qubitd.core.properties import QubitProperties

RABI = Rabi(qubit="q1", index=1)
DECAY = T1(qubit="q2", index=2, max_delay=150e-6)


def simulated(experiment: Experiment, fractions: NDArray[np.float64], shots: int = 2000, seed: int = 1) -> Measurement:
    rng = np.random.default_rng(seed)
    excited = rng.random((len(fractions), shots)) < fractions[:, None]
    blur = rng.normal(size=(2, *excited.shape)) * 0.02
    return Measurement(
        experiment=experiment.name,
        qubit=experiment.qubit,
        run="job-1",
        backend="line5",
        revision=3,
        measured_at=1_700_000_000_000_000_000,
        discriminator=Discriminator(rotation=-0.5, threshold=0.0),
        x=experiment.x,
        iq=((0.2 * excited - 0.1 + blur[0] + 1j * blur[1]) * np.exp(0.5j)).astype(np.complex64),
    )


def rabi_fractions(a_pi: float, x: NDArray[np.float64] = RABI.x) -> NDArray[np.float64]:
    return 0.5 - 0.47 * np.cos(np.pi * x / a_pi)


def test_rabi_sweeps_the_amplitude_of_x_and_asks_for_single_shots() -> None:
    spec = RABI.job(seed=7)
    (circuit,) = spec.batch.circuits
    assert [(i.name, i.qubits) for i in instructions(circuit, spec.batch.operations)] == [
        ("x", (1,)),
        ("measure", (1,)),
    ]
    (axis,) = spec.sweep.axes
    assert axis.names == ("q1.x.amplitude",)
    assert axis.values[0] == pytest.approx(np.linspace(0, 0.9, 41))
    assert (spec.meas_level, spec.meas_return, spec.seed_simulator) == (MeasLevel.KERNELED, MeasReturn.SINGLE, 7)


def test_rabi_gives_the_amplitude_of_x_and_half_of_it_for_sx() -> None:
    analysis = RABI.analyse(simulated(RABI, rabi_fractions(0.2213)))
    assert analysis.is_accepted, analysis.reasons
    x, sx = analysis.estimates
    assert (x.name, sx.name) == RABI.writes == ("q1.x.amplitude", "q1.sx.amplitude")
    assert x.value == pytest.approx(0.2213, abs=4 * x.stderr)
    assert sx.value == x.value / 2
    assert sx.stderr == x.stderr / 2


def test_t1_waits_longer_from_binding_to_binding_on_the_grid() -> None:
    spec = replace(DECAY, max_delay=1.00033e-4).job()
    (circuit,) = spec.batch.circuits
    assert circuit.bindings is not None
    delays = circuit.bindings.values[:, 0].tolist()
    assert len(delays) == spec.num_programs == 21
    assert delays[0] == 0
    assert delays[-1] == 1.00033e-4
    assert all(delay == round(delay * 1e9) / 1e9 for delay in delays)
    operations = list(instructions(circuit, spec.batch.operations))
    assert [operation.name for operation in operations] == ["x", "delay", "measure"]
    assert operations[1].params == (FromColumn(column=0),)
    assert spec.sweep.num_points == 1


def test_t1_is_found_with_its_error() -> None:
    analysis = DECAY.analyse(simulated(DECAY, 0.03 + 0.94 * np.exp(-DECAY.x / 42e-6)))
    assert analysis.is_accepted, analysis.reasons
    (t1,) = analysis.estimates
    assert t1.name == "q2.t1"
    assert t1.value == pytest.approx(42e-6, abs=4 * t1.stderr)
    assert 0 < t1.stderr < 2e-6


def test_an_analysis_can_be_repeated_on_stored_data(tmp_path: Path) -> None:
    measurement = simulated(RABI, rabi_fractions(0.3))
    save_measurement(measurement, tmp_path / "run.npz")
    again = RABI.analyse(load_measurement(tmp_path / "run.npz"))
    assert again.estimates == RABI.analyse(measurement).estimates


def test_a_file_that_is_no_measurement_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "no.npz").write_bytes(b"PK\x03\x04 nothing")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("no.npz", "other.npz", "missing.npz"):
        with pytest.raises(InvalidRecordError, match=name):
            load_measurement(tmp_path / name)


@pytest.mark.parametrize(
    ("fractions", "reason"),
    [
        (np.full(41, 0.02), "do not differ from a constant"),
        (rabi_fractions(0.85), "outer tenth"),
        (rabi_fractions(1.6), "too short"),
        (np.linspace(0, 1, 41) % 0.3, "does not describe"),
        (rabi_fractions(0.03), "outer tenth"),
    ],
)
def test_rabi_refuses_what_it_cannot_see(fractions: NDArray[np.float64], reason: str) -> None:
    analysis = RABI.analyse(simulated(RABI, fractions))
    assert reason in " ".join(analysis.reasons)


@pytest.mark.parametrize(
    ("t1", "reason"), [(1.0, "differ from a constant"), (100e-6, "too short"), (5e-6, "outer tenth")]
)
def test_t1_refuses_delays_that_do_not_fit(t1: float, reason: str) -> None:
    analysis = DECAY.analyse(simulated(DECAY, 0.97 * np.exp(-DECAY.x / t1)))
    assert reason in " ".join(analysis.reasons)


def test_after_a_refusal_rabi_sweeps_four_half_turns_if_it_saw_any() -> None:
    long = replace(RABI, points=81)
    again = long.again(long.analyse(simulated(long, rabi_fractions(0.06, long.x))))
    assert again.max_amplitude == pytest.approx(0.24, abs=1e-3)
    assert (again.points, again.shots) == (81, 8000)


def test_after_a_refusal_rabi_looks_finer_over_the_whole_range_if_it_saw_nothing() -> None:
    short = replace(RABI, max_amplitude=0.2)
    again = short.again(short.analyse(simulated(short, np.full(41, 0.02))))
    assert (again.max_amplitude, again.points, again.shots) == (0.9, 82, 8000)


def test_after_a_refusal_t1_fits_its_delays_to_what_it_saw() -> None:
    long_lived = DECAY.again(DECAY.analyse(simulated(DECAY, 0.97 * np.exp(-DECAY.x / 100e-6))))
    assert long_lived.max_delay == pytest.approx(500e-6, rel=0.3)
    nothing = DECAY.again(DECAY.analyse(simulated(DECAY, np.full(21, 0.97))))
    assert (nothing.max_delay, nothing.shots) == (300e-6, 4000)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: replace(RABI, max_amplitude=1.1),
        lambda: replace(RABI, points=7),
        lambda: replace(RABI, shots=9),
        lambda: replace(DECAY, max_delay=1e-7),
        lambda: replace(DECAY, points=3),
    ],
)
def test_an_experiment_that_cannot_work_is_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(InvalidExperimentError):
        wrong()


@pytest.mark.parametrize(
    ("value", "unit", "stderr", "text"),
    [
        (0.22143, "", 0.00031, "0.22143(31)"),
        (28.31e-6, "s", 0.57e-6, "28.31(57) µs"),
        (5.25e9, "Hz", 5e3, "5.2500000(50) GHz"),
        (0.5, "", None, "0.5"),
        (0.0, "s", 1e-9, "0.0000000000(10) s"),
        (350.0, "s", 40.0, "350(40) s"),
    ],
)
def test_values_are_written_with_the_digits_that_count(
    value: float, unit: str, stderr: float | None, text: str
) -> None:
    assert written(value, unit, stderr) == text


def test_prefixes_fit_the_largest_value() -> None:
    assert prefixed(150e-6, "s") == (1e-6, "µs")
    assert prefixed(0.9, "") == (1.0, "")


def test_a_picture_is_drawn_of_a_refused_fit_too(tmp_path: Path) -> None:
    fractions = rabi_fractions(0.2213)
    accepted = RABI.analyse(simulated(RABI, fractions))
    fractions[5] = 1.0
    outlier = RABI.analyse(simulated(RABI, fractions, shots=60))
    refused = RABI.analyse(simulated(RABI, np.full(41, 0.02)))
    save_analysis(refused, tmp_path / "refused.png", subtitle="line5, job 1")
    assert (tmp_path / "refused.png").read_bytes().startswith(b"\x89PNG")
    assert "refused" in draw_analysis(refused).get_suptitle()
    assert "accepted" in draw_analysis(accepted).get_suptitle()
    assert any("left out" in text for text in _legend(outlier))


def _legend(analysis: object) -> list[str]:
    from qubitd.calibration.experiment import Analysis

    assert isinstance(analysis, Analysis)
    legend = draw_analysis(analysis).axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_a_qubit_is_found_by_its_name() -> None:
    backend = BackendInfo(
        name="pair",
        description="",
        revision=1,
        revision_time_ns=0,
        qubits=tuple(QubitProperties(name=name, t1=None, t2=None, frequency=None) for name in ("q0", "q1")),
        couplers=(),
        operations=(),
        signatures=(),
        limits=Limits(max_shots=1, max_circuits=1, max_total_shots=1, max_job_bytes=1),
        dt=1e-9,
        operational=True,
        server_version="",
        simulated=True,
    )
    assert qubit_index(backend, "q1") == 1
    with pytest.raises(InvalidExperimentError, match="pair has no qubit 'q7'; it has q0, q1"):
        qubit_index(backend, "q7")


def test_an_experiment_names_what_it_reads() -> None:
    assert RABI.reads == ("q1.readout.rotation", "q1.readout.threshold")
    assert DECAY.reads == ("q2.readout.rotation", "q2.readout.threshold", "q2.x.amplitude")
