"""Jobs of many circuits stream, and a long circuit takes memory in proportion to its length and no more."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from qubitd.compiler import chunk, columns
from qubitd.compiler.compile import compile_circuits
from qubitd.compiler.device_file import load_device
from qubitd.compiler.verify import Verify
from qubitd.core.circuit import Circuit, CircuitBatch, CircuitBuilder, pack
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack

FILE = load_device("line5")


def batch(operations: int, circuits: int = 1) -> CircuitBatch:
    """Turns and pulses on five qubits, with a measurement at the end."""
    first = CircuitBuilder(name="a", num_qubits=5, num_clbits=1).add("rz", 0, params=(1.0,)).add("sx", 0).measure(0, 0)
    table = pack([first]).operations
    half = operations // 2
    opcodes = np.append(np.tile(np.array([0, 1], dtype=np.uint16), half), np.uint16(2))
    qubits = np.append(np.repeat(np.arange(half, dtype=np.uint16) % np.uint16(5), 2), np.uint16(0))
    circuit = Circuit(
        name="long",
        num_qubits=5,
        num_clbits=1,
        opcodes=opcodes,
        qubits=qubits,
        params=np.linspace(0, 1, half),
        clbits=np.zeros(1, dtype=np.uint32),
    )
    return CircuitBatch(operations=table, circuits=(circuit,) * circuits)


def peak(made: CircuitBatch) -> tuple[int, int]:
    """Compile, verify and let go; give the peak of memory in bytes, and the pulses."""
    compile_circuits(FILE.device, FILE.snapshot(), batch(10))
    tracemalloc.start()
    try:
        plays = 0
        for block in compile_circuits(FILE.device, FILE.snapshot(), made).blocks():
            Verify()(*block)
            plays += sum(len(program.plays.start) for program in block)
        return tracemalloc.get_traced_memory()[1], plays
    finally:
        tracemalloc.stop()


def test_a_long_circuit_takes_memory_in_proportion() -> None:
    (short, few), (long, many) = peak(batch(60_000)), peak(batch(120_000))
    assert (few, many) == (30_001, 60_001)
    assert long < 2.2 * short
    assert long < 250 * 120_000


def test_a_circuit_of_a_million_gates_becomes_a_program() -> None:
    taken, plays = peak(batch(1_000_000 - 2))
    assert plays == 500_000
    assert taken < 250 * 1_000_000


def test_many_circuits_take_no_more_memory_than_a_block_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_BLOCK_OPERATIONS", 2_000)
    (short, _), (long, plays) = peak(batch(100, circuits=100)), peak(batch(100, circuits=1_000))
    assert plays == 1_000 * 51
    assert long < 1.5 * short


def test_ten_thousand_circuits_are_cut_into_chunks_in_the_memory_of_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "MAX_PROGRAMS", 256)
    device, controller = FILE.device, open_rack(load_rack())

    def cut(circuits: int) -> tuple[int, int]:
        made = batch(10, circuits=circuits)
        tracemalloc.start()
        try:
            job = compile_circuits(device, FILE.snapshot(), made)
            chunks = chunk.Pack(capacity=controller.capacity, reset=job.reset)(job.blocks(), shots=1)
            played = sum(len(one.programs) * one.shots for one in chunks)
            return tracemalloc.get_traced_memory()[1], played
        finally:
            tracemalloc.stop()

    (few, _), (many, played) = cut(1_000), cut(10_000)
    assert played == 10_000
    own_columns = 9_000 * 1_000  # of the circuits that are more; their programs take five times as much
    assert many < few + own_columns
