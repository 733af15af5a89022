"""Circuits, sweeps and job specs survive the wire, and nothing that arrives crashes the reader."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from qubitd.core.bindings import FromColumn
from qubitd.core.circuit import CircuitBatch, CircuitBuilder, instructions, pack
from qubitd.core.control import Condition
from qubitd.core.job import (
    MAX_RESET_ROUNDS,
    Decoupling,
    InitialReset,
    JobSpec,
    MeasLevel,
    MeasReturn,
    OwnEnvelope,
    Scheduling,
)
from qubitd.core.sweep import Sweep, SweepAxis
from qubitd.v1 import circuits_pb2, jobs_pb2
from qubitd.wire.circuits import decode_batch, encode_batch
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.parsing import parse
from qubitd.wire.specs import Submission, decode_spec, decode_submission, encode_spec, encode_submission
from qubitd.wire.sweeps import decode_sweep, encode_sweep

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@st.composite
def conditions(draw: st.DrawFn, num_clbits: int) -> Condition:
    bits = sorted(draw(st.sets(st.integers(0, num_clbits - 1), min_size=1, max_size=10)))
    return Condition(clbits=tuple(bits), truth=draw(st.integers(0, (1 << (1 << len(bits))) - 1)), text=draw(TEXT))


def open_block(draw: st.DrawFn, builder: CircuitBuilder) -> None:
    match draw(st.integers(0, 3)):
        case 0:
            builder.for_(draw(st.integers(0, 9)))
        case 1:
            builder.while_(draw(conditions(builder.num_clbits)), most=draw(st.integers(0, 9)))
        case _:
            builder.if_(draw(conditions(builder.num_clbits)))
            if draw(st.booleans()):
                builder.else_()


@st.composite
def builders(draw: st.DrawFn) -> CircuitBuilder:
    qubits, clbits = draw(st.integers(1, 6)), draw(st.integers(1, 70))
    builder = CircuitBuilder(name=draw(TEXT), num_qubits=qubits, num_clbits=clbits)
    depth = 0
    param: st.SearchStrategy[float | FromColumn] = FINITE
    if draw(st.booleans()):
        columns, rows = draw(st.integers(1, 3)), draw(st.integers(1, 4))
        values = draw(st.lists(FINITE, min_size=rows * columns, max_size=rows * columns))
        builder.bind(np.reshape(values, (rows, columns)))
        param = FINITE | st.integers(0, columns - 1).map(lambda column: FromColumn(column=column))
    for _ in range(draw(st.integers(0, 12))):
        if draw(st.integers(0, 4)) == 0:
            open_block(draw, builder)
            depth += 1
        operands = draw(st.permutations(range(qubits)))[: draw(st.integers(1, qubits))]
        bits = draw(st.lists(st.integers(0, clbits - 1), max_size=2))
        name = draw(st.sampled_from(["rz", "cz", "measure", "barrier", "sy"]))
        builder.add(name, *operands, params=draw(st.lists(param, max_size=3)), clbits=bits)
    for _ in range(depth):
        builder.end()
    return builder


BATCHES = st.lists(builders(), min_size=1, max_size=4).map(pack)


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    names = draw(st.lists(st.text(st.characters(codec="ascii"), min_size=1, max_size=9), unique=True, max_size=5))
    axes: list[SweepAxis] = []
    while names:
        taken = draw(st.integers(1, len(names)))
        points = draw(st.integers(1, 4))
        values = draw(st.lists(FINITE, min_size=taken * points, max_size=taken * points))
        axes.append(SweepAxis(names=tuple(names[:taken]), values=np.reshape(values, (taken, points))))
        names = names[taken:]
    return Sweep(axes=tuple(axes))


@st.composite
def own_envelopes(draw: st.DrawFn) -> OwnEnvelope:
    parts = draw(st.lists(st.floats(-0.7, 0.7), min_size=2, max_size=8).filter(lambda numbers: len(numbers) % 2 == 0))
    samples = np.array(parts, dtype=np.float64).view(np.complex128)
    return OwnEnvelope(name=draw(TEXT.filter(bool)), samples=samples)


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    level = draw(st.sampled_from(MeasLevel))
    returns = {MeasLevel.RAW: [MeasReturn.AVERAGE], MeasLevel.KERNELED: list(MeasReturn)}
    return JobSpec(
        batch=draw(BATCHES),
        sweep=draw(sweeps()),
        shots=draw(st.integers(1, 2**31 - 1)),
        meas_level=level,
        meas_return=draw(st.sampled_from(returns.get(level, [MeasReturn.SINGLE]))),
        seed_simulator=draw(st.none() | st.integers(0, 2**64 - 1)),
        tags=tuple(draw(st.lists(TEXT.filter(bool), max_size=4))),
        client_data=draw(st.binary(max_size=40)),
        herald=level is not MeasLevel.RAW and draw(st.booleans()),
        scheduling=draw(st.sampled_from(Scheduling)),
        dd=draw(st.none() | st.sampled_from(Decoupling)),
        reset_rounds=draw(st.integers(1, MAX_RESET_ROUNDS)),
        initial_reset=draw(st.sampled_from(InitialReset)),
        envelopes=tuple(draw(st.lists(own_envelopes(), max_size=3, unique_by=lambda one: one.name))),
    )


def assert_same_batch(left: CircuitBatch, right: CircuitBatch) -> None:
    assert left.operations == right.operations
    assert len(left.circuits) == len(right.circuits)
    for a, b in zip(left.circuits, right.circuits, strict=True):
        assert (a.name, a.num_qubits, a.num_clbits) == (b.name, b.num_qubits, b.num_clbits)
        assert a.conditions == b.conditions
        for name in ("opcodes", "qubits", "params", "clbits", "controls"):
            assert_array_equal(getattr(a, name), getattr(b, name))
            assert getattr(a, name).dtype == getattr(b, name).dtype
        assert (a.bindings is None) == (b.bindings is None)
        if a.bindings is not None and b.bindings is not None:
            for name in ("positions", "columns", "values"):
                assert_array_equal(getattr(a.bindings, name), getattr(b.bindings, name))


def assert_same_sweep(left: Sweep, right: Sweep) -> None:
    assert [axis.names for axis in left.axes] == [axis.names for axis in right.axes]
    for a, b in zip(left.axes, right.axes, strict=True):
        assert_array_equal(a.values, b.values)


@given(BATCHES)
def test_a_batch_survives_the_wire(batch: CircuitBatch) -> None:
    data = encode_batch(batch).SerializeToString()
    assert_same_batch(decode_batch(parse(circuits_pb2.CircuitBatch, data)), batch)


@given(BATCHES)
def test_what_is_written_out_after_the_wire_is_what_went_in(batch: CircuitBatch) -> None:
    decoded = decode_batch(encode_batch(batch))
    for before, after in zip(batch.circuits, decoded.circuits, strict=True):
        assert list(instructions(before, batch.operations)) == list(instructions(after, decoded.operations))


@given(sweeps())
def test_a_sweep_survives_the_wire(sweep: Sweep) -> None:
    assert_same_sweep(decode_sweep(encode_sweep(sweep)), sweep)


@given(specs())
def test_a_job_survives_the_wire(spec: JobSpec) -> None:
    decoded = decode_spec(parse(jobs_pb2.JobSpec, encode_spec(spec).SerializeToString()))
    assert_same_batch(decoded.batch, spec.batch)
    assert_same_sweep(decoded.sweep, spec.sweep)
    options = ("herald", "scheduling", "dd", "reset_rounds", "initial_reset")
    for name in ("shots", "meas_level", "meas_return", "seed_simulator", "tags", "client_data", *options):
        assert getattr(decoded, name) == getattr(spec, name)
    assert [one.name for one in decoded.envelopes] == [one.name for one in spec.envelopes]
    for one, other in zip(decoded.envelopes, spec.envelopes, strict=True):
        assert_array_equal(one.samples, other.samples)


@given(specs(), st.data())
def test_damaged_bytes_are_read_or_refused_and_never_crash(spec: JobSpec, data: st.DataObject) -> None:
    sent = encode_submission(Submission(key="k", backend="line5", spec=spec)).SerializeToString()
    damaged = bytearray(sent)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedMessageError):
        decode_submission(parse(jobs_pb2.SubmitRequest, bytes(damaged)))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused_and_never_crash(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_submission(parse(jobs_pb2.SubmitRequest, data))


@given(BATCHES, st.data())
def test_damaged_tables_and_columns_are_read_or_refused_and_never_crash(
    batch: CircuitBatch, data: st.DataObject
) -> None:
    message = encode_batch(batch)
    table = bytearray(message.step_table.content)
    for _ in range(data.draw(st.integers(0, 3))):
        if table:
            table[data.draw(st.integers(0, len(table) - 1))] = data.draw(st.integers(0, 255))
    message.step_table.content = bytes(table)
    for name in data.draw(st.sets(st.sampled_from(["steps", "params", "clbits"]))):
        setattr(message, name, data.draw(st.binary(max_size=40)))
    if data.draw(st.booleans()):
        message.value_table.content = data.draw(st.binary(max_size=24))
    with contextlib.suppress(MalformedMessageError):
        for circuit in decode_batch(message).circuits:
            assert np.isfinite(circuit.params).all()
            assert (circuit.qubits < circuit.num_qubits).all()
            assert (circuit.clbits < circuit.num_clbits).all()


@given(BATCHES)
def test_the_same_circuits_are_written_with_the_same_bytes(batch: CircuitBatch) -> None:
    once = encode_batch(batch).SerializeToString(deterministic=True)
    again = encode_batch(decode_batch(encode_batch(batch))).SerializeToString(deterministic=True)
    assert once == again
