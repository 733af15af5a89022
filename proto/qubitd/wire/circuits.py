"""Circuits <-> messages. Columns that arrive are not trusted: lengths, ranges and numbers are checked before use, and
the size of what they stand for before any memory is taken.

The checks are those that need no device: whether a gate exists, and on which qubits, is the compiler's question.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qubitd.core.bindings import Bindings
from qubitd.core.circuit import Circuit, CircuitBatch, CircuitBounds, CircuitColumns, offsets
from qubitd.core.control import Condition, control_counts
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
    packed, columns = pack_steps(batch), batch.columns
    values, params = encode_params(columns.params)
    return circuits_pb2.CircuitBatch(
        circuits=[
            _encode_circuit(circuit, count) for circuit, count in zip(batch.circuits, packed.counts, strict=True)
        ],
        step_table=circuits_pb2.Table(content=packed.table),
        value_table=None if values is None else circuits_pb2.Table(content=values),
        steps=packed.steps,
        params=params,
        clbits=pack_column(columns.clbits, index_type(int(columns.num_clbits.max(initial=0)))),
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
    heads = _Heads(
        names=[circuit.name for circuit in messages],
        num_qubits=[circuit.num_qubits for circuit in messages],
        num_clbits=[circuit.num_clbits for circuit in messages],
    )
    flat = _read_columns(message, heads, table, steps, np.array([0, *itertools.accumulate(own)]))
    rest = _read_rest(messages, heads, flat)
    batch = CircuitBatch(operations=table.operations, circuits=_whole(heads, flat, rest))
    controlled: Iterable[int] = range(len(messages)) if table.has_control else rest.controls
    suspects = sorted(flat.suspects(heads).union(controlled))
    refuse_if_any([problem for index in suspects for problem in _problems(batch, index)])
    return batch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Heads:
    """What each circuit says of itself."""

    names: list[str]
    num_qubits: list[int]
    num_clbits: list[int]

    @property
    def are_small(self) -> bool:
        """Whether all keep the limits for certain."""
        return (
            max(self.num_qubits) <= MAX_QUBITS
            and max(self.num_clbits) <= MAX_CLBITS
            and 4 * max(map(len, self.names)) <= MAX_CIRCUIT_NAME
        )

    def check(self, i: int) -> None:
        """Hold a circuit against the limits.

        Raises:
            MalformedMessageError: its name is too long, or it has too many qubits or bits.
        """
        check_text(self.names[i], where="name", most=MAX_CIRCUIT_NAME)
        check_count(self.num_qubits[i], where="num_qubits", most=MAX_QUBITS)
        check_count(self.num_clbits[i], where="num_clbits", most=MAX_CLBITS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Flat:
    """The columns of all circuits, and where each circuit's part begins; the last entry of such an array is the end."""

    opcodes: NDArray[np.uint16]
    qubits: NDArray[np.uint16]
    params: NDArray[np.float64]
    clbits: NDArray[np.uint32]
    bounds: list[Ints]
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
            check_count(int(edges[i + 1] - edges[i]), where=where, most=most)

    def suspects(self, heads: _Heads) -> set[int]:
        """Find the circuits that have an operand out of range or a parameter that is no number."""
        found: set[int] = set()
        _, qubit_bounds, param_bounds, clbit_bounds = self.bounds
        if self.highest_qubit >= min(heads.num_qubits):
            found |= _exceeding(self.qubits, qubit_bounds, heads.num_qubits)
        if len(self.clbits) and self.clbits.max() >= min(heads.num_clbits):
            found |= _exceeding(self.clbits, clbit_bounds, heads.num_clbits)
        if len(self.params) and not np.isfinite(self.params).all():
            found |= _exceeding(~np.isfinite(self.params), param_bounds, [1] * len(heads.names))
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rest:
    """What only some circuits have, by circuit."""

    controls: dict[int, NDArray[np.uint32]]
    conditions: dict[int, tuple[Condition, ...]]
    bindings: dict[int, Bindings]


def _read_columns(
    message: circuits_pb2.CircuitBatch, heads: _Heads, table: StepReader, steps: Ints, edges: Ints
) -> _Flat:
    totals = table.totals(steps)
    for what, count in zip(("operations", "operands", "parameters", "bits"), totals, strict=True):
        check_count(count, where=f"number of {what} in all", most=MAX_IN_ALL)
    opcodes, qubits = table.columns(steps, totals)
    clbits = column(message.clbits, index_type(max(heads.num_clbits)), where="clbits", length=totals[3])
    return _Flat(
        opcodes=opcodes,
        qubits=qubits,
        params=decode_params(message, totals[2]),
        clbits=clbits.astype(np.uint32),
        bounds=table.bounds(steps, edges, totals),
        highest_qubit=table.highest_qubit,
        are_small=totals[0] <= MAX_LENGTH and max(totals) <= MAX_ENTRIES,
    )


def _read_rest(messages: Sequence[circuits_pb2.Circuit], heads: _Heads, flat: _Flat) -> _Rest:
    """Read what is not in the columns, and hold each circuit against the limits.

    Raises:
        MalformedMessageError: with all circuits that break one, or whose rest cannot be read.
    """
    rest = _Rest(controls={}, conditions={}, bindings={})
    are_small = flat.are_small and heads.are_small
    problems: list[Problem] = []
    for index, message in enumerate(messages):
        if are_small and not (message.controls or message.conditions or message.HasField("bindings")):
            continue
        try:
            flat.check_size(index)
            heads.check(index)
            _read_rest_of(message, index, flat.bounds[2], rest)
        except MalformedMessageError as error:
            problems += (_in_circuit(problem, message.name, index) for problem in error.problems)
    refuse_if_any(problems)
    return rest


def _read_rest_of(message: circuits_pb2.Circuit, index: int, param_bounds: Ints, rest: _Rest) -> None:
    if message.controls:
        rest.controls[index] = column(message.controls, UINT32, where="controls")
    if message.conditions:
        rest.conditions[index] = decode_conditions(message.conditions, num_clbits=message.num_clbits)
    if message.HasField("bindings"):
        most = int(param_bounds[index + 1] - param_bounds[index]) - 1
        rest.bindings[index] = _bindings(message, most)


def _whole(heads: _Heads, flat: _Flat, rest: _Rest) -> CircuitColumns:
    opcodes, qubits, params, clbits = flat.bounds
    ends = np.zeros(len(opcodes), dtype=np.int64)
    if rest.controls:
        ends[[index + 1 for index in rest.controls]] = list(map(len, rest.controls.values()))
        ends = ends.cumsum()
    return CircuitColumns(
        names=heads.names,
        num_qubits=np.array(heads.num_qubits, dtype=np.int64),
        num_clbits=np.array(heads.num_clbits, dtype=np.int64),
        opcodes=flat.opcodes,
        qubits=flat.qubits,
        params=flat.params,
        clbits=flat.clbits,
        controls=np.concatenate([_NOTHING, *rest.controls.values()]) if rest.controls else _NOTHING,
        bounds=CircuitBounds(opcodes=opcodes, qubits=qubits, params=params, clbits=clbits, controls=ends),
        conditions=rest.conditions,
        bindings=rest.bindings,
    )


def _exceeding(values: NDArray[np.generic], bounds: Ints, limits: list[int]) -> set[int]:
    """Find the circuits with an entry that is not below their limit."""
    owning = np.flatnonzero(np.diff(bounds))
    if not len(owning):
        return set()
    highest = np.maximum.reduceat(values, bounds[owning])
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


def _bindings(message: circuits_pb2.Circuit, most: int) -> Bindings:
    """Read the bindings of a circuit; `most` is the position of its last parameter."""
    bindings = decode_bindings(message.bindings)
    if len(bindings.positions):
        check_count(int(bindings.positions[-1]), where="bindings, largest position", most=most)
    return bindings


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
