"""IQ points become bits in Qiskit's order, in one place for counts, memory and averages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from qiskit.primitives import BitArray

from qubitd.compiler.compile import compile_circuits, compile_job
from qubitd.compiler.device_file import load_device
from qubitd.compiler.readout import classify, counts, discriminators, merge_counts, pack_bits
from qubitd.compiler.result import Wanted, assignments, averaged, program_results, readout_of
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.discriminator import Discriminator
from qubitd.core.errors import InvalidCalibrationError, InvalidCircuitError
from qubitd.core.job import Assignment, JobSpec, MeasLevel, MeasReturn
from qubitd.core.program import HERALD, Program
from qubitd.core.sweep import Sweep

FILE = load_device("line5")


def measuring(*pairs: tuple[int, int], clbits: int) -> Program:
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=clbits)
    for qubit, clbit in pairs:
        builder.measure(qubit, clbit)
    (program,) = compile_circuits(FILE.device, FILE.snapshot(), pack([builder])).programs()
    return program


def wanted(level: MeasLevel, discriminators: dict[int, Discriminator] | None = None, *, herald: bool = False) -> Wanted:
    return Wanted(level=level, meas_return=MeasReturn.SINGLE, herald=herald, discriminators=discriminators or {})


def outcomes(program: Program, *shots: str) -> NDArray[np.bool_]:
    """Outcomes in the order of the circuit, as columns in the order of the program's rows."""
    in_order = np.array([[bit == "1" for bit in shot] for shot in shots], dtype=bool)
    return in_order[:, program.acquisitions.order]


def test_bits_are_where_qiskit_looks_for_them() -> None:
    program = measuring((3, 0), (0, 8), (1, 11), clbits=12)
    bits = pack_bits(outcomes(program, "110", "001"), program.acquisitions, 12)
    array = BitArray(bits, num_bits=12)
    assert array.get_bitstrings() == ["000100000001", "100000000000"]
    assert counts(bits, 12) == array.get_counts()


@pytest.mark.parametrize("clbits", [1, 7, 8, 9, 16, 70])
def test_any_number_of_bits_is_packed_like_qiskits_bit_array(clbits: int) -> None:
    program = measuring((0, clbits - 1), (1, 0), clbits=clbits)
    expected = ["0" * (clbits - 1) + "0", "1" + "0" * (clbits - 1)] if clbits > 1 else ["0", "0"]
    bits = pack_bits(outcomes(program, "00", "10"), program.acquisitions, clbits)
    assert bits.shape == (2, -(-clbits // 8))
    assert BitArray(bits, num_bits=clbits).get_bitstrings() == expected


def test_of_two_measurements_into_one_bit_the_later_wins() -> None:
    program = measuring((4, 0), (0, 0), clbits=1)
    assert counts(pack_bits(outcomes(program, "10", "10", "01"), program.acquisitions, 1), 1) == {"0": 2, "1": 1}


def test_one_qubit_measured_twice_keeps_both_results() -> None:
    program = measuring((0, 1), (0, 0), clbits=2)
    assert counts(pack_bits(outcomes(program, "10"), program.acquisitions, 2), 2) == {"10": 1}


def test_bits_that_nothing_writes_are_0() -> None:
    program = measuring((0, 2), clbits=4)
    assert counts(pack_bits(outcomes(program, "1", "0"), program.acquisitions, 4), 4) == {"0000": 1, "0100": 1}


def test_a_circuit_that_measures_nothing_has_bits_that_are_0() -> None:
    program = measuring(clbits=2)
    bits = pack_bits(np.zeros((3, 0), dtype=bool), program.acquisitions, 2)
    assert counts(bits, 2) == {"00": 3}


def test_each_qubit_is_told_apart_by_its_own_discriminator() -> None:
    program = measuring((1, 0), (0, 1), (1, 2), clbits=3)
    mine = {0: Discriminator(rotation=0.0, threshold=0.5), 1: Discriminator(rotation=np.pi, threshold=-0.1)}
    iq = np.array([[0.4, 0.0, 0.2], [0.6, 0.2, 0.0]], dtype=np.complex64)
    assert program.acquisitions.qubit.tolist() == [0, 1, 1]
    assert classify(iq, program.acquisitions, mine).tolist() == [[False, True, False], [True, False, True]]
    (result,) = program_results(program, [iq], wanted(MeasLevel.CLASSIFIED, mine), first=3, first_shot=50)
    assert result.bits is not None
    assert counts(result.bits, 3) == {"001": 1, "110": 1}
    assert (result.program, result.first_shot, result.shots, result.iq) == (3, 50, 2, None)


def test_discriminators_come_from_the_snapshot_for_measured_qubits_alone() -> None:
    program = measuring((1, 0), (4, 1), clbits=2)
    snapshot = FILE.snapshot()
    found = discriminators(FILE.device, snapshot, program)
    assert sorted(found) == [1, 4]
    assert found[4].threshold == snapshot.value("q4.readout.threshold")
    parameters = {n: p for n, p in snapshot.parameters.items() if n != "q4.readout.rotation"}
    with pytest.raises(InvalidCalibrationError, match=r"q4\.readout\.rotation"):
        discriminators(FILE.device, replace(snapshot, parameters=parameters), program)


def test_iq_points_are_given_in_the_order_of_the_measurements() -> None:
    program = measuring((4, 2), (0, 1), (1, 0), clbits=3)
    iq = np.array([[10, 20, 30]], dtype=np.complex64)
    (result,) = program_results(program, [iq], wanted(MeasLevel.KERNELED), first=0, first_shot=5)
    assert result.iq is not None
    assert result.iq.tolist() == [[30, 10, 20]]
    assert (result.iq_qubits, result.iq_clbits) == ((4, 0, 1), (2, 1, 0))
    assert (result.shots, result.first_shot, result.bits, result.assignment) == (1, 5, None, ())


def test_an_average_is_the_mean_of_the_single_shots() -> None:
    rng = np.random.default_rng(3)
    iq = (rng.normal(size=(1000, 2)) + 1j * rng.normal(size=(1000, 2)) + 1e3).astype(np.complex64)
    mean = averaged(iq)
    assert mean.shape == (1, 2)
    assert mean.dtype == np.complex64
    np.testing.assert_allclose(mean[0], iq.astype(np.complex128).mean(axis=0), rtol=1e-6)


def test_counts_of_chunks_add_up() -> None:
    assert merge_counts([{"01": 2, "11": 1}, {"00": 4, "11": 5}]) == {"00": 4, "01": 2, "11": 6}


def test_of_no_shot_there_is_no_average() -> None:
    assert averaged(np.zeros((0, 2), dtype=np.complex64)).shape == (0, 2)


# Bits and points together


def test_both_are_the_bits_and_the_points_that_they_were_made_from() -> None:
    program = measuring((4, 2), (0, 1), clbits=3)
    mine = {0: Discriminator(rotation=0.0, threshold=0.0), 4: Discriminator(rotation=0.0, threshold=0.0)}
    iq = np.array([[-1, 1], [1, -1], [1, 1]], dtype=np.complex64)
    both, bits, points = (
        program_results(program, [iq], wanted(level, mine), first=0, first_shot=0)[0]
        for level in (MeasLevel.BOTH, MeasLevel.CLASSIFIED, MeasLevel.KERNELED)
    )
    assert both.bits is not None
    assert both.iq is not None
    np.testing.assert_array_equal(both.bits, bits.bits)
    np.testing.assert_array_equal(both.iq, points.iq)
    assert (both.iq_qubits, both.iq_clbits) == ((4, 0), (2, 1))


def test_assignment_errors_are_those_of_the_measurement_that_wins() -> None:
    program = measuring((0, 1), (4, 0), (3, 0), clbits=3)
    snapshot = FILE.snapshot()
    found = assignments(FILE.device, snapshot, program)
    assert [(one.clbit, one.qubit) for one in found] == [(0, 3), (1, 0)]
    assert found[0] == Assignment(
        clbit=0,
        qubit=3,
        prob_meas1_prep0=snapshot.value("q3.measure.prob_meas1_prep0"),
        prob_meas0_prep1=snapshot.value("q3.measure.prob_meas0_prep1"),
    )
    parameters = {n: p for n, p in snapshot.parameters.items() if n != "q3.measure.prob_meas0_prep1"}
    assert [one.clbit for one in assignments(FILE.device, replace(snapshot, parameters=parameters), program)] == [1]


# Heralds


def heralding(*pairs: tuple[int, int], clbits: int) -> Program:
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=clbits).add("sx", 2)
    for qubit, clbit in pairs:
        builder.measure(qubit, clbit)
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, herald=True)
    (program,) = compile_job(FILE.device, FILE.snapshot(), spec).programs()
    return program


def test_a_heralded_circuit_measures_every_qubit_it_uses_before_anything_else() -> None:
    program = heralding((0, 0), clbits=1)
    rows = program.acquisitions
    heralds = rows.clbit == HERALD
    assert sorted(rows.qubit[heralds].tolist()) == [0, 2]
    assert rows.qubit[~heralds].tolist() == [0]
    ends = (rows.start + rows.length)[heralds]
    drive = program.lines.index("q2.drive")
    assert program.plays.start[program.plays.line == drive].min() >= ends.max()
    assert program.num_clbits == 1


def test_a_circuit_that_uses_no_qubit_has_nothing_to_herald() -> None:
    spec = JobSpec(
        batch=pack([CircuitBuilder(name="empty", num_qubits=5, num_clbits=1)]), sweep=Sweep(), shots=1, herald=True
    )
    (program,) = compile_job(FILE.device, FILE.snapshot(), spec).programs()
    assert len(program.acquisitions.clbit) == 0


def test_shots_that_did_not_begin_in_0_are_discarded_and_counted() -> None:
    program = heralding((0, 0), (2, 1), clbits=2)
    mine = {qubit: Discriminator(rotation=0.0, threshold=0.0) for qubit in (0, 2)}
    rows = program.acquisitions
    heralds = np.flatnonzero(rows.clbit == HERALD)
    iq = np.full((4, len(rows.clbit)), -1, dtype=np.complex64)
    iq[:, rows.clbit == 1] = 1
    iq[1, heralds[0]] = iq[3, heralds[1]] = 1
    (found,) = program_results(program, [iq], wanted(MeasLevel.BOTH, mine, herald=True), first=0, first_shot=10)
    assert (found.first_shot, found.shots, found.discarded, found.kept) == (10, 4, 2, 2)
    assert found.bits is not None
    assert counts(found.bits, 2) == {"10": 2}
    assert found.iq is not None
    assert found.iq.tolist() == [[-1, 1], [-1, 1]]
    assert found.iq_clbits == (0, 1)


@pytest.mark.parametrize("level", [MeasLevel.CLASSIFIED, MeasLevel.KERNELED, MeasLevel.BOTH])
def test_programs_that_are_read_together_give_what_each_gives_alone(level: MeasLevel) -> None:
    program = heralding((0, 0), (2, 1), clbits=2)
    mine = {qubit: Discriminator(rotation=0.3, threshold=0.1) for qubit in (0, 2)}
    rng = np.random.default_rng(4)
    points = [(rng.normal(size=(6, len(program.acquisitions.clbit))) + 1j).astype(np.complex64) for _ in range(5)]
    want = wanted(level, mine, herald=True)
    together = program_results(program, points, want, first=7, first_shot=3)
    alone = [program_results(program, [iq], want, first=7 + i, first_shot=3)[0] for i, iq in enumerate(points)]
    assert len({one.discarded for one in together}) > 1
    for one, other in zip(together, alone, strict=True):
        assert (one.program, one.shots, one.discarded) == (other.program, other.shots, other.discarded)
        np.testing.assert_array_equal(one.bits, other.bits)
        np.testing.assert_array_equal(one.iq, other.iq)


def test_programs_are_read_alike_if_their_bits_come_from_the_same_measurements() -> None:
    program = measuring((3, 0), (0, 1), clbits=2)
    longer = measuring((3, 0), (0, 1), clbits=2)
    assert readout_of(program) == readout_of(longer)
    others = [
        measuring((0, 1), (3, 0), clbits=2),
        measuring((3, 1), (0, 0), clbits=2),
        measuring((2, 0), (0, 1), clbits=2),
        measuring((3, 0), (0, 1), clbits=3),
    ]
    assert readout_of(program) not in [readout_of(other) for other in others]


def test_a_qubit_that_cannot_be_measured_cannot_be_heralded() -> None:
    snapshot = FILE.snapshot()
    parameters = {n: p for n, p in snapshot.parameters.items() if n != "q2.readout.frequency"}
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=1).add("sx", 2).measure(0, 0)
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, herald=True)
    with pytest.raises(InvalidCircuitError, match=r"herald: q2 cannot be measured: .*q2\.readout\.frequency"):
        compile_job(FILE.device, replace(snapshot, parameters=parameters), spec)


def test_a_device_without_measurement_cannot_be_heralded() -> None:
    gates = {name: gate for name, gate in FILE.device.gates.items() if name != "measure"}
    builder = CircuitBuilder(name="a", num_qubits=5, num_clbits=0).add("sx", 2)
    spec = JobSpec(batch=pack([builder]), sweep=Sweep(), shots=1, herald=True)
    with pytest.raises(InvalidCircuitError, match="the device has no measurement of it"):
        compile_job(replace(FILE.device, gates=gates), FILE.snapshot(), spec)


# Traces


def test_circuits_whose_trace_would_mean_nothing_are_all_named() -> None:
    twice = CircuitBuilder(name="twice", num_qubits=5, num_clbits=2).measure(3, 0).measure(3, 1)
    nothing = CircuitBuilder(name="nothing", num_qubits=5, num_clbits=2).add("sx", 0)
    fine = CircuitBuilder(name="fine", num_qubits=5, num_clbits=2).measure(0, 0).measure(1, 1)

    def job(*circuits: CircuitBuilder) -> JobSpec:
        return JobSpec(batch=pack(circuits), sweep=Sweep(), shots=1, meas_level=MeasLevel.RAW)

    assert compile_job(FILE.device, FILE.snapshot(), job(fine)).num_programs == 1
    with pytest.raises(InvalidCircuitError) as refused:
        compile_job(FILE.device, FILE.snapshot(), job(twice, fine, nothing))
    assert [str(problem) for problem in refused.value.problems] == [
        "circuit 0 ('twice'), meas_level 0: it measures q3 2 times; a trace takes one measurement",
        "circuit 2 ('nothing'), meas_level 0: it measures nothing, so there is no trace",
    ]
