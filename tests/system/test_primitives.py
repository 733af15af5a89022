"""Our sampler and estimator on a daemon with an emulated rack: what they give, and what a user sees of their jobs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ClassicalRegister, Parameter, QuantumRegister
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.providers import JobStatus
from qiskit.quantum_info import SparsePauliOp

from qubitd.cli.daemon_process import DaemonProcess
from qubitd.provider import (
    JobFailedError,
    JobRefusedError,
    JobUnfinishedError,
    ProviderError,
    QubitdBackend,
    QubitdEstimator,
    QubitdProvider,
    QubitdSampler,
    QubitdSession,
)
from qubitd.provider.errors import SessionClosedError

pytestmark = pytest.mark.lowest

ANGLES = np.array([[0.0, math.pi / 2, math.pi]])


@pytest.fixture(scope="module")
def backend(daemon: DaemonProcess) -> Iterator[QubitdBackend]:
    with QubitdProvider(daemon.address) as provider:
        yield provider.get_backend("line5")


@pytest.fixture(scope="module")
def pair(backend: QubitdBackend) -> QuantumCircuit:
    """A Bell pair without measurements."""
    circuit = QuantumCircuit(2, metadata={"kind": "bell"})
    circuit.h(0)
    circuit.cx(0, 1)
    return transpile(circuit, backend, optimization_level=1, seed_transpiler=1, initial_layout=[0, 1])


@pytest.fixture(scope="module")
def turned(backend: QubitdBackend) -> QuantumCircuit:
    """Qubit 0 turned by a parameter, into one of two registers."""
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(9, "idle"), ClassicalRegister(1, "read"))
    circuit.rx(Parameter("angle"), 0)
    circuit.measure(0, 9)
    return transpile(circuit, backend, optimization_level=1, seed_transpiler=1, initial_layout=[0, 1])


def test_a_sampler_gives_registers_shapes_and_shots(backend: QubitdBackend, turned: QuantumCircuit) -> None:
    flat = QuantumCircuit(2, name="flat")
    flat.x(1)
    flat.measure_all()
    job = QubitdSampler(backend, default_shots=300).run([(turned, ANGLES), (flat, None, 50)])
    result = job.result()
    assert len(job.jobs) == 2
    assert result[0].data.shape == (1, 3)
    assert set(result[0].data) == {"idle", "read"}
    read = result[0].data.read
    assert (read.num_shots, read.num_bits, read.shape) == (300, 1, (1, 3))
    ones = read.bitcount().mean(axis=-1)[0]
    assert ones[0] < 0.1
    assert 0.35 < ones[1] < 0.65
    assert ones[2] > 0.85
    assert result[0].data.idle.bitcount().sum() == 0
    assert result[1].data.meas.get_counts()["10"] > 40
    assert result[1].metadata["shots"] == 50


@pytest.mark.parametrize("kind", ["single", "avg"])
def test_qiskits_own_sampler_gives_iq_points(backend: QubitdBackend, kind: str) -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure([0, 1], [1, 0])
    asked: dict[str, Any] = {"meas_level": 1, "meas_return": kind}
    theirs = BackendSamplerV2(backend=backend, options={"seed_simulator": 1, "run_options": asked})
    points = theirs.run([circuit] * 2, shots=100).result()[1].data.c
    ours = backend.run([circuit] * 2, shots=100, seed_simulator=1, **asked).result().get_memory(1)
    assert points.shape == ((100, 2) if kind == "single" else (2,))
    np.testing.assert_array_equal(points, ours)


def test_a_seeded_sampler_agrees_with_qiskits_own_bit_for_bit(backend: QubitdBackend, turned: QuantumCircuit) -> None:
    pub = (turned, [math.pi / 2], 500)
    ours = QubitdSampler(backend, seed_simulator=4).run([pub]).result()[0]
    theirs = BackendSamplerV2(backend=backend, options={"seed_simulator": 4}).run([pub]).result()[0]
    assert np.array_equal(ours.data.read.array, theirs.data.read.array)


def test_a_backend_gives_its_primitives(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    measured = pair.measure_all(inplace=False)
    sampler = backend.sampler(default_shots=50, seed_simulator=3)
    assert sampler.backend is backend
    found = sampler.run([measured]).result()[0].data.meas.get_counts()
    assert (
        found
        == QubitdSampler(backend, default_shots=50, seed_simulator=3).run([measured]).result()[0].data.meas.get_counts()
    )
    estimator = backend.estimator(default_precision=0.1)
    assert estimator.run([(pair, SparsePauliOp("IIIZZ"))]).result()[0].data.evs > 0.5


@pytest.mark.parametrize("primitive", [QubitdSampler, QubitdEstimator])
def test_what_is_no_backend_is_refused_with_what_to_give(primitive: Any) -> None:
    with pytest.raises(
        ProviderError, match=r"backend is 'line5'; give one that provider\.get_backend\(\) gives, or a session"
    ):
        primitive("line5")


def test_a_job_of_a_primitive_keeps_ids_and_states(backend: QubitdBackend, turned: QuantumCircuit) -> None:
    job = QubitdSampler(backend, tags=["mine"]).run([(turned, [0.1])], shots=20)
    assert job.job_id() == job.jobs[0].job_id()
    assert backend.provider.job(job.job_id()).backend().name == "line5"
    job.result(timeout=60)
    assert (job.status(), job.done(), job.running(), job.cancelled()) == (JobStatus.DONE, True, False, False)
    assert job.in_final_state()


def test_a_cancelled_primitive_says_so(backend: QubitdBackend, turned: QuantumCircuit) -> None:
    job = QubitdSampler(backend).run([(turned, [[0.1]] * 50)], shots=100_000)
    with pytest.raises(JobUnfinishedError, match="has not ended within 0 s"):
        job.result(timeout=0)
    assert not job.in_final_state()
    job.cancel()
    job.cancel()
    with pytest.raises(JobFailedError, match="was cancelled"):
        job.result(timeout=60)
    assert job.cancelled()


def test_what_cannot_run_is_refused_at_once(backend: QubitdBackend) -> None:
    untranspiled = QuantumCircuit(2)
    untranspiled.ch(0, 1)
    untranspiled.measure_all()
    with pytest.raises(JobRefusedError, match="transpile the circuit first"):
        QubitdSampler(backend).run([untranspiled])
    with pytest.raises(ProviderError, match=r"precision is 0\.0"):
        QubitdEstimator(backend).run([(untranspiled, "ZZ")], precision=0.0)
    with pytest.raises(
        JobRefusedError, match="shots: are 1000000000000 for each circuit; the limit is 100000000 in 1000 jobs"
    ):
        QubitdEstimator(backend).run([(QuantumCircuit(2), "ZZ")], precision=1e-6)
    with pytest.raises(ProviderError, match="max_shots is 0"):
        QubitdEstimator(backend, max_shots=0)


@pytest.mark.parametrize("precision", [1e-200, 1e-160, math.nan, math.inf, True])
def test_a_precision_that_no_number_of_shots_gives_is_refused(backend: QubitdBackend, precision: float) -> None:
    with pytest.raises(ProviderError, match=f"precision is {precision}; give a positive number"):
        QubitdEstimator(backend).run([(QuantumCircuit(2), "ZZ")], precision=precision)


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_values_of_an_empty_shape_give_outcomes_of_that_shape(
    backend: QubitdBackend, turned: QuantumCircuit, shape: tuple[int, ...]
) -> None:
    still = turned.assign_parameters([0.5])
    pubs = [(turned, np.zeros((*shape, 1))), (still, np.zeros((*shape, 0))), (still, None)]
    *empty, full = QubitdSampler(backend).run(pubs, shots=10).result()
    for result in empty:
        assert result.data.shape == shape
        assert (result.data.idle.shape, result.data.idle.num_shots, result.data.idle.num_bits) == (shape, 10, 9)
    assert full.data.read.num_shots == 10


def test_a_register_without_bits_is_in_the_result_as_with_qiskits_own(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(0, "none"), ClassicalRegister(1, "one"))
    circuit.measure(0, 0)
    ours = QubitdSampler(backend).run([circuit], shots=7).result()[0].data
    theirs = BackendSamplerV2(backend=backend).run([circuit], shots=7).result()[0].data
    assert repr(ours.none) == repr(theirs.none)
    assert ours.none.num_bits == 0


def test_nothing_to_run_gives_nothing(backend: QubitdBackend) -> None:
    job = QubitdSampler(backend).run([])
    assert len(job.result()) == 0
    assert job.done()


def test_more_than_a_job_may_hold_is_sent_as_several(
    daemon: DaemonProcess, turned: QuantumCircuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with QubitdProvider(daemon.address) as provider:
        backend = provider.get_backend("line5")
        limits = replace(backend.info.limits, max_shots=40, max_circuits=2, max_total_shots=60)
        backend.update(replace(backend.info, limits=limits))
        monkeypatch.setattr(backend, "follow", lambda: None)  # the daemon would say what its limits really are
        job = QubitdSampler(backend, seed_simulator=3).run([(turned, [[0.0], [math.pi], [0.0]], 100)])
        ones = job.result()[0].data.read
        assert ones.num_shots == 100
        assert (ones.bitcount().mean(axis=-1) > 0.5).tolist() == [False, True, False]
        assert len(job.jobs) == 9
        again = QubitdSampler(backend, seed_simulator=3).run([(turned, [[0.0], [math.pi]], 10)] * 3)
        assert (again.result()[2].data.read.bitcount().mean(axis=-1) > 0.5).tolist() == [False, True]
        assert len(again.jobs) == 2


def test_jobs_of_a_seeded_primitive_repeat_no_shots_whatever_type_the_seed_has(
    daemon: DaemonProcess, turned: QuantumCircuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with QubitdProvider(daemon.address) as provider:
        backend = provider.get_backend("line5")
        backend.update(replace(backend.info, limits=replace(backend.info.limits, max_shots=50)))
        monkeypatch.setattr(backend, "follow", lambda: None)  # the daemon would say what its limits really are
        pub = (turned, [math.pi / 2], 100)
        plain, numpys = (
            QubitdSampler(backend, seed_simulator=seed).run([pub]).result()[0].data.read.array
            for seed in (5, np.int64(5))
        )
    assert not np.array_equal(plain[:50], plain[50:])
    assert np.array_equal(numpys, plain)


def test_an_estimator_agrees_with_physics_in_every_basis(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    observables = [
        SparsePauliOp(["ZZ", "II"], [1.0, 0.5]),
        SparsePauliOp("XX"),
        SparsePauliOp("YY"),
        SparsePauliOp("ZI"),
    ]
    native = [observable.apply_layout(pair.layout) for observable in observables]
    job = QubitdEstimator(backend, seed_simulator=7).run([(pair, native)], precision=0.02)
    (result,) = job.result()
    np.testing.assert_allclose(result.data.evs, [1.5, 1.0, -1.0, 0.0], atol=0.2)
    assert (np.abs(result.data.evs[:3]) > [1.3, 0.8, 0.8]).all()
    assert result.data.stds[3] == pytest.approx(0.02, rel=0.1)
    assert result.metadata["shots"] == 2500
    theirs = BackendEstimatorV2(backend=backend).run([(pair, native)], precision=0.02).result()[0].data.evs
    np.testing.assert_allclose(result.data.evs, theirs, atol=0.12)


def test_a_circuit_travels_once_however_many_values_it_takes(backend: QubitdBackend, turned: QuantumCircuit) -> None:
    job = QubitdSampler(backend).run([(turned, np.linspace(0, math.pi, 50), 20)])
    assert job.result()[0].data.shape == (50,)
    described = backend.provider.client.get_job(job.job_id())
    assert (described.num_circuits, described.num_programs) == (1, 50)


def test_values_of_a_shape_may_belong_to_no_parameter(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(1)
    circuit.x(0)
    observables = [[SparsePauliOp("Z")], [SparsePauliOp("X")]]
    (result,) = QubitdEstimator(backend).run([(circuit, observables)], precision=0.05).result()
    assert result.data.shape == (2, 1)
    assert result.data.evs[0, 0] < -0.8


def test_parameters_and_observables_are_broadcast(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("angle"), 0)
    native = transpile(circuit, backend, initial_layout=[2], seed_transpiler=1)
    padded = [[SparsePauliOp("Z").apply_layout(native.layout)], [SparsePauliOp("Y").apply_layout(native.layout)]]
    (result,) = QubitdEstimator(backend).run([(native, padded, ANGLES[0][:, np.newaxis])], precision=0.05).result()
    assert result.data.shape == (2, 3)
    np.testing.assert_allclose(result.data.evs, [[1, 0, -1], [0, -1, 0]], atol=0.25)


def test_shots_are_added_until_the_precision_is_reached(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    quiet, loud = (SparsePauliOp(p).apply_layout(pair.layout) for p in ("ZZ", "ZI"))
    estimator = QubitdEstimator(backend, max_shots=20_000, seed_simulator=1)
    job = estimator.run([(pair, quiet), (pair, loud)], precision=0.02)
    certain, uncertain = job.result()
    assert certain.data.stds <= 0.02
    assert uncertain.data.stds <= 0.02
    assert certain.metadata["shots"] < uncertain.metadata["shots"]
    assert 2400 < uncertain.metadata["shots"] < 5000
    assert len(job.jobs) > 3


def test_shots_end_at_the_number_that_was_allowed(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    observable = SparsePauliOp("ZI").apply_layout(pair.layout)
    (result,) = QubitdEstimator(backend, max_shots=700).run([(pair, observable)], precision=1e-6).result()
    assert result.metadata["shots"] == 700


def test_an_observable_without_a_letter_needs_no_job(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    nothing = SparsePauliOp("I" * pair.num_qubits, 0.25)
    job = QubitdEstimator(backend, max_shots=100).run([(pair, nothing)])
    assert job.result()[0].data.evs == 0.25
    assert job.jobs == ()


@pytest.mark.parametrize("shots", ["x", 0, 1.5, True])
def test_a_number_of_shots_that_is_none_is_refused_with_what_to_give(backend: QubitdBackend, shots: Any) -> None:
    with pytest.raises(ProviderError, match=f"max_shots is {shots!r}; give a whole number of 1 or more"):
        QubitdEstimator(backend, max_shots=shots)


def test_primitives_in_a_session_send_its_jobs(backend: QubitdBackend, pair: QuantumCircuit) -> None:
    measured = pair.copy(name="measured")
    measured.measure_all()
    with QubitdSession(backend) as session:
        sampled = QubitdSampler(session, seed_simulator=1).run([measured], shots=100)
        observable = SparsePauliOp("ZZ").apply_layout(pair.layout)
        estimated = QubitdEstimator(session).run([(pair, observable)], precision=0.1)
        assert sum(sampled.result()[0].data.meas.get_counts().values()) == 100
        assert estimated.result()[0].data.evs > 0.5
        jobs = {job.job_id for job in backend.provider.client.list_jobs(session_id=session.session_id)}
    assert jobs == {job.job_id() for job in (*sampled.jobs, *estimated.jobs)}
    with pytest.raises(SessionClosedError):
        QubitdSampler(session).run([measured])


def test_an_unknown_option_warns_where_the_primitive_is_run_and_once(
    backend: QubitdBackend, pair: QuantumCircuit
) -> None:
    measured = pair.copy(name="measured")
    measured.measure_all()
    sampler = QubitdSampler(backend, colour="blue")
    with pytest.warns(UserWarning, match="line5 has no option colour") as caught:
        sampler.run([measured, (measured, None, 7)], shots=5).result()
    assert [warning.filename for warning in caught] == [__file__]
    with QubitdSession(backend) as session, pytest.warns(UserWarning, match="line5 has no option colour") as caught:
        session.run(measured, shots=5, colour="blue").result()
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("kind", [QubitdSampler, QubitdEstimator])
def test_what_a_primitive_cannot_use_is_refused_at_once(backend: QubitdBackend, kind: Any) -> None:
    with pytest.raises(ProviderError, match="primitives work with bits"):
        kind(backend, meas_level=1)
    with pytest.raises(ProviderError, match=r"default_shots, or run\(..., shots=n\); an estimator's are max_shots"):
        kind(backend, shots=100)
