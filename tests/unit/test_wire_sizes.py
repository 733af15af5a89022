"""Tables, columns and axes that arrive are held against their sizes before they are looked into."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.v1 import circuits_pb2
from qubitd.wire.circuits import MAX_ENTRIES, decode_batch
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.steps import MAX_TABLE_ROWS
from qubitd.wire.sweeps import MAX_NAMES, decode_sweep


def refusal(batch: circuits_pb2.CircuitBatch) -> str:
    with pytest.raises(MalformedMessageError) as refused:
        decode_batch(batch)
    return str(refused.value)


def batch_of(table: circuits_pb2.StepTable, steps: int = 0) -> circuits_pb2.CircuitBatch:
    """One circuit that takes the first step so many times."""
    circuit = circuits_pb2.Circuit(num_qubits=65_536, num_clbits=1, num_steps=steps)
    content = circuits_pb2.Table(content=table.SerializeToString())
    return circuits_pb2.CircuitBatch(circuits=[circuit], step_table=content, steps=bytes(steps))


def test_a_table_holds_its_most_rows_and_no_more() -> None:
    rows = [circuits_pb2.Operation(name="x", num_qubits=1)] * (MAX_TABLE_ROWS + 1)
    decode_batch(batch_of(circuits_pb2.StepTable(operations=rows[1:])))
    found = refusal(batch_of(circuits_pb2.StepTable(operations=rows)))
    assert found == "number of operations in the table: is 4097; the limits are 0 and 4096"


@pytest.mark.parametrize("field", ["qubits", "params", "clbits"])
def test_a_circuit_holds_its_most_entries_and_no_more(field: str) -> None:
    each = MAX_ENTRIES // 100
    row = circuits_pb2.Operation(name="wide", **{f"num_{field}": each})
    table = circuits_pb2.StepTable(operations=[row], lengths=b"\x01", opcodes=bytes(2))
    if field == "qubits":
        table.qubits = np.arange(each, dtype="<u2").tobytes()

    def batch(steps: int) -> circuits_pb2.CircuitBatch:
        made = batch_of(table, steps)
        if field != "qubits":
            setattr(made, field, bytes(each * steps))
            made.value_table.content = bytes(8)
        return made

    decode_batch(batch(100))
    assert f"entries of {field}: is {101 * each}; the limits are 0 and 4000000" in refusal(batch(101))


def test_all_axes_of_a_sweep_share_its_most_names() -> None:
    def sweep(last: int) -> circuits_pb2.Sweep:
        counts = [500, 500, last]
        axes = [[f"{i}.{n}" for n in range(count)] for i, count in enumerate(counts)]
        return circuits_pb2.Sweep(
            axes=[circuits_pb2.SweepAxis(names=names, values=bytes(8 * len(names))) for names in axes]
        )

    assert decode_sweep(sweep(MAX_NAMES - 1000)).num_points == 1
    with pytest.raises(MalformedMessageError, match="number of names on all axes: is 1025; the limits are 0 and 1024"):
        decode_sweep(sweep(MAX_NAMES - 999))
