"""Tables, columns and axes that arrive are held against their sizes before they are looked into."""

from __future__ import annotations

import pytest

from qubitd.v1 import circuits_pb2
from qubitd.wire.circuits import MAX_ENTRIES, MAX_TABLE_ROWS, decode_batch
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.sweeps import MAX_NAMES, decode_sweep


def refusal(batch: circuits_pb2.CircuitBatch) -> str:
    with pytest.raises(MalformedMessageError) as refused:
        decode_batch(batch)
    return str(refused.value)


def test_a_table_holds_its_most_rows_and_no_more() -> None:
    rows = [circuits_pb2.Operation(name="x", num_qubits=1)] * (MAX_TABLE_ROWS + 1)
    circuit = circuits_pb2.Circuit(num_qubits=1)
    decode_batch(circuits_pb2.CircuitBatch(operations=rows[1:], circuits=[circuit]))
    batch = circuits_pb2.CircuitBatch(operations=rows, circuits=[circuit])
    assert refusal(batch) == "number of operations in the table: is 4097; the limits are 0 and 4096"


@pytest.mark.parametrize(("field", "size"), [("qubits", 2), ("params", 8), ("clbits", 4)])
def test_a_column_holds_its_most_entries_and_no_more(field: str, size: int) -> None:
    def batch(entries: int) -> circuits_pb2.CircuitBatch:
        circuit = circuits_pb2.Circuit(num_qubits=1, num_clbits=1)
        setattr(circuit, field, bytes(size * entries))
        return circuits_pb2.CircuitBatch(circuits=[circuit])

    assert "the opcodes and the table of operations ask for 0" in refusal(batch(MAX_ENTRIES))
    assert f"entries of {field}: is 4000001; the limits are 0 and 4000000" in refusal(batch(MAX_ENTRIES + 1))


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
