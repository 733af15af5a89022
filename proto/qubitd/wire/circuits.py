"""Circuits <-> messages. Columns that arrive are not trusted: lengths, ranges and numbers are checked before use, and
the size of what they stand for before any memory is taken.

The checks are those that need no device: whether a gate exists, and on which qubits, is the compiler's question.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.core.bindings import Bindings
from qubitd.core.circuit import Circuit, CircuitBatch, offsets
from qubitd.core.control import CONTROL_ARITY, control_counts
from qubitd.core.errors import Problem
from qubitd.v1 import circuits_pb2
from qubitd.wire.bindings import decode_bindings, encode_bindings
from qubitd.wire.control import control_problems, decode_conditions, encode_conditions
from qubitd.wire.errors import MalformedMessageError, clip, malformed
from qubitd.wire.parsing import UINT32, check_count, check_text, column, pack_column, refuse_if_any
from qubitd.wire.steps import StepReader, decode_table, index_type, pack_steps
from qubitd.wire.tables import content_of
from qubitd.wire.values import decode_params, encode_params

WIRE_VERSION = 2
"""Version of the circuit columns that this code reads and writes."""
MAX_CIRCUIT_NAME = 256
MAX_CIRCUITS = 10_000
MAX_QUBITS = 65_536
MAX_CLBITS = 65_536
MAX_LENGTH = 1_000_000
"""Operations of one circuit."""
MAX_ENTRIES = 4_000_000
"""Operands of one circuit; also its parameters, and its classical bits."""
MAX_IN_ALL = 16_777_216
"""Operations of all circuits; also their operands, parameters and classical bits."""

Ints = NDArray[np.int64]
_NOTHING = np.zeros(0, dtype=np.uint32)


def encode_batch(batch: CircuitBatch) -> circuits_pb2.CircuitBatch:
    """Give the message of a batch, whose columns fit its table of operations. Tables come with their content."""
    packed = pack_steps(batch)
    values, params = encode_params(np.concatenate([circuit.params for circuit in batch.circuits]))
    clbits = np.concatenate([circuit.clbits for circuit in batch.circuits])
    return circuits_pb2.CircuitBatch(
        circuits=[
            _encode_circuit(circuit, count) for circuit, count in zip(batch.circuits, packed.counts, strict=True)
        ],
        step_table=circuits_pb2.Table(content=packed.table),
        value_table=values,
        steps=packed.steps,
        params=params,
        clbits=pack_column(clbits, _clbit_type(batch.circuits)),
    )


def decode_batch(message: circuits_pb2.CircuitBatch) -> CircuitBatch:
    """Read and check a batch.

    Raises:
        MalformedMessageError: with everything that was found wrong.
    """
    check_count(len(message.circuits), where="number of circuits", least=1, most=MAX_CIRCUITS)
    table = decode_table(content_of(message.step_table, where="step_table"))
    steps = column(message.steps, index_type(len(table)), where="steps").astype(np.int64)
    if len(steps):
        check_count(int(steps.max()), where="largest index of a step", most=len(table) - 1)
    messages = list(message.circuits)
    own = [circuit.num_steps for circuit in messages]
    check_count(max(own), where="largest num_steps of a circuit", most=MAX_LENGTH)
    if sum(own) != len(steps):
        raise malformed("steps", f"holds {len(steps)} entries; the circuits have {sum(own)} in all")
    columns = _read_columns(message, messages, table, steps, list(itertools.accumulate(own, initial=0)))
    circuits, problems = _cut(messages, columns)
    batch = CircuitBatch(operations=table.operations, circuits=tuple(circuits))
    if not problems:
        suspects = columns.suspects(batch).union(_with_control(batch))
        problems = [problem for index in sorted(suspects) for problem in _problems(batch, index)]
    refuse_if_any(problems)
    return batch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Columns:
    """The columns of all circuits, and where each circuit's part begins; the last entry of such a list is the end."""

    opcodes: NDArray[np.uint16]
    qubits: NDArray[np.uint16]
    params: NDArray[np.float64]
    clbits: NDArray[np.uint32]
    bounds: list[list[int]]
    """Of these four, in this order."""
    highest_qubit: int
    """At least that of any operand."""
    are_small: bool
    """Whether all circuits together keep the limits of one."""

    def check_size(self, i: int) -> None:
        """Hold a circuit against the limits.

        Raises:
            MalformedMessageError: it is too long, or has too many entries.
        """
        limits = (
            ("number of operations", MAX_LENGTH),
            ("entries of qubits", MAX_ENTRIES),
            ("entries of params", MAX_ENTRIES),
            ("entries of clbits", MAX_ENTRIES),
        )
        for (where, most), edges in zip(limits, self.bounds, strict=True):
            check_count(edges[i + 1] - edges[i], where=where, most=most)

    def suspects(self, batch: CircuitBatch) -> set[int]:
        """Find the circuits that have an operand out of range or a parameter that is no number."""
        found: set[int] = set()
        _, qubit_bounds, param_bounds, clbit_bounds = self.bounds
        limits = [circuit.num_qubits for circuit in batch.circuits]
        if self.highest_qubit >= min(limits):
            found |= _exceeding(self.qubits, qubit_bounds, limits)
        limits = [circuit.num_clbits for circuit in batch.circuits]
        if len(self.clbits) and self.clbits.max() >= min(limits):
            found |= _exceeding(self.clbits, clbit_bounds, limits)
        if len(self.params) and not np.isfinite(self.params).all():
            found |= _exceeding(~np.isfinite(self.params), param_bounds, [1] * len(batch.circuits))
        return found


def _read_columns(
    message: circuits_pb2.CircuitBatch,
    circuits: Sequence[circuits_pb2.Circuit],
    table: StepReader,
    steps: Ints,
    edges: Sequence[int],
) -> _Columns:
    totals = table.totals(steps)
    for what, count in zip(("operations", "operands", "parameters", "bits"), totals, strict=True):
        check_count(count, where=f"number of {what} in all", most=MAX_IN_ALL)
    opcodes, qubits = table.columns(steps, totals)
    clbits = column(message.clbits, _clbit_type(circuits), where="clbits", length=totals[3])
    return _Columns(
        opcodes=opcodes,
        qubits=qubits,
        params=decode_params(message, totals[2]),
        clbits=clbits.astype(np.uint32),
        bounds=table.bounds(steps, edges, totals),
        highest_qubit=table.highest_qubit,
        are_small=totals[0] <= MAX_LENGTH and max(totals) <= MAX_ENTRIES,
    )


def _exceeding(values: NDArray[np.generic], bounds: list[int], limits: list[int]) -> set[int]:
    """Find the circuits with an entry that is not below their limit."""
    edges = np.array(bounds)
    owning = np.flatnonzero(np.diff(edges))
    if not len(owning):
        return set()
    highest = np.maximum.reduceat(values, edges[owning])
    return set(owning[highest >= np.array(limits, dtype=np.int64)[owning]].tolist())


def _encode_circuit(circuit: Circuit, num_steps: int) -> circuits_pb2.Circuit:
    return circuits_pb2.Circuit(
        name=clip(circuit.name, MAX_CIRCUIT_NAME),
        num_qubits=circuit.num_qubits,
        num_clbits=circuit.num_clbits,
        controls=pack_column(circuit.controls, UINT32),
        conditions=encode_conditions(circuit.conditions),
        num_steps=num_steps,
        bindings=None if circuit.bindings is None else encode_bindings(circuit.bindings),
    )


def _cut(messages: Sequence[circuits_pb2.Circuit], columns: _Columns) -> tuple[list[Circuit], list[Problem]]:
    """Cut the columns into circuits, and say what is wrong with those that cannot be cut out."""
    circuits: list[Circuit] = []
    problems: list[Problem] = []
    ranges = zip(*(map(slice, edges, edges[1:]) for edges in columns.bounds), strict=True)
    for index, (message, own) in enumerate(zip(messages, ranges, strict=True)):
        try:
            if not columns.are_small:
                columns.check_size(index)
            circuits.append(_decode_circuit(message, columns, own))
        except MalformedMessageError as error:
            problems += (_in_circuit(problem, message.name, index) for problem in error.problems)
    return circuits, problems


def _decode_circuit(message: circuits_pb2.Circuit, columns: _Columns, own: tuple[slice, ...]) -> Circuit:
    """Read a circuit whose parts of the columns are known; there may be thousands, so each step counts."""
    name, num_qubits, num_clbits = message.name, message.num_qubits, message.num_clbits
    if num_qubits > MAX_QUBITS or num_clbits > MAX_CLBITS or 4 * len(name) > MAX_CIRCUIT_NAME:
        check_text(name, where="name", most=MAX_CIRCUIT_NAME)
        check_count(num_qubits, where="num_qubits", most=MAX_QUBITS)
        check_count(num_clbits, where="num_clbits", most=MAX_CLBITS)
    ops, operands, params, clbits = own
    return Circuit(
        name=name,
        num_qubits=num_qubits,
        num_clbits=num_clbits,
        opcodes=columns.opcodes[ops],
        qubits=columns.qubits[operands],
        params=columns.params[params],
        clbits=columns.clbits[clbits],
        controls=column(message.controls, UINT32, where="controls") if message.controls else _NOTHING,
        conditions=decode_conditions(message.conditions, num_clbits=num_clbits) if message.conditions else (),
        bindings=_bindings(message, params) if message.HasField("bindings") else None,
    )


def _bindings(message: circuits_pb2.Circuit, params: slice) -> Bindings:
    bindings = decode_bindings(message.bindings)
    if len(bindings.positions):
        most = params.stop - params.start - 1
        check_count(int(bindings.positions[-1]), where="bindings, largest position", most=most)
    return bindings


def _clbit_type(circuits: Sequence[Circuit] | Sequence[circuits_pb2.Circuit]) -> np.dtype[np.generic]:
    return index_type(max([circuit.num_clbits for circuit in circuits], default=0))


def _with_control(batch: CircuitBatch) -> list[int]:
    """Find the circuits whose control flow is to be looked at: all, if there can be any."""
    if any(row.name in CONTROL_ARITY for row in batch.operations):
        return list(range(len(batch.circuits)))
    return [index for index, circuit in enumerate(batch.circuits) if len(circuit.controls)]


def _problems(batch: CircuitBatch, index: int) -> Iterator[Problem]:
    """Say what is wrong with a circuit whose other columns fit the table of operations."""
    circuit = batch.circuits[index]
    yield from _value_problems(batch, index)
    wanted = int(control_counts([row.name for row in batch.operations])[circuit.opcodes].sum())
    if wanted != len(circuit.controls):
        what = f"holds {len(circuit.controls)} entries; the brackets of control flow ask for {wanted}"
        yield _in_circuit(Problem(where="controls", what=what), circuit.name, index)
        return
    for problem in control_problems(circuit, batch.operations, index):
        yield _in_circuit(problem, circuit.name, index)


def _value_problems(batch: CircuitBatch, index: int) -> Iterator[Problem]:
    circuit = batch.circuits[index]
    start = offsets(circuit, batch.operations)

    def problem(operation: int, what: str) -> Problem:
        name = batch.operations[int(circuit.opcodes[operation])].name
        found = Problem(where=f"operation {operation} ({name})", what=what, circuit=index, operation=operation)
        return _in_circuit(found, circuit.name, index)

    for i in _first(circuit.qubits >= circuit.num_qubits):
        what = f"qubit {circuit.qubits[i]} of a circuit on {circuit.num_qubits} qubits; they count from 0"
        yield problem(_owner(start.qubits, i), what)
    for i in _first(circuit.clbits >= circuit.num_clbits):
        what = f"classical bit {circuit.clbits[i]} of a circuit with {circuit.num_clbits}; they count from 0"
        yield problem(_owner(start.clbits, i), what)
    for i in _first(~np.isfinite(circuit.params)):
        yield problem(_owner(start.params, i), f"parameter is {circuit.params[i]}; give a finite number")


def _first(wrong: NDArray[np.bool_]) -> list[int]:
    """The first places that are wrong: hundreds of the same kind help nobody."""
    return [int(i) for i in np.flatnonzero(wrong)[:5]]


def _owner(starts: NDArray[np.int64], entry: int) -> int:
    """The operation to which an entry of a flat column belongs."""
    return int(np.searchsorted(starts, entry, side="right")) - 1


def _in_circuit(problem: Problem, name: str, index: int) -> Problem:
    where = f"circuit {index} ({clip(name, MAX_CIRCUIT_NAME)!r}), {problem.where}"
    return replace(problem, where=where, circuit=index)
