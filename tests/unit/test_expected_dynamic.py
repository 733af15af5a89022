"""What is predicted for circuits that look at outcomes while they run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected, ideal
from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.control import Condition
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.feedforward import FeedForward
from qubitd.core.job import InitialReset

FILE = load_device("line5")
FACTS = FeedForward(latency=388, travel=376, spacing=252, addresses=15, step=16, shift=4)


def circuit(num_clbits: int = 1) -> CircuitBuilder:
    return CircuitBuilder(name="a", num_qubits=5, num_clbits=num_clbits)


def bits(*clbits: int, truth: int = 0b10) -> Condition:
    return Condition(clbits=clbits, truth=truth, text=f"c{clbits}")


def without_noise(builder: CircuitBuilder) -> dict[str, float]:
    return ideal(FILE.device, FILE.snapshot(), pack([builder]), feedforward=FACTS)[0]


def with_noise(builder: CircuitBuilder) -> dict[str, float]:
    return expected(FILE.device, FILE.snapshot(), pack([builder]), feedforward=FACTS)[0]


def hadamard(builder: CircuitBuilder, qubit: int) -> None:
    builder.add("rz", qubit, params=(math.pi / 2,)).add("sx", qubit).add("rz", qubit, params=(math.pi / 2,))


def teleportation(angle: float) -> CircuitBuilder:
    """Move a qubit turned by an angle from q0 to q2; both corrections are conditional."""
    builder = circuit(3)
    builder.add("sx", 0).add("rz", 0, params=(angle,)).add("sx", 0)
    hadamard(builder, 1)
    hadamard(builder, 2)
    builder.add("cz", 1, 2)
    hadamard(builder, 2)
    hadamard(builder, 1)
    builder.add("cz", 0, 1)
    hadamard(builder, 1)
    hadamard(builder, 0)
    builder.measure(0, 0).measure(1, 1)
    builder.if_(bits(1)).add("x", 2).end()
    builder.if_(bits(0)).add("rz", 2, params=(math.pi,)).end()
    builder.add("sx", 2).add("rz", 2, params=(-angle,)).add("sx", 2)
    return builder.measure(2, 2)


def chance_of_one(distribution: dict[str, float], clbit: int) -> float:
    return sum(p for text, p in distribution.items() if text[-1 - clbit] == "1")


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.1])
def test_a_teleported_qubit_arrives(angle: float) -> None:
    original = circuit()
    original.add("sx", 0).add("rz", 0, params=(angle,)).add("sx", 0)
    original.add("sx", 0).add("rz", 0, params=(-angle,)).add("sx", 0).measure(0, 0)
    should = chance_of_one(without_noise(original), 0)
    found = without_noise(teleportation(angle))
    assert chance_of_one(found, 2) == pytest.approx(should, abs=1e-9)
    assert chance_of_one(found, 0) == chance_of_one(found, 1) == pytest.approx(0.5)


def test_a_reset_qubit_is_0_but_for_the_errors_of_its_readout() -> None:
    builder = circuit().add("x", 0).add("reset", 0).measure(0, 0)
    assert without_noise(builder) == pytest.approx({"0": 1.0})
    wrong = FILE.snapshot().value("q0.measure.prob_meas0_prep1")
    assert wrong < with_noise(builder)["1"] < 2 * wrong


def test_a_qubit_seen_in_0_by_its_decay_is_in_0_when_it_is_read_again() -> None:
    builder = circuit(2).add("x", 4).measure(4, 0).measure(4, 1)
    found = with_noise(builder)
    after_1 = found["01"] / (found["01"] + found["11"])
    assert after_1 < 0.05
    assert found["00"] / (found["00"] + found["10"]) > 8 * after_1


def test_a_qubit_that_was_read_last_is_as_it_was_read_whatever_its_neighbours_do() -> None:
    alone = circuit(1).add("x", 1).measure(1, 0)
    busy = circuit(1).add("x", 1).measure(1, 0).add("x", 0).add("x", 2)
    busy.add("barrier", *range(5)).add("delay", 0, params=(20e-6,)).add("x", 0).add("x", 2)
    assert with_noise(busy)["0"] == pytest.approx(with_noise(alone)["0"], rel=1e-6)


def test_repeating_until_success_succeeds() -> None:
    again = bits(0, truth=0b01)
    builder = circuit().add("sx", 0).measure(0, 0).while_(again, most=3).add("sx", 0).measure(0, 0).end()
    assert without_noise(builder)["0"] == pytest.approx(1 / 16)


def test_a_measurement_that_is_skipped_leaves_its_bit() -> None:
    builder = circuit(2).add("x", 1).measure(1, 1).measure(0, 0).if_(bits(0)).measure(0, 1).end()
    assert without_noise(builder) == pytest.approx({"10": 1.0})


def test_a_later_certain_measurement_overwrites_one_that_may_be_skipped() -> None:
    builder = circuit(2).add("x", 1).measure(1, 0).if_(bits(0)).measure(1, 1).end().measure(0, 1)
    assert without_noise(builder) == pytest.approx({"01": 1.0})


def test_the_parity_of_two_outcomes_decides() -> None:
    builder = circuit(3).add("sx", 0).add("sx", 1).measure(0, 0).measure(1, 1)
    builder.if_(bits(0, 1, truth=0b0110)).add("x", 2).end().measure(2, 2)
    found = without_noise(builder)
    assert found == pytest.approx({"000": 0.25, "101": 0.25, "110": 0.25, "011": 0.25})


def test_every_binding_is_predicted() -> None:
    builder = circuit(2).add("x", 0).measure(0, 0).if_(bits(0)).add("sx", 1)
    builder.add("rz", 1, params=(FromColumn(column=0),)).add("sx", 1).end().measure(1, 1)
    batch = pack([builder.bind([[0.0], [np.pi]])])
    first, second = ideal(FILE.device, FILE.snapshot(), batch, feedforward=FACTS)
    assert first == pytest.approx({"11": 1.0})
    assert second == pytest.approx({"01": 1.0})


def test_an_active_reset_before_each_shot_begins_where_the_last_shot_ended() -> None:
    """A readout that never errs leaves of a 1 only what decays between reading it and flipping it."""
    names = [f"q0.measure.prob_meas{a}_prep{1 - a}" for a in (0, 1)]
    snapshot = FILE.snapshot().with_values(dict.fromkeys(names, 0.0))
    batch = pack([circuit().add("x", 0).measure(0, 0)])
    found = [
        expected(
            FILE.device,
            snapshot,
            batch,
            reset_rounds=rounds,
            initial_reset=InitialReset.ACTIVE,
            feedforward=FACTS,
        )[0]["0"]
        for rounds in (1, 2)
    ]
    (passive,) = expected(FILE.device, snapshot, batch, initial_reset=InitialReset.PASSIVE)
    read = sum(snapshot.value(f"q0.readout.{name}") for name in ("delay", "integration"))
    late = read + (FACTS.latency + 20) * 1e-9 - snapshot.value("q0.readout.duration") / 2
    assert found[0] == pytest.approx(-math.expm1(-late / snapshot.value("q0.t1")), rel=0.1)
    assert passive["0"] < found[1] < found[0] / 5


def test_a_rep_delay_relaxes_what_an_active_reset_begins_with() -> None:
    """One round leaves the part of a 1 that decays between reading it and flipping it: less 1, less of that."""
    names = [f"q0.measure.prob_meas{a}_prep{1 - a}" for a in (0, 1)]
    snapshot = FILE.snapshot().with_values(dict.fromkeys(names, 0.0))
    batch = pack([circuit().add("x", 0).measure(0, 0)])
    t1 = snapshot.value("q0.t1")

    def wrong(rep_delay: float, initial_reset: InitialReset = InitialReset.ACTIVE) -> float:
        (found,) = expected(
            FILE.device,
            snapshot,
            batch,
            reset_rounds=1,
            initial_reset=initial_reset,
            rep_delay=rep_delay,
            feedforward=FACTS,
        )
        return found["0"]

    clean = wrong(20 * t1)
    assert wrong(t1) - clean == pytest.approx((wrong(0.0) - clean) * math.exp(-1), rel=0.02)
    assert wrong(0.0) > 5 * clean


def test_shots_that_depend_on_each_other_are_not_predicted() -> None:
    builder = CircuitBuilder(name="a", num_qubits=1, num_clbits=1).add("x", 0).measure(0, 0)
    with pytest.raises(InvalidCircuitError, match="begins each shot where the one before ended"):
        expected(FILE.device, FILE.snapshot(), pack([builder]), initial_reset=InitialReset.NONE)
