"""The Target states what the daemon states, in Qiskit's own classes."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import cast

import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Gate
from qiskit.circuit.library import CZGate, Measure, RZGate, SXGate, XGate
from qiskit.transpiler import Target

from qubitd.client import BackendInfo, GateSignature, Limits, QubitdClient
from qubitd.compiler.device_file import load_device
from qubitd.core.properties import OperationProperties
from qubitd.provider.backend import QubitdBackend
from qubitd.provider.errors import JobRefusedError
from qubitd.provider.target import build_target
from qubitd.wire.backends import backend_info

LIMITS = Limits(max_shots=100_000, max_circuits=1_000, max_total_shots=5_000_000, max_job_bytes=1 << 26)


@pytest.fixture(scope="module")
def info() -> BackendInfo:
    file = load_device("line5")
    return backend_info(
        file.device, file.snapshot(), limits=LIMITS, operational=True, simulated=True, server_version="1"
    )


@pytest.fixture(scope="module")
def target(info: BackendInfo) -> Target:
    return build_target(info)


def test_native_gates_are_qiskits_own(target: Target) -> None:
    flow = {"if_else", "while_loop", "for_loop", "switch_case", "break_loop", "continue_loop"}
    assert set(target.operation_names) - flow == {"rz", "sx", "x", "sy", "cz", "id", "delay", "measure", "reset"}
    for name, kind in (("rz", RZGate), ("sx", SXGate), ("x", XGate), ("cz", CZGate), ("measure", Measure)):
        assert isinstance(target.operation_from_name(name), kind)


def test_it_is_a_plain_target(target: Target) -> None:
    assert type(target) is Target
    assert (target.num_qubits, target.dt, target.granularity, target.min_length) == (5, 1e-9, 1, 1)
    assert (target.pulse_alignment, target.acquire_alignment) == (1, 1)


def test_durations_and_errors_are_the_snapshots(target: Target) -> None:
    snapshot = load_device("line5").snapshot()
    assert target["sx"][2,].duration == snapshot.value("q2.sx.duration")
    assert target["sx"][2,].error == snapshot.value("q2.sx.error")
    assert target["cz"][1, 0].duration == target["cz"][0, 1].duration == snapshot.value("q0_q1.cz.duration")
    assert target["measure"][4,].error == snapshot.value("q4.measure.error")
    assert (target["rz"][0,].duration, target["rz"][0,].error) == (0.0, 0.0)
    assert target["reset"][0,].duration == 210e-6
    assert target["delay"][0,] is None


def test_no_error_is_below_the_decoherence_limit(target: Target) -> None:
    for name in ("sx", "x", "id", "cz"):
        for qubits, properties in target[name].items():
            t1 = max(target.qubit_properties[qubit].t1 for qubit in qubits)
            assert properties.error > properties.duration / t1 / 3


def test_the_couplers_are_in_both_directions(target: Target) -> None:
    pairs = {(0, 1), (1, 2), (2, 3), (3, 4)}
    assert set(target.build_coupling_map().get_edges()) == pairs | {(b, a) for a, b in pairs}


def test_qubits_have_their_times_and_frequency(target: Target) -> None:
    snapshot = load_device("line5").snapshot()
    properties = target.qubit_properties[3]
    assert [properties.t1, properties.t2, properties.frequency] == [
        snapshot.value(f"q3.{name}") for name in ("t1", "t2", "frequency")
    ]


def test_a_copy_and_a_pickle_are_equal_in_what_they_state(target: Target) -> None:
    for again in (copy.deepcopy(target), pickle.loads(pickle.dumps(target))):
        assert {k: (v.duration, v.error) for k, v in again["cz"].items()} == {
            k: (v.duration, v.error) for k, v in target["cz"].items()
        }
        assert again.dt == target.dt


@pytest.mark.parametrize("level", range(4))
def test_every_level_of_transpile_and_scheduling_works(target: Target, level: int) -> None:
    circuit = QuantumCircuit(5)
    circuit.h(0)
    circuit.delay(13, 1)
    circuit.ccx(0, 2, 4)
    circuit.measure_all()
    native = transpile(circuit, target=target, optimization_level=level, scheduling_method="alap", seed_transpiler=1)
    assert {row.name for row in native.data} <= {*target.operation_names, "barrier"}


def test_a_gate_of_the_lab_is_a_gate_with_its_angles(info: BackendInfo) -> None:
    rows = (
        *info.operations,
        OperationProperties(name="w", operands=(1,), duration=4e-8, error=1e-3),
        OperationProperties(name="u", operands=(1,), duration=8e-8, error=1e-3),
        OperationProperties(name="bare", operands=(0,), duration=8e-8, error=1e-3),
    )
    shapes = (
        *info.signatures,
        GateSignature(name="w", num_qubits=1, angles=()),
        GateSignature(name="u", num_qubits=1, angles=("a", "b")),
    )
    target = build_target(replace(info, operations=rows, signatures=shapes))
    gate = target.operation_from_name("u")
    assert type(gate) is Gate
    assert [parameter.name for parameter in gate.params] == ["a", "b"]
    assert target.operation_from_name("w").num_qubits == 1
    assert list(target["w"]) == [(1,)]
    assert target.operation_from_name("bare").num_qubits == 1


def test_a_daemon_that_reads_another_wire_version_is_not_sent_any_circuit(info: BackendInfo) -> None:
    other = replace(info, wire_versions=(7, 8), server_version="9.0")
    backend = QubitdBackend(None, cast(QubitdClient, None), other)
    with pytest.raises(JobRefusedError, match=r"reads circuits in wire version 7, 8, and this client writes 2.* 9\.0"):
        backend.run(QuantumCircuit(1, 1))


def test_a_daemon_of_the_same_wire_version_has_no_problem_with_it(info: BackendInfo) -> None:
    assert info.wire_problem() is None
