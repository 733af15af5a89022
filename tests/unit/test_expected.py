"""What a calibration predicts for a scheduled circuit: against formulas, and against Qiskit's own channels."""

from __future__ import annotations

from dataclasses import replace
from math import exp, pi

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Kraus, Operator, Statevector, SuperOp, average_gate_fidelity

from qubitd.compiler.channels import (
    Channel,
    decay_channel,
    depolarising_channel,
    operator_channel,
)
from qubitd.compiler.device_file import load_device, read_device
from qubitd.compiler.expected import Distribution, expected, ideal
from qubitd.compiler.matrices import gate_matrix
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.decoherence import coherence_limit
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.snapshot import Parameter, Snapshot

FILE = load_device("line5")
PERFECT_READOUT = {f"q{i}.measure.prob_meas{a}_prep{1 - a}": 0.0 for i in range(5) for a in (0, 1)}
NO_LEAKAGE = {f"q{i}_q{i + 1}.cz.leakage": 0.0 for i in range(4)}
LONG = {
    f"q{i}.{name}": value for i in range(5) for name, value in {"t1": 1.0, "t2": 1.0, "reset.duration": 5.0}.items()
}
NO_ERROR = {name: 0.0 for name in FILE.snapshot().parameters if name.endswith((".sx.error", ".x.error", ".cz.error"))}
NO_ZZ = {name: 0.0 for name in FILE.snapshot().parameters if name.endswith(".zz")}
QUIET = FILE.snapshot().with_values(PERFECT_READOUT | NO_LEAKAGE | NO_ERROR | NO_ZZ | {"q0.id.error": 0.0})


def circuit(qubits: int = 5, clbits: int = 5) -> CircuitBuilder:
    return CircuitBuilder(name="a", num_qubits=qubits, num_clbits=clbits)


def predicted(builder: CircuitBuilder, snapshot: Snapshot = QUIET) -> Distribution:
    (distribution,) = expected(FILE.device, snapshot, pack([builder]))
    assert sum(distribution.values()) == pytest.approx(1)
    return distribution


def likely(distribution: Distribution) -> Distribution:
    """Without what lifetimes of a second still allow."""
    return {key: p for key, p in distribution.items() if p > 1e-5}


def with_parameters(snapshot: Snapshot, **values: float) -> Snapshot:
    more = {n: Parameter(name=n, value=v, unit="") for n, v in ((k.replace("__", "."), v) for k, v in values.items())}
    return replace(snapshot, parameters={**snapshot.parameters, **more})


def h(builder: CircuitBuilder, qubit: int) -> CircuitBuilder:
    return builder.add("rz", qubit, params=(pi / 2,)).add("sx", qubit).add("rz", qubit, params=(pi / 2,))


def bell() -> CircuitBuilder:
    return h(h(h(circuit(clbits=2), 0), 1).add("cz", 0, 1), 1).measure(0, 0).measure(1, 1)


def test_a_bell_pair_without_noise_is_half_and_half() -> None:
    (distribution,) = ideal(FILE.device, FILE.snapshot(), pack([bell()]))
    assert distribution == pytest.approx({"00": 0.5, "11": 0.5})


def test_random_circuits_without_noise_are_qiskits() -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        ours, theirs = circuit(4, 4), QuantumCircuit(4)
        for _ in range(25):
            match int(rng.integers(3)):
                case 0:
                    angle, qubit = rng.uniform(-7, 7), int(rng.integers(4))
                    ours.add("rz", qubit, params=(angle,))
                    theirs.rz(angle, qubit)
                case 1:
                    qubit = int(rng.integers(4))
                    ours.add("sx", qubit)
                    theirs.sx(qubit)
                case _:
                    first = int(rng.integers(3))
                    ours.add("cz", first + 1, first)
                    theirs.cz(first, first + 1)
        for qubit in range(4):
            ours.measure(qubit, qubit)
        (distribution,) = ideal(FILE.device, FILE.snapshot(), pack([ours]))
        reference = Statevector(theirs).probabilities_dict()
        assert {k: v for k, v in distribution.items() if v > 1e-12} == pytest.approx(
            {k: v for k, v in reference.items() if v > 1e-12}
        )


def test_an_excited_qubit_decays_until_its_measurement_starts() -> None:
    waited = predicted(circuit(1, 1).add("x", 0).delay(0, 10e-6).measure(0, 0))
    assert waited["1"] == pytest.approx(exp(-(10e-6 + 20e-9) / 28e-6), rel=1e-9)


def test_idling_at_the_start_costs_nothing_and_idling_after_a_gate_does() -> None:
    start = predicted(circuit(2, 1).delay(1, 5e-6).add("x", 0).measure(0, 0).add("barrier", 0, 1))
    assert start["1"] == pytest.approx(exp(-20e-9 / 28e-6), rel=1e-9)
    held = predicted(circuit(2, 1).add("x", 0).add("barrier", 0, 1).delay(1, 5e-6).add("barrier", 0, 1).measure(0, 0))
    assert held["1"] == pytest.approx(exp(-5.02e-6 / 28e-6), rel=1e-9)


def test_a_superposition_loses_its_phase_with_t2() -> None:
    ramsey = circuit(1, 1).add("sx", 0).delay(0, 10e-6).add("rz", 0, params=(pi,)).add("sx", 0).measure(0, 0)
    t2 = FILE.snapshot().value("q0.t2")
    assert predicted(ramsey)["0"] == pytest.approx(0.5 + exp(-10.04e-6 / t2) / 2, abs=3e-4)


def test_readout_errors_mix_the_outcomes() -> None:
    values = {"q0.measure.prob_meas1_prep0": 0.1, "q0.measure.prob_meas0_prep1": 0.2} | LONG
    snapshot = QUIET.with_values(values)
    assert predicted(circuit(1, 1).measure(0, 0), snapshot) == pytest.approx({"0": 0.9, "1": 0.1})
    flipped = predicted(circuit(1, 1).add("x", 0).measure(0, 0), snapshot)
    assert flipped == pytest.approx({"0": 0.2, "1": 0.8}, abs=1e-7)


def test_the_rest_of_a_gates_error_is_depolarising() -> None:
    snapshot = QUIET.with_values(LONG | {"q0.x.error": 0.03, "q0_q1.cz.error": 0.06})
    one = predicted(circuit(1, 1).add("x", 0).measure(0, 0), snapshot)
    assert one["0"] == pytest.approx(0.03, abs=1e-6)
    two = predicted(circuit(2, 2).add("cz", 0, 1).measure(0, 0).measure(1, 1), snapshot)
    assert [two[key] for key in ("01", "10", "11")] == pytest.approx([0.06 / 3] * 3, abs=1e-6)


def test_an_error_that_coherence_explains_adds_nothing() -> None:
    limit = coherence_limit(40e-9, ((28e-6, FILE.snapshot().value("q0.t2")),))
    stated = predicted(circuit(1, 1).add("x", 0).measure(0, 0), QUIET.with_values({"q0.x.error": limit}))
    assert stated == pytest.approx(predicted(circuit(1, 1).add("x", 0).measure(0, 0)))


def test_leakage_is_a_quarter_of_its_part_in_the_error_and_not_counted_twice() -> None:
    snapshot = QUIET.with_values(LONG | {"q0_q1.cz.leakage": 0.2, "q0_q1.cz.error": 0.05})
    empty = predicted(circuit(2, 2).add("cz", 0, 1).measure(0, 0).measure(1, 1), snapshot)
    assert empty["00"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("pair", [(0, 1), (1, 0)])
def test_what_leaks_reads_as_1_on_the_pulsed_qubit_for_good(pair: tuple[int, int]) -> None:
    snapshot = QUIET.with_values(LONG | {"q0_q1.cz.leakage": 0.2})
    both = circuit(2, 2).add("x", 0).add("x", 1).add("cz", *pair).add("x", 0).measure(0, 0).measure(1, 1)
    assert likely(predicted(both, snapshot)) == pytest.approx({"10": 0.8, "01": 0.2}, abs=1e-6)


def test_leakage_of_several_gates_adds_up() -> None:
    snapshot = QUIET.with_values(LONG | {"q0_q1.cz.leakage": 0.2, "q1_q2.cz.leakage": 0.1})
    builder = circuit(3, 2).add("x", 0).add("x", 1).add("cz", 0, 1).add("cz", 0, 1).add("x", 0).add("x", 2)
    both = predicted(builder.add("cz", 1, 2).measure(0, 0).measure(1, 1), snapshot)
    assert likely(both) == pytest.approx({"10": 0.64, "01": 0.36}, abs=1e-5)


def test_nothing_leaks_but_from_11() -> None:
    snapshot = QUIET.with_values(LONG | {"q0_q1.cz.leakage": 0.2})
    one = predicted(circuit(2, 2).add("x", 1).add("cz", 0, 1).measure(0, 0).measure(1, 1), snapshot)
    assert likely(one) == pytest.approx({"10": 1}, abs=1e-6)


def test_a_leaked_qubit_is_read_with_the_errors_of_1() -> None:
    snapshot = QUIET.with_values(LONG | {"q0_q1.cz.leakage": 1.0, "q0.measure.prob_meas0_prep1": 0.25})
    both = circuit(2, 2).add("x", 0).add("x", 1).add("cz", 0, 1).add("x", 0).measure(0, 0).add("x", 0)
    assert predicted(both.measure(0, 1), snapshot) == pytest.approx(
        {"11": 0.5625, "01": 0.1875, "10": 0.1875, "00": 0.0625}, abs=1e-6
    )


def test_a_measurement_in_the_middle_collapses_and_is_remembered() -> None:
    snapshot = QUIET.with_values(LONG)
    twice = predicted(h(circuit(1, 2), 0).measure(0, 0).measure(0, 1), snapshot)
    assert likely(twice) == pytest.approx({"00": 0.5, "11": 0.5}, abs=1e-5)
    flipped = predicted(h(circuit(1, 2), 0).measure(0, 0).add("x", 0).measure(0, 1), snapshot)
    assert likely(flipped) == pytest.approx({"10": 0.5, "01": 0.5}, abs=1e-5)


def test_a_measurement_whose_bit_is_written_again_still_collapses() -> None:
    snapshot = QUIET.with_values(LONG)
    builder = h(h(circuit(1, 1), 0).measure(0, 0), 0)
    assert predicted(builder.measure(0, 0), snapshot) == pytest.approx({"0": 0.5, "1": 0.5}, abs=1e-5)


def test_of_two_measurements_into_one_bit_the_later_counts() -> None:
    snapshot = QUIET.with_values(LONG)
    assert predicted(circuit(2, 1).add("x", 0).measure(0, 0).measure(1, 0), snapshot) == pytest.approx({"0": 1})
    assert predicted(circuit(2, 1).add("x", 0).measure(1, 0).measure(0, 0), snapshot)["1"] == pytest.approx(1, abs=1e-6)


def test_readout_errors_in_the_middle_split_what_was_read_from_what_is() -> None:
    snapshot = QUIET.with_values(LONG | {"q0.measure.prob_meas1_prep0": 0.1, "q0.measure.prob_meas0_prep1": 0.2})
    twice = predicted(circuit(1, 2).measure(0, 0).measure(0, 1), snapshot)
    assert twice == pytest.approx({"00": 0.81, "01": 0.09, "10": 0.09, "11": 0.01}, abs=1e-6)


def test_bits_that_nothing_writes_are_0() -> None:
    assert predicted(circuit(1, 3).add("x", 0).measure(0, 1), QUIET.with_values(LONG))["010"] == pytest.approx(
        1, abs=1e-6
    )
    assert predicted(circuit(1, 2)) == {"00": 1.0}
    assert predicted(circuit(1, 0)) == {"": 1.0}


def test_static_zz_turns_a_qubit_whose_neighbour_is_excited() -> None:
    zz, wait = -100e3, 2e-6
    ramsey = circuit(2, 1).add("x", 1).add("barrier", 0, 1).add("sx", 0).delay(0, wait).add("sx", 0).measure(0, 0)
    held = ramsey.add("barrier", 0, 1)
    snapshot = QUIET.with_values(LONG | {"q0_q1.zz": zz})
    turned = 2 * pi * zz * (wait + 40e-9)
    assert predicted(held, snapshot)["1"] == pytest.approx(0.5 + np.cos(turned) / 2, abs=1e-4)
    assert predicted(held, QUIET.with_values(LONG))["1"] == pytest.approx(1, abs=1e-5)


def test_a_neighbour_that_relaxes_turns_a_qubit_less_and_less() -> None:
    """With rate = 1/T1 + 2 pi i zz of the neighbour: <1|rho|0> goes as e^(-rate t) + (1 - e^(-rate t)) / (T1 rate)."""
    zz, wait, t1 = -100e3, 20e-6, 10e-6
    held = circuit(2, 1).add("x", 1).add("barrier", 0, 1).add("sx", 0).delay(0, wait).add("sx", 0).measure(0, 0)
    snapshot = QUIET.with_values(LONG | {"q0_q1.zz": zz, "q1.t1": t1, "q1.t2": t1})
    rate, time = 1 / t1 + 2j * pi * zz, wait + 40e-9
    left = np.exp(-rate * time) + (1 - np.exp(-rate * time)) / (t1 * rate)
    assert predicted(held, snapshot)["1"] == pytest.approx(0.5 + left.real / 2, abs=2e-3)


def test_a_neighbour_flipped_half_way_turns_a_qubit_from_then_on_wherever_that_is_written() -> None:
    zz, wait = -100e3, 2e-6
    held = circuit(2, 1).add("sx", 0).delay(0, 2 * wait).add("sx", 0)
    held.delay(1, wait).add("x", 1).delay(1, wait).add("barrier", 0, 1).measure(0, 0)
    snapshot = QUIET.with_values(LONG | {"q0_q1.zz": zz})
    assert predicted(held, snapshot)["1"] == pytest.approx(0.5 + np.cos(2 * pi * zz * wait) / 2, abs=1e-4)


def test_a_cz_is_calibrated_with_the_zz_of_its_own_pair() -> None:
    snapshot = QUIET.with_values(LONG | {"q0_q1.zz": 1e6})
    noisy = predicted(bell(), snapshot)
    assert noisy["00"] + noisy["11"] == pytest.approx(0.5 + 0.5 * np.cos(2 * pi * 1e6 * 20e-9), abs=2e-2)
    assert noisy["00"] + noisy["11"] > 0.97


def test_a_thermal_population_is_there_at_the_start_and_where_t1_leads() -> None:
    snapshot = with_parameters(QUIET, q0__thermal_population=0.02)
    assert predicted(circuit(1, 1).measure(0, 0), snapshot)["1"] == pytest.approx(0.02)
    decayed = predicted(circuit(1, 1).add("x", 0).delay(0, 500e-6).measure(0, 0), snapshot)
    assert decayed["1"] == pytest.approx(0.02, abs=1e-6)


def test_passive_reset_leaves_a_part_of_what_a_shot_excited() -> None:
    snapshot = with_parameters(QUIET, q2__thermal_population=0.01)
    left = exp(-210e-6 / 42e-6)
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=1).add("x", 2).measure(2, 0)
    start = (0.01 * (1 - left) + left) / (1 + left)
    assert predicted(builder, snapshot)["1"] == pytest.approx(1 - start, abs=1e-3)


@pytest.mark.parametrize("lifetimes", [0.1, 0.5, 2.0])
def test_a_passive_reset_that_is_too_short_leaves_a_part_without_any_thermal_population(lifetimes: float) -> None:
    times = {f"q{i}.reset.duration": 28e-6 * lifetimes for i in range(5)}
    left = exp(-lifetimes)
    flipped = predicted(circuit(1, 1).add("x", 0).measure(0, 0), QUIET.with_values(times))
    assert flipped["0"] == pytest.approx(left / (1 + left), abs=0.01)


def test_a_rep_delay_makes_the_wait_of_a_passive_reset_longer() -> None:
    short = QUIET.with_values({f"q{i}.reset.duration": 10e-6 for i in range(5)})
    batch = pack([circuit(1, 1).add("x", 0).measure(0, 0)])
    (waited,) = expected(FILE.device, short, batch, rep_delay=50e-6)
    (longer,) = expected(FILE.device, short.with_values({"q0.reset.duration": 50e-6}), batch)
    assert waited == longer
    assert waited["0"] < expected(FILE.device, short, batch)[0]["0"]


def test_a_passive_reset_is_believed_where_no_t1_is_known() -> None:
    short = QUIET.with_values({f"q{i}.reset.duration": 1e-6 for i in range(5)})
    known = {name: value for name, value in short.parameters.items() if name not in ("q0.t1", "q0.t2")}
    flipped = predicted(circuit(1, 1).add("x", 0).measure(0, 0), replace(short, parameters=known))
    assert flipped["1"] == pytest.approx(1)


def test_the_noise_of_a_whole_bell_pair_is_close_to_what_its_parts_add_up_to() -> None:
    distribution = predicted(bell(), FILE.snapshot())
    errors = [FILE.snapshot().value(f"q{i}.measure.prob_meas{a}_prep{1 - a}") for i in (0, 1) for a in (0, 1)]
    assert 1 - distribution["00"] - distribution["11"] == pytest.approx(sum(errors) / 2, abs=5e-3)


def test_a_lab_gate_of_unknown_meaning_is_refused_and_composites_are_not() -> None:
    text = """
name = "lab"
description = ""
limits = { shots = 10, circuits = 10 }
qubits.q0.reset.duration = 1e-6
[gates.mystery]
on = "qubits"
duration = 10e-9
error = 0.0
[gates.y]
on = "qubits"
duration = 10e-9
error = 0.0
[gates.flip]
on = "qubits"
error = 0.0
body = [{ gate = "y" }]
[gates.measure]
on = "qubits"
duration = 100e-9
error = 0.0
steps = [{ acquire = 100e-9, delay = 0.0 }]
"""
    lab = read_device(text.encode(), where="lab")
    flip = CircuitBuilder(name="a", num_qubits=1, num_clbits=1).add("flip", 0).measure(0, 0)
    snapshot = with_parameters(lab.snapshot(), q0__readout__frequency=7e9)
    assert expected(lab.device, snapshot, pack([flip])) == ({"1": 1.0},)
    with pytest.raises(InvalidCircuitError, match="gate mystery: what it is meant to do is not known; give it a"):
        expected(lab.device, snapshot, pack([flip.add("mystery", 0)]))


def in_qiskit(channel: Channel, num_qubits: int) -> SuperOp:
    """Ours acts on (row, column) per qubit with the first qubit first; Qiskit's on (column, row), last qubit first."""
    n = num_qubits
    tensor = channel.reshape([2] * (4 * n))
    rows, columns = list(range(0, 2 * n, 2)), list(range(1, 2 * n, 2))
    order = columns[::-1] + rows[::-1]
    return SuperOp(tensor.transpose([*order, *(2 * n + i for i in order)]).reshape(4**n, 4**n))


@pytest.mark.parametrize("name", ["id", "x", "y", "sx", "sy", "cz", "rz"])
def test_gates_are_qiskits(name: str) -> None:
    reference = QuantumCircuit(2 if name == "cz" else 1)
    match name:
        case "cz":
            reference.cz(0, 1)
        case "rz":
            reference.rz(0.7, 0)
        case "sy":
            reference.ry(pi / 2, 0)
        case _:
            getattr(reference, name)(0)
    matrix = gate_matrix(FILE.device.gates, name, (0.7,) if name == "rz" else ())
    assert Operator(matrix).equiv(Operator(reference))
    assert in_qiskit(operator_channel(matrix), reference.num_qubits) == SuperOp(Operator(reference.reverse_bits()))


def test_decay_is_the_known_channel() -> None:
    t1, t2, time = 20e-6, 15e-6, 3e-6
    gamma, phase = 1 - exp(-time / t1), exp(-time / t2) / exp(-time / t1 / 2)
    damping = Kraus([np.array([[1, 0], [0, np.sqrt(1 - gamma)]]), np.array([[0, np.sqrt(gamma)], [0, 0]])])
    dephasing = Kraus([np.sqrt((1 + phase) / 2) * np.eye(2), np.sqrt((1 - phase) / 2) * np.diag([1, -1])])
    ours = in_qiskit(decay_channel(time, t1=t1, t2=t2), 1)
    np.testing.assert_allclose(ours.data, SuperOp(damping).compose(SuperOp(dephasing)).data, atol=1e-12)


@pytest.mark.parametrize("num_qubits", [1, 2])
def test_depolarising_has_the_infidelity_that_was_asked_for(num_qubits: int) -> None:
    channel = in_qiskit(depolarising_channel(0.03, num_qubits=num_qubits), num_qubits)
    assert average_gate_fidelity(channel) == pytest.approx(0.97)


def test_the_coherence_limit_is_the_infidelity_of_decay() -> None:
    lifetimes = ((20e-6, 15e-6), (30e-6, 50e-6))
    first, second = (in_qiskit(decay_channel(1e-6, t1=t1, t2=t2), 1) for t1, t2 in lifetimes)
    assert coherence_limit(1e-6, lifetimes[:1]) == pytest.approx(1 - average_gate_fidelity(first))
    assert coherence_limit(1e-6, lifetimes) == pytest.approx(1 - average_gate_fidelity(first.tensor(second)))
    assert coherence_limit(40e-9, lifetimes[:1]) == pytest.approx(40e-9 / 3 * (1 / 15e-6 + 1 / 40e-6), rel=0.01)
