"""What a sweep runs over, and its labelled array while parts come: what has come is there, what has not is NaN."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qubitd.core.job import ProgramResult, Trace
from qubitd.provider.sweep import Axis, labelled, read_axes

THETA = Axis(names=("theta",), values=np.array([[0.1, 0.2, 0.3]]), is_lab=(False,))
AMPLITUDE = Axis(names=("q0.x.amplitude",), values=np.array([[0.0, 0.25]]), is_lab=(True,))


def piece(program: int, ones: int, shots: int = 4, *, first: int = 0, amplitude: float = 0.0) -> ProgramResult:
    """Bit 1 of two was 1 in some of the shots, bit 0 in none."""
    bits = np.array([[2]] * ones + [[0]] * (shots - ones), dtype=np.uint8)
    played = (("q0.x.amplitude", amplitude),)
    return ProgramResult(program=program, first_shot=first, shots=shots, bits=bits, played=played)


def test_half_of_a_sweep_has_its_places_and_the_rest_is_nan() -> None:
    # Programs count through the circuit's parameter first, then the lab's: 2 is theta[1], amplitude[0].
    half = [piece(0, 1), piece(2, 4, amplitude=0.01), piece(5, 2, amplitude=0.24)]
    found = labelled((AMPLITUDE, THETA), 2, half)
    assert found.shape == (2, 3)
    nan = np.nan
    np.testing.assert_array_equal(found.data[..., 1], [[0.25, 1.0, nan], [nan, nan, 0.5]])
    np.testing.assert_array_equal(found.data[..., 0], [[0.0, 0.0, nan], [nan, nan, 0.0]])
    assert found.axes[0].values.tolist() == [[0.01, 0.24]]
    assert found.axes[1].values.tolist() == THETA.values.tolist()


def test_a_point_is_the_mean_of_the_shots_that_have_come_and_the_next_part_changes_nothing_else() -> None:
    first = [piece(0, 4), piece(1, 0)]
    before = labelled((THETA,), 2, first).data[:, 1]
    after = labelled((THETA,), 2, [*first, piece(0, 0, shots=12, first=4)]).data[:, 1]
    np.testing.assert_array_equal(before, [1.0, 0.0, np.nan])
    np.testing.assert_array_equal(after, [0.25, 0.0, np.nan])
    assert np.isnan(labelled((THETA,), 2, []).data).all()


def test_points_in_the_plane_grow_as_shares_do() -> None:
    point = ProgramResult(
        program=1, first_shot=0, shots=4, iq=np.array([[0.5 + 1j]], dtype=np.complex64), iq_qubits=(0,), iq_clbits=(1,)
    )
    data = labelled((THETA,), 2, [point]).data
    assert data[1, 1] == pytest.approx(0.5 + 1j)
    assert np.isnan(data).sum() == 5


def test_traces_are_the_mean_of_their_shots_at_each_point() -> None:
    def traces(program: int, first: int, shots: int, *samples: list[float]) -> ProgramResult:
        made = tuple(Trace(qubits=(i,), samples=np.array(row, dtype=np.complex64)) for i, row in enumerate(samples))
        return ProgramResult(program=program, first_shot=first, shots=shots, traces=made)

    pieces = [traces(0, 0, 1, [1, 2], [3]), traces(0, 1, 3, [5, 2], [3]), traces(5, 0, 4, [0, 1, 2], [4])]
    data = labelled((AMPLITUDE, THETA), 1, pieces).data
    assert data.shape == (2, 3, 2, 3)
    np.testing.assert_array_equal(data[0, 0], [[4, 2, 0], [3, 0, 0]])
    np.testing.assert_array_equal(data[1, 2], [[0, 1, 2], [4, 0, 0]])
    assert np.isnan(data).sum() == 4 * 2 * 3


def test_everything_that_is_wrong_with_a_sweep_is_told() -> None:
    circuit = QuantumCircuit(1)
    circuit.rz(Parameter("angle"), 0)
    sweep = {"q0.x.amplitude": [0, np.nan], 3: [1], ("q0.x.beta", "q0.x.sgma"): [[0], [1]], Parameter("other"): []}
    axes, problems = read_axes(
        [circuit, circuit], sweep, [[0.1]], lambda: ["q0.x.amplitude", "q0.x.beta", "q0.x.sigma"]
    )
    assert not axes
    assert [str(problem) for problem in problems] == [
        "sweep: runs over 2 circuits; a sweep has one, send a job for each",
        "sweep: comes with parameter_values; make them an axis of the sweep",
        "sweep: has nan as value 1 of q0.x.amplitude; give finite numbers",
        "sweep: has the axis 3; give names of the lab's parameters, or parameters of the circuit",
        "sweep: has values of shape (1, 0) for other; give (1, points) numbers",
        "sweep: gives values for q0.x.sgma, and the lab has no such parameter; did you mean q0.x.sigma or q0.x.beta?",
    ]
