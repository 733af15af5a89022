"""A sweep is the product of its axes, the last running fastest."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.core.circuit import CircuitBatch
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep, SweepAxis


def axis(*names: str, points: int = 2) -> SweepAxis:
    return SweepAxis(names=names, values=np.arange(len(names) * points, dtype=np.float64).reshape(len(names), points))


def test_no_axis_is_one_point_that_changes_nothing() -> None:
    assert Sweep().num_points == 1
    assert list(Sweep().points()) == [{}]


def test_the_last_axis_runs_fastest_and_the_names_of_an_axis_step_together() -> None:
    sweep = Sweep(axes=(axis("a", "b"), axis("c", points=3)))
    assert sweep.shape == (2, 3)
    points = list(sweep.points())
    assert len(points) == sweep.num_points == 6
    assert points[0] == {"a": 0.0, "b": 2.0, "c": 0.0}
    assert points[1] == {"a": 0.0, "b": 2.0, "c": 1.0}
    assert points[5] == {"a": 1.0, "b": 3.0, "c": 2.0}


def test_a_parameter_on_two_axes_is_refused() -> None:
    with pytest.raises(InvalidCircuitError, match="a stands on more than one axis"):
        Sweep(axes=(axis("a"), axis("a", "b")))


@pytest.mark.parametrize(
    ("names", "values", "what"),
    [
        ((), np.zeros((0, 1)), "no parameter"),
        (("a",), np.zeros(3), "shape"),
        (("a", "b"), np.zeros((1, 3)), "expected \\(2, points\\)"),
        (("a",), np.zeros((1, 0)), "no points"),
        (("a",), np.array([[1.0, np.nan]]), "not finite"),
    ],
)
def test_an_axis_that_makes_no_sense_is_refused(
    names: tuple[str, ...], values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], what: str
) -> None:
    with pytest.raises(InvalidCircuitError, match=what):
        SweepAxis(names=names, values=values)


def test_a_job_has_a_program_for_each_circuit_and_point() -> None:
    spec = JobSpec(batch=CircuitBatch(operations=(), circuits=()), sweep=Sweep(axes=(axis("a", points=3),)), shots=1)
    assert spec.num_programs == 0


def test_done_cancelled_and_error_are_final() -> None:
    assert {s for s in JobStatus if s.is_final} == {JobStatus.DONE, JobStatus.CANCELLED, JobStatus.ERROR}
