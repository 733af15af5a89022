"""Ramsey: what it plays, which sign it gives an offset, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.calibration.errors import InvalidExperimentError
from qubitd.calibration.experiment import Analysis
from qubitd.calibration.measurement import Measurement
from qubitd.calibration.ramsey import Ramsey
from qubitd.core.circuit import instructions
from qubitd.core.discriminator import Discriminator

RAMSEY = Ramsey(qubit="q1", index=1, frequency=5.25e9, t2=20e-6)


def fringes(offset: float, *, t2: float = 20e-6) -> NDArray[np.float64]:
    """Excited fractions with the qubit `offset` above the drive."""
    return 0.5 + 0.47 * np.cos(2 * np.pi * (RAMSEY.shift - offset) * RAMSEY.x) * np.exp(-RAMSEY.x / t2)


def analysed(fractions: NDArray[np.float64], experiment: Ramsey = RAMSEY) -> Analysis:
    rng = np.random.default_rng(4)
    excited = rng.random((len(fractions), experiment.shots)) < fractions[:, None]
    points = 0.2 * excited - 0.1 + rng.normal(size=excited.shape) * 0.02
    return experiment.analyse(
        Measurement(
            experiment="ramsey",
            qubit="q1",
            run="job-1",
            backend="line5",
            revision=3,
            measured_at=1_700_000_000_000_000_000,
            discriminator=Discriminator(rotation=0.0, threshold=0.0),
            x=experiment.x,
            iq=points.astype(np.complex64),
        )
    )


def test_two_half_turns_with_a_wait_in_which_the_frame_turns() -> None:
    spec = RAMSEY.job(seed=3)
    (circuit,) = spec.batch.circuits
    assert [i.name for i in instructions(circuit, spec.batch.operations)] == ["sx", "delay", "rz", "sx", "measure"]
    assert circuit.bindings is not None
    np.testing.assert_allclose(circuit.bindings.values[:, 1], 2 * np.pi * 2e6 * circuit.bindings.values[:, 0])
    np.testing.assert_array_equal(circuit.bindings.values[:, 0], RAMSEY.x)
    assert spec.num_programs == 61
    assert spec.seed_simulator == 3


@pytest.mark.parametrize("offset", [1e6, -1e6, 0.0, 1.5e6, -1.5e6, 20e3])
def test_the_offset_is_found_with_its_sign(offset: float) -> None:
    analysis = analysed(fringes(offset))
    (estimate,) = analysis.estimates
    assert analysis.is_accepted, analysis.reasons
    assert estimate.name == "q1.frequency"
    assert estimate.value == pytest.approx(5.25e9 + offset, abs=4 * estimate.stderr)
    assert estimate.stderr < 1700


def test_the_decay_is_the_known_one() -> None:
    wrong = Ramsey(qubit="q1", index=1, frequency=5.25e9, shots=4000)
    assert any("does not describe" in reason for reason in analysed(fringes(0.0, t2=4e-6), wrong).reasons)


@pytest.mark.parametrize("offset", [1.9e6, -1.9e6])
def test_an_offset_near_the_shift_is_not_believed(offset: float) -> None:
    assert any("outer tenth" in reason for reason in analysed(fringes(offset)).reasons)


def test_after_a_refusal_the_range_is_doubled() -> None:
    wider = RAMSEY.again(analysed(np.full(61, 0.5)))
    assert (wider.shift, wider.points) == (4e6, 122)
    assert wider.shots > RAMSEY.shots


@pytest.mark.parametrize(
    "changes",
    [
        {"points": 7},
        {"shots": 9},
        {"max_delay": 1e-6},
        {"points": 40},
        {"shift": 10e6},
        {"shift": math.nan},
        {"max_delay": math.inf},
    ],
)
def test_a_sweep_that_cannot_tell_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(InvalidExperimentError, match=r"Ramsey measurement|delays up to"):
        Ramsey(qubit="q1", index=1, frequency=5.25e9, **changes)  # type: ignore[arg-type]  # as a caller might
