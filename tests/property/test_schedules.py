"""Random circuits, scheduled as late and as soon as possible: along each qubit the order stays, and nothing waits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubitd.compiler.batch_columns import BatchColumns
from qubitd.compiler.calibrated import calibrated_gates
from qubitd.compiler.device_file import load_device
from qubitd.compiler.pipeline import Pipeline
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import Scheduling

FILE = load_device("line5")
QUBITS = 5

qubit = st.integers(0, QUBITS - 1)
step = st.one_of(
    st.tuples(st.sampled_from(["sx", "x", "sy", "rz", "id", "reset", "delay", "measure"]), st.tuples(qubit)),
    st.tuples(st.just("cz"), st.integers(0, QUBITS - 2).map(lambda q: (q, q + 1))),
    st.tuples(st.just("barrier"), st.sets(qubit, min_size=1).map(lambda qubits: tuple(sorted(qubits)))),
)


@pytest.mark.parametrize("scheduling", list(Scheduling))
@given(steps=st.lists(step, min_size=1, max_size=40), delays=st.lists(st.integers(0, 900), min_size=40, max_size=40))
def test_the_order_on_each_qubit_stays_and_nothing_waits_without_a_reason(
    scheduling: Scheduling, steps: list[tuple[str, tuple[int, ...]]], delays: list[int]
) -> None:
    builder = CircuitBuilder(name="random", num_qubits=QUBITS, num_clbits=QUBITS)
    for (name, on), delay in zip(steps, delays, strict=False):
        if name == "measure":
            builder.measure(on[0], on[0])
        else:
            params = {"rz": (0.3,), "delay": (delay * 1e-9,)}.get(name, ())
            builder.add(name, *on, params=params)
    pipeline = Pipeline(
        calibrated_gates(FILE.device, FILE.snapshot()),
        BatchColumns(pack([builder]), FILE.device.num_qubits),
        scheduling,
    )
    prepared = pipeline.prepare(range(1))
    numbers = pipeline.numbers(prepared, {})
    length, schedule = pipeline.lengths(prepared, numbers), pipeline.schedule(prepared, numbers)
    columns, end = prepared.columns, schedule.start + length
    before = dict.fromkeys(range(QUBITS), 0)
    earliest = np.zeros(len(columns), dtype=np.int64)
    following: dict[int, int] = {}
    latest = np.full(len(columns), schedule.duration[0])
    for i in range(len(columns)):
        on = columns.qubits[columns.qubit_start[i] : columns.qubit_start[i + 1]].tolist()
        earliest[i] = max(before[q] for q in on)
        before |= dict.fromkeys(on, int(end[i]))
        for q in on:
            if q in following:
                latest[following[q]] = min(latest[following[q]], schedule.start[i])
            following[q] = i
    assert (schedule.start >= earliest).all()
    assert (end <= schedule.duration[0]).all()
    if scheduling is Scheduling.ASAP:
        assert (schedule.start == earliest).all()
    else:
        assert (end == latest).all()
