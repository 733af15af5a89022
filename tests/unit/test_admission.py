"""What one job may ask of the daemon: every product of sizes holds at its limit and is refused beyond it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from qubitd.compiler.device_file import load_device
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, MeasLevel, MeasReturn
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.server.errors import InvalidRequestError
from qubitd.server.front import admission
from qubitd.server.front.admission import check_limits, check_predictable, result_bytes
from qubitd.server.jobs.limits import MAX_PROGRAMS, MAX_TOTAL_SHOTS, limits_of

DEVICE = load_device("line5").device
LIMITS = limits_of(DEVICE)


def spec(*, circuits: int = 1, points: int = 1, shots: int = 1, clbits: int = 5) -> JobSpec:
    builders = [CircuitBuilder(name="", num_qubits=5, num_clbits=clbits) for _ in range(circuits)]
    for builder in builders:
        for qubit in range(min(5, clbits)):
            builder.measure(qubit, qubit)
    axis = SweepAxis(names=("q0.x.amplitude",), values=np.zeros((1, points)))
    return JobSpec(batch=pack(builders), sweep=Sweep(axes=(axis,)), shots=shots)


def refusal(asked: JobSpec) -> str:
    with pytest.raises(InvalidRequestError) as refused:
        check_limits(asked, LIMITS)
    return str(refused.value)


def test_circuits_times_points_are_bounded() -> None:
    check_limits(spec(circuits=100, points=MAX_PROGRAMS // 100), LIMITS)
    assert refusal(spec(circuits=100, points=MAX_PROGRAMS // 100 + 1)) == (
        "programs: 100 circuits and bindings x 1001 grid points are 100100 programs; "
        "the limit is 100000 for one job; split it"
    )


def test_circuits_times_points_times_shots_are_bounded() -> None:
    check_limits(spec(circuits=50, shots=MAX_TOTAL_SHOTS // 50), LIMITS)
    assert "are 5000050 shots in all; the limit is 5000000" in refusal(
        spec(circuits=50, points=1, shots=MAX_TOTAL_SHOTS // 50 + 1)
    )


@pytest.mark.parametrize(
    ("level", "kind", "each"),
    [
        (MeasLevel.CLASSIFIED, MeasReturn.SINGLE, 100),
        (MeasLevel.KERNELED, MeasReturn.SINGLE, 100 * 5 * 8),
        (MeasLevel.KERNELED, MeasReturn.AVERAGE, 5 * 8),
        (MeasLevel.BOTH, MeasReturn.SINGLE, 100 * 5 * 8 + 100),
        (MeasLevel.RAW, MeasReturn.AVERAGE, 16_384 * 8),
    ],
)
def test_the_bytes_of_a_result_are_known_beforehand(level: MeasLevel, kind: MeasReturn, each: int) -> None:
    asked = spec(circuits=2, points=3, shots=100)
    assert result_bytes(replace(asked, meas_level=level, meas_return=kind)) == 6 * each


def test_a_result_is_bounded_at_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spec(circuits=2, shots=10, clbits=9)
    monkeypatch.setattr(admission, "MAX_RESULT_BYTES", 40)
    check_limits(asked, LIMITS)
    monkeypatch.setattr(admission, "MAX_RESULT_BYTES", 39)
    assert refusal(asked).startswith("result: would take 40 bytes (2 programs x 10 shots); the limit is 39 for one job")


def test_parameters_times_bindings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = CircuitBuilder(name="", num_qubits=1, num_clbits=0).bind(np.zeros((7, 1)))
    builder.add("rz", 0, params=(FromColumn(column=0),)).add("rz", 0, params=(0.5,))
    asked = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1)
    monkeypatch.setattr(admission, "MAX_BOUND_NUMBERS", 14)
    check_limits(asked, LIMITS)
    monkeypatch.setattr(admission, "MAX_BOUND_NUMBERS", 13)
    assert refusal(asked) == "bindings: fill in 14 parameters of the circuits; the limit is 13 for one job; split it"


def flips(*, circuits: int = 1, gates: int = 1, measurements: int = 1) -> JobSpec:
    builder = CircuitBuilder(name="", num_qubits=5, num_clbits=measurements)
    for _ in range(gates):
        builder.add("x", 0)
    for bit in range(measurements):
        builder.measure(bit % 5, bit)
    return JobSpec(batch=pack([builder] * circuits), sweep=Sweep(), shots=1)


@pytest.mark.parametrize(
    ("fits", "too_much", "what"),
    [
        (partial(flips, circuits=1000), partial(flips, circuits=1001), "1001 to be predicted; the limit is 1000"),
        (partial(flips, measurements=14), partial(flips, measurements=15), "5 qubits and 15 measurements in a circuit"),
        (flips, spec, "sweep: is not predicted"),
    ],
    ids=["programs", "measurements", "sweep"],
)
def test_what_is_simulated_is_bounded(fits: Callable[[], JobSpec], too_much: Callable[[], JobSpec], what: str) -> None:
    check_predictable(fits(), DEVICE)
    with pytest.raises(InvalidRequestError, match=what):
        check_predictable(too_much(), DEVICE)


def test_the_steps_of_a_simulation_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_PREDICTED_STEPS", 80 * 4**DEVICE.num_qubits)
    check_predictable(flips(circuits=8, gates=9), DEVICE)
    with pytest.raises(InvalidRequestError, match="the limit is 80 at once"):
        check_predictable(flips(circuits=8, gates=10), DEVICE)
