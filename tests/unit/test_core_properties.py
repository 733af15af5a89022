"""What a Target states comes from the device and the snapshot, and nothing is taken for perfect."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from qubitd.core.decoherence import coherence_limit
from qubitd.core.device import (
    Affine,
    BodyStep,
    CompositeGate,
    Coupler,
    Device,
    Gate,
    PulseGate,
    Reference,
    parameter_name,
)
from qubitd.core.errors import InvalidCalibrationError, OffGridError
from qubitd.core.properties import gate_ticks, target_properties
from qubitd.core.snapshot import Parameter, Snapshot

SX = PulseGate(
    name="sx",
    operands=((0,), (1,)),
    duration=Reference(name="sx.duration"),
    error=Reference(name="sx.error"),
    steps=(),
)
RZ = PulseGate(name="rz", operands=((0,), (1,)), angles=("theta",), duration=0.0, error=0.0, steps=())
CZ = PulseGate(
    name="cz",
    operands=((0, 1), (1, 0)),
    duration=Reference(name="cz.duration"),
    error=Reference(name="cz.error"),
    steps=(),
)
CX = CompositeGate(
    name="cx",
    operands=((0, 1),),
    error=0.01,
    body=(
        BodyStep(gate="sx", operands=(1,)),
        BodyStep(gate="rz", operands=(0,), angles=(Affine(constant=1.0),)),
        BodyStep(gate="cz", operands=(0, 1)),
        BodyStep(gate="sx", operands=(1,)),
    ),
)
VALUES = {
    "q0.sx.duration": 40e-9,
    "q0.sx.error": 1e-3,
    "q1.sx.duration": 20e-9,
    "q1.sx.error": 2e-3,
    "q0_q1.cz.duration": 70e-9,
    "q0_q1.cz.error": 3e-3,
    "q0.t1": 28e-6,
    "q0.frequency": 6.05e9,
}


def device(*gates: Gate) -> Device:
    return Device(
        name="two",
        description="",
        qubits=("q0", "q1"),
        couplers=(Coupler(qubits=(0, 1), pulsed=0),),
        gates={gate.name: gate for gate in gates},
        max_shots=10,
        max_circuits=10,
    )


def snapshot(**changes: float | None) -> Snapshot:
    values = VALUES | {name.replace("__", "."): value for name, value in changes.items()}
    parameters = {n: Parameter(name=n, value=v, unit="") for n, v in values.items() if v is not None}
    return Snapshot(revision=4, parent=3, author="", message="", created_at=0, parameters=parameters)


CHIP = device(SX, RZ, CZ, CX)


def test_pairs_are_sorted_in_names_and_couplers_found_either_way() -> None:
    assert parameter_name(CHIP, (1, 0), Reference(name="cz.error")) == "q0_q1.cz.error"
    assert CHIP.coupler((1, 0)) == CHIP.coupler((0, 1)) == CHIP.couplers[0]
    assert CHIP.coupler((0, 0)) is None
    assert CHIP.num_qubits == 2


def test_every_gate_states_its_duration_and_error_on_all_its_operands() -> None:
    rows = {(row.name, row.operands): row for row in target_properties(CHIP, snapshot()).operations}
    assert rows["sx", (1,)].duration == 20e-9
    assert rows["sx", (1,)].error == 2e-3
    assert rows["cz", (0, 1)].error == rows["cz", (1, 0)].error == 3e-3
    assert (rows["rz", (0,)].duration, rows["rz", (0,)].error) == (0.0, 0.0)
    assert (rows["delay", (1,)].duration, rows["delay", (1,)].error) == (None, None)


def test_a_gate_without_an_error_is_absent_and_the_others_stay() -> None:
    rows = target_properties(CHIP, snapshot(q0__sx__error=None)).operations
    assert [row.operands for row in rows if row.name == "sx"] == [(1,)]


def test_a_gate_that_states_no_error_is_there_without_one() -> None:
    chip = device(replace(SX, name="reset", error=None))
    (row, *_) = target_properties(chip, snapshot()).operations
    assert (row.name, row.error) == ("reset", None)


def test_no_error_is_stated_below_what_t1_and_t2_alone_cost() -> None:
    rows = target_properties(CHIP, snapshot(q0__sx__error=0.0, q0_q1__cz__error=0.0)).operations
    errors = {(row.name, row.operands): row.error for row in rows}
    one = 40e-9 / 28e-6
    assert errors["sx", (0,)] == pytest.approx(one / 6 + one / 6, rel=0.01)
    assert errors["sx", (1,)] == 2e-3
    assert errors["cz", (0, 1)] == errors["cz", (1, 0)] == coherence_limit(70e-9, [(28e-6, 56e-6), (inf, inf)])


def test_an_assignment_error_is_no_infidelity_and_stays_as_measured() -> None:
    chip = device(replace(SX, name="measure", error=1e-5))
    (row, *_) = target_properties(chip, snapshot()).operations
    assert (row.name, row.error) == ("measure", 1e-5)


def test_a_composite_gate_takes_as_long_as_its_longest_path() -> None:
    assert gate_ticks(CHIP, snapshot(), CX, (0, 1)) == 20 + 70 + 20


def test_qubits_state_what_was_measured() -> None:
    first, second = target_properties(CHIP, snapshot()).qubits
    assert (first.name, first.t1, first.t2, first.frequency) == ("q0", 28e-6, None, 6.05e9)
    assert second.t1 is None


def test_a_missing_duration_and_one_off_the_grid_are_named() -> None:
    with pytest.raises(InvalidCalibrationError, match=r"q1\.sx\.duration"):
        target_properties(CHIP, snapshot(q1__sx__duration=None))
    with pytest.raises(OffGridError, match="duration of sx on q1"):
        target_properties(CHIP, snapshot(q1__sx__duration=20.5e-9))


def test_a_duration_cannot_depend_on_an_angle() -> None:
    stretchy = replace(RZ, duration=Affine(constant=0.0, terms=(("theta", 1.0),)))
    with pytest.raises(InvalidCalibrationError, match="cannot depend on an angle"):
        target_properties(device(stretchy), snapshot())


def test_affine_numbers_add_up_and_scale() -> None:
    theta, both = (
        Affine(constant=1.0, terms=(("theta", 2.0),)),
        Affine(constant=0.5, terms=(("theta", 1.0), ("phi", 3.0))),
    )
    assert theta + both == Affine(constant=1.5, terms=(("theta", 3.0), ("phi", 3.0)))
    assert both.scaled(-2.0) == Affine(constant=-1.0, terms=(("theta", -2.0), ("phi", -6.0)))
