"""Qiskit circuits to byte columns. What the backend cannot run is refused by name, and everything wrong at once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from qiskit.circuit import CircuitInstruction, Parameter, ParameterExpression, QuantumCircuit, Qubit

from qubitd.client import BackendInfo
from qubitd.core.bindings import Bindings
from qubitd.core.circuit import Circuit, CircuitBatch, Operation
from qubitd.core.delays import binding_problems, delay_problem
from qubitd.core.errors import Problem
from qubitd.provider.bound import BindingError, bind, value_rows
from qubitd.provider.control_flow import CONTROL_FLOW, Bracket, Step, TooLongError, Unfolding, loop_indices
from qubitd.provider.delays import SECONDS
from qubitd.provider.gates import Gates
from qubitd.provider.headers import CircuitHeader, circuit_header
from qubitd.provider.origins import AS_WRITTEN, Origins, origins_of
from qubitd.provider.reader import Read, Reader, distinct_operations, param_starts, row_of

MAX_PROBLEMS = 20
"""Problems listed of one job; the rest are counted."""
_PER_CIRCUIT = 5
"""Problems listed of each of many circuits."""
_Key = tuple[str, tuple[int, ...], int, int]
"""Name, operands, numbers of parameters and of classical bits."""
_Row = tuple[str, int, int, int]
"""Fields of an `Operation`, which are looked up ten times as fast as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Circuits ready to be sent."""

    batch: CircuitBatch
    headers: tuple[CircuitHeader, ...]
    """Of each circuit, once for each of its bindings."""


class Encoder:
    """Turns circuits into columns for one backend.

    What an operation on some qubits becomes is looked up once and remembered, so that a gate costs some 1 us.
    """

    def __init__(
        self,
        info: BackendInfo,
        *,
        gates: Gates | None = None,
        reader: Reader | None = None,
        max_iterations: int | None = None,
    ) -> None:
        """Start with nothing known.

        Args:
            info: of the backend.
            gates: of the backend, where they are known.
            reader: reads circuits fast; None for plain Python.
            max_iterations: bound of every while loop; None refuses them.
        """
        self.problems: list[Problem] = []
        self.unlisted = 0
        """How many more there are than `problems` holds."""
        self._info = info
        self._reader = reader
        self._max_iterations = max_iterations
        self._gates = Gates(info) if gates is None else gates
        self._table: dict[_Row, int] = {}
        self._known: dict[_Key, int] = {}
        self._place: dict[Qubit, int] = {}
        """Of the qubits of the circuit at hand."""
        self._seen: dict[tuple[str, Any, int, int], tuple[int, tuple[int, ...]]] = {}
        """Opcode and operands by a `_Key` with those very qubits, which is found at once, not bit by bit."""
        self._origins: dict[int, Origins] = {}

    def encode(
        self, circuits: Sequence[QuantumCircuit], values: Sequence[Any] = (), *, are_given: bool = True
    ) -> Encoded:
        """Encode circuits; look at `problems` before the columns are used.

        Args:
            circuits: in the backend's gates.
            values: of each circuit's parameters, as `value_rows` takes them; None, or nothing at all, for none.
            are_given: whether parameters without values are a problem; not if what was to give them has one of its own.
        """
        columns: list[Circuit] = []
        headers: list[CircuitHeader] = []
        most = max(_PER_CIRCUIT, MAX_PROBLEMS // max(1, len(circuits)))
        for index, circuit in enumerate(circuits):
            given = values[index] if index < len(values) else None
            found = _Finder(circuit, index, self._info, given, most, are_given=are_given)
            columns.append(self._circuit(circuit, found))
            self.problems += found.problems
            self.unlisted += found.unlisted
            origins = self._origins.get(index, AS_WRITTEN)
            header = circuit_header(circuit, measures=len(columns[-1].clbits) > 0, origins=origins)
            headers += [header] * columns[-1].num_bindings
        operations = tuple(
            Operation(name=name, num_qubits=num_qubits, num_params=num_params, num_clbits=num_clbits)
            for name, num_qubits, num_params, num_clbits in self._table
        )
        batch = CircuitBatch(operations=operations, circuits=tuple(columns))
        culprits = {problem.circuit for problem in self.problems}
        for index in batch.columns.bindings:
            if index not in culprits:
                origins, where = self._origins.get(index, AS_WRITTEN), _circuit_name(circuits[index], index)
                self.problems += map(origins.told, binding_problems(batch, index, where=where))
        return Encoded(batch=batch, headers=tuple(headers))

    def _circuit(self, circuit: QuantumCircuit, found: _Finder) -> Circuit:
        read = self._reader.read(circuit) if self._reader is not None and found.is_plain else None
        if read is not None and (columns := self._columns(circuit, read, found)) is not None:
            return columns
        if circuit.qubits != list(self._place):
            self._place = {bit: i for i, bit in enumerate(circuit.qubits)}
            self._seen = {}
        place, seen = self._place, self._seen
        slot = {bit: i for i, bit in enumerate(circuit.clbits)}
        opcodes: list[int] = []
        qubits: list[int] = []
        params: list[Any] = []
        clbits: list[int] = []
        for position, instruction in enumerate(circuit.data):
            name, bits = instruction.name, instruction.qubits
            values, into = instruction.params, instruction.clbits
            known = seen.get((name, bits, len(values), len(into)))
            if known is None:
                if name in CONTROL_FLOW:
                    return self._unfolded(circuit, found)
                operands = tuple([place[bit] for bit in bits])
                opcode = self._opcode(instruction, operands, position, found)
                if opcode is None:
                    continue
                known = seen[name, bits, len(values), len(into)] = opcode, operands
            opcode, operands = known
            opcodes.append(opcode)
            qubits.extend(operands)
            if values:
                params.extend(values if name != "delay" else [found.seconds(instruction, position)])
            if into:
                clbits.extend([slot[bit] for bit in into])
        numbers, bindings = found.numbers(params)
        return Circuit(
            name=circuit.name,
            num_qubits=circuit.num_qubits,
            num_clbits=circuit.num_clbits,
            opcodes=np.array(opcodes, dtype=np.uint16),
            qubits=np.array(qubits, dtype=np.uint16),
            params=numbers,
            clbits=np.array(clbits, dtype=np.uint32),
            bindings=bindings,
        )

    def _unfolded(self, circuit: QuantumCircuit, found: _Finder) -> Circuit:
        """Encode a circuit with control flow."""
        found.begin_again()
        unfolding = Unfolding(circuit, max_iterations=self._max_iterations, refuse=found.refuse)
        written = _Written()
        with contextlib.suppress(TooLongError):
            for item in unfolding:
                if isinstance(item, Bracket):
                    written.bracket(self._bracket(item.name), item)
                elif (opcode := self._opcode(item.instruction, item.qubits, item.position, found)) is not None:
                    written.step(opcode, item, self._params(item, found))
        self._origins[found.index] = origins_of(written.positions, len(circuit.data))
        numbers, bindings = found.numbers(written.params)
        return Circuit(
            name=circuit.name,
            num_qubits=circuit.num_qubits,
            num_clbits=circuit.num_clbits,
            opcodes=np.array(written.opcodes, dtype=np.uint16),
            qubits=np.array(written.qubits, dtype=np.uint16),
            params=numbers,
            clbits=np.array(written.clbits, dtype=np.uint32),
            controls=np.array(written.controls, dtype=np.uint32),
            conditions=tuple(unfolding.conditions),
            bindings=bindings,
        )

    def _params(self, step: Step, found: _Finder) -> list[Any]:
        if step.instruction.name == "delay":
            return found.finite(step, [found.seconds(step.instruction, step.position)])
        return found.finite(step, step.instruction.params)

    def _bracket(self, name: str) -> int:
        return self._row(name, 0, 0, 0)

    def _columns(self, circuit: QuantumCircuit, read: Read, found: _Finder) -> Circuit | None:
        """Take a circuit as it was read; None if any of it is to be looked at one by one."""
        data = circuit.data
        rows = [row_of(data[first]) for first in read.first]
        if any(row.name in CONTROL_FLOW for row in rows):  # its parameters are not counted as Python counts them
            return None
        kinds = distinct_operations(read, rows, num_qubits=len(self._info.qubits))
        if kinds is None or any(self._gates.refusal(rows[i].name, on, rows[i].num_params) for i, on in kinds):
            return None
        params = read.params.copy()
        for i, row in enumerate(rows):
            if row.name == "delay":
                where = np.flatnonzero(read.row == i)
                params[param_starts(read, rows)[where]] = _floats([found.seconds(data[p], int(p)) for p in where])
        if found.problems or not np.isfinite(params).all():
            found.begin_again()
            return None
        opcodes = np.array([self._row(*astuple(row)) for row in rows], dtype=np.uint16)
        for i, operands in kinds:
            self._known[rows[i].name, operands, rows[i].num_params, rows[i].num_clbits] = int(opcodes[i])
        return Circuit(
            name=circuit.name,
            num_qubits=circuit.num_qubits,
            num_clbits=circuit.num_clbits,
            opcodes=opcodes[read.row],
            qubits=read.qubits,
            params=params,
            clbits=read.clbits,
        )

    def _opcode(
        self, instruction: CircuitInstruction, operands: tuple[int, ...], position: int, found: _Finder
    ) -> int | None:
        """Give the opcode of an operation, or say why it cannot be taken."""
        name, num_params, num_clbits = instruction.name, len(instruction.params), len(instruction.clbits)
        known = self._known.get((name, operands, num_params, num_clbits))
        if known is not None:
            return known
        what = self._gates.refusal(name, operands, num_params)
        if what is not None:
            found.add(position, name, operands, what)
            return None
        opcode = self._row(name, len(operands), num_params, num_clbits)
        self._known[name, operands, num_params, num_clbits] = opcode
        return opcode

    def _row(self, *row: *_Row) -> int:
        """Give the opcode of a row of the table of operations."""
        return self._table.setdefault(row, len(self._table))


class _Written:
    """Columns of a circuit with control flow, as far as they are written."""

    def __init__(self) -> None:
        self.opcodes: list[int] = []
        self.qubits: list[int] = []
        self.params: list[Any] = []
        self.clbits: list[int] = []
        self.controls: list[int] = []
        self.positions: list[int] = []

    def bracket(self, opcode: int, bracket: Bracket) -> None:
        """Append a bracket."""
        self.opcodes.append(opcode)
        self.controls.extend(bracket.numbers)
        self.positions.append(bracket.position)

    def step(self, opcode: int, step: Step, params: list[Any]) -> None:
        """Append an operation."""
        self.opcodes.append(opcode)
        self.positions.append(step.position)
        self.qubits.extend(step.qubits)
        self.params.extend(params)
        self.clbits.extend(step.clbits)


class _Finder:
    """Collects what is wrong with one circuit."""

    def __init__(
        self, circuit: QuantumCircuit, index: int, info: BackendInfo, values: Any, most: int, *, are_given: bool
    ) -> None:
        self.index = index
        self.problems: list[Problem] = []
        self.unlisted = 0
        """How many there are beyond `most`."""
        self._seen: set[tuple[int, str, tuple[int, ...], str]] = set()
        self._most = most
        self._circuit = circuit
        self._values = values
        self._are_given = are_given
        self._info = info
        self._where = _circuit_name(circuit, index)
        self._free = set(circuit.parameters) - loop_indices(circuit) if circuit.num_parameters else set[Parameter]()
        self._check_whole()

    def begin_again(self) -> None:
        """Forget what was found of single operations."""
        self.problems.clear()
        self._seen.clear()
        self.unlisted = 0
        self._check_whole()

    def _check_whole(self) -> None:
        """Look at what concerns the circuit as a whole."""
        have, need = len(self._info.qubits), self._circuit.num_qubits
        if need > have:
            self._whole(f"has {need} qubits and {self._info.name} {have}; leave out those that are idle")
        if self._free and self._values is None and self._are_given:
            names = ", ".join(sorted(parameter.name for parameter in self._free))
            self._whole(
                f"parameters {names} have no values; give parameter_values, or bind with circuit.assign_parameters"
            )
        if self._values is not None and not self._free:
            self._whole("has no parameters, but parameter_values are given for it; leave them out")

    @property
    def is_plain(self) -> bool:
        """Whether nothing was found so far, and there are no parameters that wait for values."""
        return not self.problems and not self._free and self._values is None

    def add(self, position: int, name: str, operands: tuple[int, ...], what: str) -> None:
        """Note a problem of one operation, once for all passes of a loop."""
        if (problem := (position, name, operands, what)) in self._seen:
            return
        self._seen.add(problem)
        if len(self.problems) >= self._most:
            self.unlisted += 1
            return
        on = f" on {', '.join(f'q{qubit}' for qubit in operands)}" if operands else ""
        where = f"{self._where}, operation {position} ({name}{on})"
        self.problems.append(Problem(where=where, what=what, circuit=self.index, operation=position))

    def refuse(self, position: int, what: str) -> None:
        """Note what is wrong with an operation of the circuit itself."""
        instruction = self._circuit.data[position]
        self.add(position, instruction.name, tuple(self._circuit.find_bit(q).index for q in instruction.qubits), what)

    def seconds(self, instruction: CircuitInstruction, position: int) -> Any:
        """Give the length of a delay in seconds, a parameter without a value as it is."""
        (duration,) = instruction.params
        unit = getattr(instruction.operation, "unit", "")  # what is only named so has none
        scale = self._info.dt if unit == "dt" else SECONDS.get(unit)
        if scale is None:
            what = f"is as long as a stretch or an expression says, which {self._info.name} does not work out"
            self.refuse(position, f"{what}; give a number and a unit")
            return 0.0
        if not isinstance(duration, (int, float, np.number, ParameterExpression)):
            return duration
        seconds = (_number(duration) if isinstance(duration, int) else duration) * scale
        if (why := delay_problem(_number(seconds))) is not None:
            self.refuse(position, why)
            return 0.0
        return seconds

    def finite(self, step: Step, params: Sequence[Any]) -> list[Any]:
        """Give the parameters of an operation in a block; 0 for each that is no finite number, which is noted."""
        found: list[Any] = []
        for value in params:
            is_good = _is_free(value) or _is_finite(value)
            if not is_good:
                self.add(step.position, step.instruction.name, step.qubits, _no_number(value))
            found.append(value if is_good else 0.0)
        return found

    def numbers(self, params: list[Any]) -> tuple[np.ndarray[Any, np.dtype[np.float64]], Bindings | None]:
        """Give the parameters as numbers and bindings, or note what keeps them from being so."""
        if not self._free:
            values = _floats(params)
            if not np.isfinite(values).all():
                self._refuse_numbers()
            return values, None
        if not all(_is_free(value) or _is_finite(value) for value in params):
            self._refuse_numbers()
        elif self._values is not None:
            try:
                return bind(self._circuit, value_rows(self._circuit, self._values), params)
            except BindingError as error:
                self._whole(str(error))
        return np.zeros(len(params), dtype=np.float64), None

    def _refuse_numbers(self) -> None:
        for position, instruction in enumerate(self._circuit.data):
            if not instruction.is_control_flow():  # what is in a block was looked at there
                for value in instruction.params:
                    if not (_is_free(value) or _is_finite(value)):
                        self.refuse(position, _no_number(value))

    def _whole(self, what: str) -> None:
        self.problems.append(Problem(where=self._where, what=what, circuit=self.index))


def listed(problems: Sequence[Problem], unlisted: int = 0) -> list[Problem]:
    """Keep a readable number of problems and count the rest, with those that are in no list."""
    more = max(0, len(problems) - MAX_PROBLEMS) + unlisted
    counted = [Problem(where="job", what=f"{more} more problem{'s' if more > 1 else ''}")] if more else []
    return [*problems[:MAX_PROBLEMS], *counted]


def _circuit_name(circuit: QuantumCircuit, index: int) -> str:
    return f"circuit {index} ({circuit.name!r})"


def _is_free(value: Any) -> bool:
    """Whether it waits for values of parameters."""
    return isinstance(value, ParameterExpression) and bool(value.parameters)


def _is_finite(value: Any) -> bool:
    return math.isfinite(_number(value))


def _no_number(value: Any) -> str:
    return f"parameter is {value}; give a finite number"


def _floats(params: list[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Give numbers; NaN for all if one is none."""
    try:
        found = np.array(params, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.zeros(())
    return found if found.ndim == 1 else np.full(len(params), math.nan)


def _number(value: Any) -> float:
    """Give a value as a number; NaN for what is none, such as an array or a parameter without a value."""
    try:
        return math.nan if isinstance(value, np.ndarray) and value.ndim else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
