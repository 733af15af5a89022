"""What a misspelt parameter may have meant, among few names and among very many."""

from __future__ import annotations

import pytest

from qubitd.core.misspelling import MOST_COMPARED, near_parameters

NAMES = ("q0.x.amplitude", "q0.x.duration", "q1.x.amplitude", "q0_q1.cz.amplitude", "q0.t1")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("q0.x.amplitud", "q0.x.amplitude"),
        ("q00.x.amplitude", "q0.x.amplitude"),
        ("q1_q0.cz.amplitude", "q0_q1.cz.amplitude"),
        ("q0.T1", "q0.t1"),
        ("Q0.X.amplitude", "q0.x.amplitude"),
        ("q0_x_duration", "q0.x.duration"),
    ],
)
def test_the_nearest_name_comes_first(name: str, meant: str) -> None:
    assert near_parameters(name, NAMES)[0] == meant


def test_nothing_is_near_a_name_of_another_kind() -> None:
    assert near_parameters("frequency", NAMES) == []


def test_of_very_many_names_those_of_the_same_qubit_are_compared_first_and_few_others() -> None:
    many = [f"q{number}.x.amplitude" for number in range(2 * MOST_COMPARED)]
    last = len(many) - 1
    assert near_parameters(f"q{last}.x.amplitud", many) == [f"q{last}.x.amplitude"]
    assert f"q{last}.x.amplitude" not in near_parameters(f"Q{last}.x.amplitude", many)
