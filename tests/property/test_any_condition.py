"""Gates of one qubit under any condition of a few outcomes do what they say, be it none that the network can tell."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qubitd.compiler.axis import Turn, turns_of
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import ideal
from qubitd.compiler.matrices import Matrix, gate_matrix, rz
from qubitd.compiler.outcomes import Truth, Worlds
from qubitd.compiler.parities import MOST_OUTCOMES, parities_of
from qubitd.compiler.verify import Verify
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.feedforward import FeedForward

LINE5 = load_device("line5")
CLASSROOM5 = load_device("classroom5")
FACTS = FeedForward(latency=388, travel=376, spacing=252, addresses=15, step=16, shift=4)
TARGET = 4
"""None of the qubits that are looked at."""
Gate = tuple[str, float]
"""Its name, and its angle if it has one."""

gates = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["x", "sx", "sy", "id"]), st.just(0.0)),
        st.tuples(st.just("rz"), st.floats(-math.pi, math.pi)),
    ),
    min_size=1,
    max_size=4,
)


def add(builder: CircuitBuilder, sequence: list[Gate]) -> None:
    for name, angle in sequence:
        builder.add(name, TARGET, params=(angle,) if name == "rz" else ())


def matrix_of(sequence: list[Gate]) -> Matrix:
    total: Matrix = np.eye(2, dtype=np.complex128)
    for name, angle in sequence:
        total = gate_matrix(LINE5.device.gates, name, (angle,) if name == "rz" else ()) @ total
    return total


@settings(max_examples=60)
@given(st.integers(2, MOST_OUTCOMES), st.data(), gates, gates, gates, gates)
def test_gates_of_one_qubit_may_depend_on_any_table_of_outcomes(
    count: int, data: st.DataObject, before: list[Gate], then: list[Gate], otherwise: list[Gate], after: list[Gate]
) -> None:
    truth = data.draw(st.integers(1, 2 ** (2**count) - 2))
    condition = Condition(clbits=tuple(range(count)), truth=truth, text="any table")
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=count + 1)
    for qubit in range(count):
        builder.add("sx", qubit).measure(qubit, qubit)
    add(builder, before)
    builder.if_(condition)
    add(builder, then)
    builder.else_()
    add(builder, otherwise)
    builder.end()
    add(builder, after)
    builder.measure(TARGET, count)
    batch = pack([builder])
    (program,) = compile_circuits(LINE5.device, LINE5.snapshot(), batch, feedforward=FACTS).programs()
    Verify(feedforward=FACTS)(program)
    (found,) = ideal(LINE5.device, LINE5.snapshot(), batch, feedforward=FACTS)
    for value in range(2**count):
        chosen = then if condition.holds(value) else otherwise
        state = matrix_of([*before, *chosen, *after])[:, 0]
        for outcome in (0, 1):
            should = abs(state[outcome]) ** 2 / 2**count
            assert found.get(f"{outcome}{value:0{count}b}", 0.0) == pytest.approx(should, abs=1e-9)


@pytest.mark.parametrize("name", ["rz", "p"])
def test_an_angle_that_is_bound_is_shared_out_in_each_binding(name: str) -> None:
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=3)
    builder.add("sx", 0).measure(0, 0).add("sx", 1).measure(1, 1).add("sx", 2)
    builder.if_(Condition(clbits=(0, 1), truth=0b0010, text="the first alone"))
    builder.add(name, 2, params=(FromColumn(column=0),)).end().add("sx", 2).measure(2, 2)
    batch = pack([builder.bind([[0.0], [0.8], [np.pi]])])
    found = ideal(CLASSROOM5.device, CLASSROOM5.snapshot(), batch, feedforward=FACTS)
    for angle, chances in zip((0.0, 0.8, np.pi), found, strict=True):
        assert chances.get("101", 0.0) == pytest.approx((1 + math.cos(angle)) / 8)
        assert [chances["100"], chances["110"], chances["111"]] == pytest.approx([0.25] * 3)


def test_a_gate_of_any_axis_may_depend_on_any_table() -> None:
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=3)
    builder.add("sx", 0).measure(0, 0).add("sx", 1).measure(1, 1).add("sx", 2)
    builder.if_(Condition(clbits=(0, 1), truth=0b0010, text="the first alone"))
    builder.add("u", 2, params=(0.4, 1.1, -0.6)).end().add("sx", 2).measure(2, 2)
    (found,) = ideal(CLASSROOM5.device, CLASSROOM5.snapshot(), pack([builder]), feedforward=FACTS)
    sx = gate_matrix({}, "sx", ())
    one = abs((sx @ gate_matrix({}, "u", (0.4, 1.1, -0.6)) @ sx)[1, 0]) ** 2
    assert found["101"] == pytest.approx(one / 4)
    assert [found["100"], found["110"], found["111"]] == pytest.approx([0.25] * 3)


def tables(count: int) -> Iterator[int]:
    yield from range(1, 2 ** (2**count) - 1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_table_is_the_sum_of_its_parities(count: int) -> None:
    values = np.array(list(itertools.product((False, True), repeat=count))).T
    for table in tables(count):
        worlds = Worlds(outcomes=dict(enumerate(values)), size=2**count)
        holds = np.array([table >> world & 1 for world in range(2**count)], dtype=np.bool_)
        found = parities_of(Truth(holds=holds, depends=frozenset(range(count))), worlds, range(count))
        assert found is not None
        for world, should in enumerate(holds.tolist()):
            one: list[bool] = values[:, world].tolist()
            weights = (w for test, w in found.weights if test.holds([one[number] for number in test.outcomes]))
            assert sum(weights, start=found.constant) == should
        assert all(weight for _, weight in found.weights)


def test_two_outcomes_of_a_qubit_or_too_many_are_no_sum() -> None:
    values = np.array(list(itertools.product((False, True), repeat=MOST_OUTCOMES + 1))).T
    worlds = Worlds(outcomes=dict(enumerate(values)), size=values.shape[1])
    alone = Truth(holds=np.logical_and(values[0], ~values[1]), depends=frozenset((0, 1)))
    assert parities_of(alone, worlds, [3] * 5) is None
    assert parities_of(alone, worlds, [3, 4] * 3) is not None
    all_alike = Truth(holds=values.sum(axis=0) % 5 == 0, depends=frozenset(range(MOST_OUTCOMES + 1)))
    assert parities_of(all_alike, worlds, range(MOST_OUTCOMES + 1)) is None


angles = st.floats(-2 * math.pi, 2 * math.pi)


def matrix_of_turn(turn: Turn) -> Matrix:
    if turn.azimuth is None:
        return rz(turn.angle)
    hadamard = gate_matrix({}, "h", ())
    return rz(turn.azimuth) @ hadamard @ rz(turn.angle) @ hadamard @ rz(-turn.azimuth)


@given(angles, angles, angles)
@example(math.pi, 0.0, 0.0)
@example(0.0, 0.3, -0.3)
def test_any_gate_of_one_qubit_is_at_most_two_turns(theta: float, phi: float, lam: float) -> None:
    matrix = gate_matrix({}, "u", (theta, phi, lam))
    total: Matrix = np.eye(2, dtype=np.complex128)
    for turn in turns_of(matrix):
        total = matrix_of_turn(turn) @ total
    assert abs(np.trace(total.conj().T @ matrix)) == pytest.approx(2.0)


@pytest.mark.parametrize(("name", "azimuths"), [("id", []), ("rz", [None]), ("x", [0.0]), ("h", [-math.pi / 2, None])])
def test_turns_are_as_few_as_can_be(name: str, azimuths: list[float | None]) -> None:
    found = turns_of(gate_matrix({}, name, (0.3,) if name == "rz" else ()))
    assert [turn.azimuth for turn in found] == pytest.approx(azimuths)
