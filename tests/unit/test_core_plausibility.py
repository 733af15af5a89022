"""Values that physics or units do not allow are found before they do harm."""

from __future__ import annotations

import math

import pytest

from qubitd.core.plausibility import QUANTITIES, implausible, quantity, value_problem
from qubitd.core.snapshot import Parameter


def parameter(name: str, value: float, unit: str | None = None, stderr: float | None = None) -> Parameter:
    kind = quantity(name)
    return Parameter(name=name, value=value, unit=(kind.unit if kind else "") if unit is None else unit, stderr=stderr)


def found(*parameters: Parameter, changed: set[str] | None = None) -> list[str]:
    return [str(problem) for problem in implausible({p.name: p for p in parameters}, changed=changed)]


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("q0.frequency", 6.05, "was it meant in GHz? Give 6.05e+09 Hz"),
        ("q0.frequency", 5250.0, "MHz"),
        ("q0.t1", 28.0, "us"),
        ("q0.t1", 28_000.0, "ns"),
        ("q0.sx.duration", 40.0, "was it meant in ns? Give 4e-08 s"),
        ("q0.readout.rotation", 90.0, "degrees"),
        ("q0.x.error", 1.5, "percent"),
        ("q0.x.amplitude", 1.01, "outside -1 to 1"),
        ("q0.x.amplitude", -1.01, "outside -1 to 1"),
        ("q0.sx.error", -1e-9, "outside 0 to 1"),
        ("q0.sx.duration", 0.0, "outside 1e-09 s to 1 s"),
        ("q0.sx.duration", -4e-8, "outside"),
        ("q0.readout.threshold", 2.0, "outside"),
        ("q0.x.amplitude", 1.0000001, "1.0000001 is outside -1 to 1"),
        ("q0.sx.duration", math.nextafter(1.0, 2.0), "1.0000000000000002 s is outside 1e-09 s to 1 s"),
    ],
)
def test_a_slip_is_found_and_what_was_meant_is_guessed(name: str, value: float, hint: str) -> None:
    (problem,) = found(parameter(name, value))
    assert problem.startswith(f"{name}: ")
    assert hint in problem


@pytest.mark.parametrize("last", sorted(QUANTITIES))
def test_the_bounds_themselves_are_allowed(last: str) -> None:
    kind = QUANTITIES[last]
    assert value_problem(f"q0.{last}", kind.low) is None
    assert value_problem(f"q0.{last}", kind.high) is None
    assert value_problem(f"q0.{last}", math.nextafter(kind.high, math.inf)) is not None
    assert value_problem(f"q0.{last}", math.nextafter(kind.low, -math.inf)) is not None


def test_a_number_that_is_not_finite_is_a_problem_of_any_parameter() -> None:
    assert value_problem("q0.my.own", math.nan) == "nan is not a finite number"


def test_a_wrong_unit_is_named() -> None:
    assert found(parameter("q0.t1", 28e-6, unit="us")) == ["q0.t1: unit is 'us'; it must be 's'"]
    assert found(parameter("q0.x.amplitude", 0.2, unit="V")) == ["q0.x.amplitude: unit is 'V'; it must be 'none'"]


def test_a_labs_own_parameter_may_have_any_unit_and_value() -> None:
    assert found(parameter("q0.flux.sweet_spot", 7e9, unit="V")) == []


def test_t2_above_twice_t1_is_a_problem() -> None:
    (problem,) = found(parameter("q0.t1", 20e-6), parameter("q0.t2", 40.1e-6))
    assert problem.startswith("q0.t2: T2 of 4.01e-05 s is above twice the T1 of 2e-05 s")
    assert found(parameter("q0.t1", 20e-6), parameter("q0.t2", 40e-6)) == []


def test_coherence_without_an_echo_is_held_against_t1_too() -> None:
    (problem,) = found(parameter("q0.t1", 20e-6), parameter("q0.t2_star", 40.1e-6))
    assert problem.startswith("q0.t2_star: T2* of 4.01e-05 s is above twice the T1 of 2e-05 s")
    assert found(parameter("q0.t1", 20e-6), parameter("q0.t2_star", 40e-6)) == []


def test_a_number_of_the_labs_own_that_once_had_the_name_of_t2_star_stands_in_no_ones_way() -> None:
    kept, t1 = parameter("q0.t2_star", 20.0, unit="us"), parameter("q0.t1", 30e-6)
    assert found(kept, t1, changed={"q0.t1"}) == []
    assert found(kept, t1, changed={"q0.t2_star"})[0] == "q0.t2_star: unit is 'us'; it must be 's'"


def test_t2_above_twice_t1_by_less_than_three_standard_errors_is_none() -> None:
    t2 = parameter("q0.t2", 41e-6, stderr=0.1e-6)
    assert found(parameter("q0.t1", 20e-6, stderr=0.2e-6), t2) == []
    assert len(found(parameter("q0.t1", 20e-6, stderr=0.1e-6), t2)) == 1


def test_only_what_changed_is_reported() -> None:
    bad, worse = parameter("q0.frequency", 6.0), parameter("q1.frequency", 7.0)
    t1, t2 = parameter("q0.t1", 1e-6), parameter("q0.t2", 9e-6)
    assert found(bad, worse, t1, t2, changed=set()) == []
    assert len(found(bad, worse, t1, t2, changed={"q1.frequency"})) == 1
    assert found(bad, worse, t1, t2, changed={"q0.t1"})[0].startswith("q0.t2: T2")
    assert len(found(bad, worse, t1, t2)) == 3
