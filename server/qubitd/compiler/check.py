"""Pass: every operation of a batch against the device and the calibration, all problems at once.

Before: columns of any content, as a client sent them. After, if nothing was found: every operation exists on its
operands and has calibrated numbers, and its angles, delays and classical bits are within their limits. The later passes
check nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qubitd.compiler.batch_columns import BatchColumns, Gathered, side_by_side
from qubitd.compiler.bound import rounded_bindings
from qubitd.compiler.calibrated import CalibratedGates
from qubitd.compiler.columns import Ints, blocks, opcodes_of, owners
from qubitd.compiler.gate_table import GateKey, distinct_gates, mask_of
from qubitd.core.circuit import Circuit, CircuitBatch, Operation
from qubitd.core.control import CONTROL_ARITY
from qubitd.core.delays import MAX_DELAY, binding_problems, delay_problem
from qubitd.core.device import AcquireStep, CompositeGate, Device, Gate
from qubitd.core.errors import Problem
from qubitd.core.ticks import GRID_TOLERANCE, nearest_ticks, to_seconds

MAX_PROBLEMS = 100
"""More problems than these are counted, not written out."""
_NO_GATES = ("barrier", "delay", *CONTROL_ARITY)
MAX_LOG = 100
"""Lines for the job's owner; more than these are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a check found."""

    problems: tuple[Problem, ...]
    """In the order of the circuits and their operations; empty if the batch can be compiled."""
    log: tuple[str, ...]
    """What the job's owner should know although it is no problem."""


def check_shots(device: Device, shots: int) -> tuple[Problem, ...]:
    """Check a job's number of shots."""
    if 1 <= shots <= device.max_shots:
        return ()
    return (Problem(where="shots", what=f"is {shots}; {device.name} takes 1 to {device.max_shots} of each circuit"),)


def check_batch(gates: CalibratedGates, gathered: BatchColumns) -> Findings:
    """Check every circuit of a batch."""
    device, batch = gates.device, gathered.batch
    count = len(batch.circuits)
    if not 1 <= count <= device.max_circuits:
        what = f"holds {count} circuits; {device.name} takes 1 to {device.max_circuits} in a job"
        return Findings(problems=(Problem(where="job", what=what),), log=())
    found = _known_findings(gates, gathered) if count == 1 else _circuit_findings(gates, gathered)
    return _with_bindings(batch, found)


def _known_findings(gates: CalibratedGates, gathered: BatchColumns) -> Findings:
    """Check the one circuit of a batch, or remember what was found in one of its structure: numbers that are finite
    make no difference to that, but for those of delays.
    """
    (circuit,) = gathered.batch.circuits
    structure = gathered.structure(0)
    if structure is None or (len(circuit.params) and not np.isfinite(circuit.params).all()):
        return _circuit_findings(gates, gathered)
    has_delays = "delay" in {row.name for row in gathered.batch.operations}
    question = (check_batch, structure, circuit.params.tobytes() if has_delays else None)
    name, found = gates.memory.recall(
        question, structure.entries, lambda: (circuit.name, _circuit_findings(gates, gathered))
    )
    if name != circuit.name and (found.problems or found.log):  # which speak of it by name
        return _circuit_findings(gates, gathered)
    return found


def _with_bindings(batch: CircuitBatch, found: Findings) -> Findings:
    """Look at the values that rows give, once the circuits themselves are found to be sound."""
    if found.problems or not batch.columns.bindings:
        return found
    problems: list[Problem] = []
    log = list(found.log)
    for i in sorted(batch.columns.bindings):
        where = circuit_name(i, batch.circuits[i])
        problems += binding_problems(batch, i, where=where)
        log += rounded_bindings(batch, i, where=where)
    return Findings(problems=_limited(problems, 0), log=limited_log(log))


def _circuit_findings(gates: CalibratedGates, gathered: BatchColumns) -> Findings:
    device, batch = gates.device, gathered.batch
    problems: list[Problem] = []
    unwritten = 0
    log: list[str] = []
    for block in blocks(batch.columns, lines=len(gates.lines)):
        found, indices, broken = _gathered(device, gathered, block)
        problems += broken
        if found is None:
            continue
        checked = _BlockCheck(gates, batch, found, indices)
        problems += checked.problems()
        unwritten += checked.unwritten
        log.extend(itertools.islice(checked.log(), MAX_LOG + 1 - len(log)))
    problems.sort(key=lambda problem: (problem.circuit or 0, problem.operation or 0))
    return Findings(problems=_limited(problems, unwritten), log=limited_log(log))


def limited_log(lines: Iterable[str]) -> tuple[str, ...]:
    """Cut what a job's owner is told at `MAX_LOG` lines, and say so."""
    first = tuple(itertools.islice(lines, MAX_LOG + 1))
    return first if len(first) <= MAX_LOG else (*first[:MAX_LOG], "there is more to say of this kind; it is left out")


def circuit_name(index: int, circuit: Circuit) -> str:
    """Name a circuit in a message."""
    return f"circuit {index} ({circuit.name!r})"


class _BlockCheck:
    """The check of some circuits, whose columns fit the table of operations."""

    def __init__(self, gates: CalibratedGates, batch: CircuitBatch, gathered: Gathered, indices: Ints) -> None:
        self.gates = gates
        self.device = gates.device
        self.indices = indices
        self.circuits = batch.columns
        self.gathered = gathered
        self.columns = gathered.columns
        self.bounds = gathered.bounds.opcodes
        """Where each circuit's operations begin, and where the last one's end."""
        self.names = {row.name for row in self.columns.operations}
        """What operations can be."""
        self.refused = np.zeros(len(self.columns), dtype=bool)
        self.found: list[Problem] = []
        self.unwritten = 0
        """Operations refused beyond those in `found`."""

    def problems(self) -> list[Problem]:
        """Check rule by rule; an operation that breaks one is left out of the next."""
        self._check_rows()
        self._check_qubits()
        self._check_clbits()
        self._check_params()
        self._check_gates()
        self._check_barriers()
        return self.found

    def log(self) -> Iterator[str]:
        """Give the delays that were rounded, and circuits without a result."""
        if self.found:
            return
        if "delay" in self.names:
            yield from self._rounded_delays()
        start = self.columns.clbit_start[self.bounds]
        for empty in (start[1:] == start[:-1]).nonzero()[0].tolist():
            yield f"{self._circuit(empty)} measures nothing; its result is empty"

    def _check_rows(self) -> None:
        if self.gates.sound_rows.issuperset(self.columns.operations):
            return
        for row, operation in enumerate(self.columns.operations):
            what = _row_problem(self.device, operation)
            if what is None:
                self.gates.sound_rows.add(operation)
            else:
                self._refuse(np.flatnonzero(self.columns.opcode == row), what)

    def _check_qubits(self) -> None:
        columns = self.columns
        limits = self.circuits.num_qubits[self.indices]
        if self._are_below(columns.qubits, columns.qubit_start, limits):
            return
        op, limit = self._limits(columns.qubit_start, limits)
        wrong = np.flatnonzero(columns.qubits >= limit)
        self._refuse(
            op[wrong],
            lambda i: (
                f"qubit {columns.qubits[wrong[i]]} is out of range; the circuit has {limit[wrong[i]]}, counted from 0"
            ),
        )

    def _check_clbits(self) -> None:
        columns = self.columns
        limits = self.circuits.num_clbits[self.indices]
        if self._are_below(columns.clbits, columns.clbit_start, limits):
            return
        op, limit = self._limits(columns.clbit_start, limits)
        wrong = np.flatnonzero(columns.clbits >= limit)
        self._refuse(
            op[wrong],
            lambda i: (
                f"classical bit {columns.clbits[wrong[i]]} is out of range; "
                f"the circuit has {limit[wrong[i]]}, counted from 0"
            ),
        )

    def _check_params(self) -> None:
        params = self.columns.params
        if "delay" not in self.names and (not len(params) or np.isfinite(params).all()):
            return
        op = owners(self.columns.param_start)
        wrong = np.flatnonzero(~np.isfinite(params))
        self._refuse(op[wrong], lambda i: f"a parameter is {params[wrong[i]]}; it must be a finite number")
        of_delay = mask_of(self.columns, "delay")[op]
        off = np.flatnonzero(of_delay & ((params < 0) | (params > MAX_DELAY)))
        self._refuse(op[off], lambda i: delay_problem(float(params[off[i]])) or "")

    def _check_gates(self) -> None:
        """One look at each gate on each set of operands, however often it occurs."""
        ops = np.flatnonzero(~self.refused) if self.found else None
        kinds = self.gathered.kinds if ops is None else distinct_gates(self.columns, ops)
        if self.gates.sound.issuperset(kinds.gates):
            return
        if ops is None:
            ops = np.arange(len(self.columns))
        for i, gate in enumerate(kinds.gates):
            what = None if gate.name in _NO_GATES else _gate_problem(self.gates, gate)
            if what is None:
                self.gates.sound.add(gate)
            else:
                self._refuse(ops[kinds.code == kinds.codes[i]], what)

    def _check_barriers(self) -> None:
        columns = self.columns
        if "barrier" not in self.names:
            return
        op = owners(columns.qubit_start)
        operands = np.flatnonzero((mask_of(columns, "barrier") & ~self.refused)[op])
        keys = np.sort(op[operands] * columns.num_qubits + columns.qubits[operands])
        twice = np.unique(keys[1:][keys[1:] == keys[:-1]] // columns.num_qubits)
        self._refuse(twice, "names a qubit twice; give each once")

    def _rounded_delays(self) -> Iterator[str]:
        columns = self.columns
        delays = np.flatnonzero(mask_of(columns, "delay"))
        seconds = columns.params[columns.param_start[delays]]
        ticks = nearest_ticks(seconds)
        off = np.abs(seconds * 1e9 - ticks) > GRID_TOLERANCE
        for i in np.unique(columns.circuit[delays[off]]):
            mine = np.flatnonzero(off & (columns.circuit[delays] == i))
            op = delays[mine[0]] - self._first(i)
            example = f"operation {op} from {seconds[mine[0]]:.9g} s to {to_seconds(int(ticks[mine[0]])):.9g} s"
            yield f"{self._circuit(i)}: {len(mine)} of its delays rounded to the nearest 1 ns, such as {example}"

    def _are_below(self, operands: Ints, start: Ints, limits: Ints) -> bool:
        """Whether the operands of each circuit are below its limit."""
        if not len(operands) or operands.max() < limits.min():
            return True
        first = start[self.bounds]
        has_any = (first[1:] > first[:-1]).nonzero()[0]
        highest = np.maximum.reduceat(operands, first[has_any])
        return bool((highest < limits[has_any]).all())

    def _limits(self, start: Ints, limits: Ints) -> tuple[Ints, Ints]:
        """Give the operation of each operand, and its circuit's limit."""
        op = owners(start)
        return op, limits[self.columns.circuit[op]]

    def _refuse(self, ops: Ints, what: str | Callable[[int], str]) -> None:
        """Refuse operations, each once; `what` may depend on the position in `ops`."""
        ops, position = np.unique(ops, return_index=True)
        fresh = ~self.refused[ops]
        self.refused[ops] = True
        room = MAX_PROBLEMS - len(self.found)
        self.unwritten += max(0, int(fresh.sum()) - room)
        for op, i in zip(ops[fresh][:room], position[fresh][:room], strict=True):
            self.found.append(self._problem(int(op), what if isinstance(what, str) else what(i)))

    def _problem(self, op: int, what: str) -> Problem:
        i = int(self.columns.circuit[op])
        position = op - self._first(i)
        name = self.columns.operations[int(self.columns.opcode[op])].name
        operands = self.columns.qubits[self.columns.qubit_start[op] : self.columns.qubit_start[op + 1]]
        on = ", ".join(self._qubit(q) for q in operands[:8]) or "no qubit"
        where = f"{self._circuit(i)}, operation {position} ({name} on {on})"
        return Problem(where=where, what=what, circuit=int(self.indices[i]), operation=position)

    def _qubit(self, index: int) -> str:
        names = self.device.qubits
        return names[index] if index < len(names) else f"qubit {index}"

    def _circuit(self, i: int) -> str:
        index = int(self.indices[i])
        return circuit_name(index, self.circuits[index])

    def _first(self, i: int) -> int:
        """The first operation of a circuit of the block."""
        return int(self.bounds[i])


def _gathered(device: Device, gathered: BatchColumns, block: range) -> tuple[Gathered | None, Ints, list[Problem]]:
    """Put circuits side by side, but for those whose columns do not fit each other or the device; say which."""
    batch = gathered.batch
    opcode = opcodes_of(batch.columns, block)
    if _have_rows(device, batch, block, opcode) and _fit(found := gathered.of(block, opcode=opcode)):
        return found, np.arange(block.start, block.stop), []
    arities = _arities(batch.operations)
    wrong = {i: list(_structure_problems(device, arities, i, batch.circuits[i])) for i in block}
    whole = [i for i in block if not wrong[i]]
    problems = [problem for i in block for problem in wrong[i]]
    if not whole:
        return None, np.array(whole), problems
    sound = replace(batch, circuits=tuple(batch.circuits[i] for i in whole))
    return side_by_side(sound, range(len(whole)), device.num_qubits), np.array(whole), problems


def _have_rows(device: Device, batch: CircuitBatch, block: range, opcode: Ints) -> bool:
    """Whether all operations of some circuits are in the table, and their wires on the device."""
    if batch.columns.num_qubits[block.start : block.stop].max() > device.num_qubits:
        return False
    return not len(opcode) or bool(opcode.max() < len(batch.operations))


def _fit(gathered: Gathered) -> bool:
    """Whether each circuit's columns are as long as its operations ask for."""
    columns, bounds = gathered.columns, gathered.bounds
    flat = (
        (columns.qubit_start, bounds.qubits),
        (columns.param_start, bounds.params),
        (columns.clbit_start, bounds.clbits),
    )
    return all(bool((start[bounds.opcodes] == begin).all()) for start, begin in flat)


def _arities(operations: Sequence[Operation]) -> Ints:
    """Entries that each row of the table takes of the columns; shape (3 columns, rows)."""
    rows = [(o.num_qubits, o.num_params, o.num_clbits) for o in operations]
    return np.array(rows, dtype=np.int64).reshape(-1, 3).T


def _structure_problems(device: Device, arities: Ints, index: int, circuit: Circuit) -> Iterator[Problem]:
    """Check that a circuit's columns fit each other and the device, so that the rest can be read at all."""
    where = circuit_name(index, circuit)
    if circuit.num_qubits > device.num_qubits:
        what = f"has {circuit.num_qubits} qubits; {device.name} has {device.num_qubits}"
        yield Problem(where=where, what=what, circuit=index)
    rows = arities.shape[1]
    if len(circuit) and circuit.opcodes.max() >= rows:
        what = f"has opcode {circuit.opcodes.max()}; the table of operations has {rows} rows"
        yield Problem(where=where, what=what, circuit=index)
        return
    columns = (("qubits", len(circuit.qubits)), ("params", len(circuit.params)), ("clbits", len(circuit.clbits)))
    for (name, length), arity in zip(columns, arities, strict=True):
        expected = int(arity[circuit.opcodes].sum())
        if expected != length:
            what = f"column {name} has {length} entries; its operations take {expected}"
            yield Problem(where=where, what=what, circuit=index)


def _row_problem(device: Device, row: Operation) -> str | None:
    given = (row.num_qubits, row.num_params, row.num_clbits)
    if row.name in CONTROL_ARITY:
        expected = (0, 0, 0)
    elif row.name == "barrier":
        expected = (row.num_qubits, 0, 0)
    elif row.name == "delay":
        expected = (1, 1, 0)
    elif (gate := device.gates.get(row.name)) is not None and not gate.internal:
        expected = (len(gate.operands[0]) if gate.operands else 0, len(gate.angles), _num_outcomes(gate))
    else:
        offered = [name for name, gate in device.gates.items() if not gate.internal]
        known = ", ".join(sorted((*offered, "barrier", "delay")))
        return f"{device.name} has no gate {row.name!r}; it has {known}. Transpile the circuit for this backend"
    if given == expected:
        return None
    return (
        f"{row.name} is given {given[0]} qubits, {given[1]} parameters and {given[2]} classical bits; "
        f"it takes {expected[0]}, {expected[1]} and {expected[2]}"
    )


def _num_outcomes(gate: Gate) -> int:
    return 0 if isinstance(gate, CompositeGate) else sum(isinstance(step, AcquireStep) for step in gate.steps)


def _gate_problem(gates: CalibratedGates, key: GateKey) -> str | None:
    device = gates.device
    if len(set(key.operands)) < len(key.operands):
        return "is given one qubit twice; its operands must differ"
    if key.operands not in device.gates[key.name].operands:
        return f"{_why_absent(device, key)}. Transpile the circuit for this backend"
    problems = gates.problems(key)
    if not problems:
        return None
    reasons = "; ".join(str(problem) for problem in problems)
    return f"cannot be played at revision {gates.snapshot.revision}: {reasons}. {_instead(gates, key)}"


def _why_absent(device: Device, key: GateKey) -> str:
    offered = sorted({tuple(sorted(operands)) for operands in device.gates[key.name].operands})
    names = ", ".join("-".join(device.qubits[i] for i in operands) for operands in offered)
    on = " and ".join(device.qubits[i] for i in key.operands)
    if len(key.operands) == 2 and device.coupler(key.operands) is None:
        return f"{on} are not coupled; {key.name} exists on {names or 'no pair'}"
    return f"{key.name} does not exist on {on}; it exists on {names or 'no qubit'}"


def _instead(gates: CalibratedGates, key: GateKey) -> str:
    """What the snapshot offers instead."""
    device = gates.device
    others = (GateKey(name=key.name, operands=operands) for operands in device.gates[key.name].operands)
    good = [other for other in others if not gates.problems(other)]
    names = ", ".join(dict.fromkeys(device.operand_name(other.operands) for other in good))
    return f"{key.name} is calibrated on {names}" if names else f"{key.name} is calibrated nowhere"


def _limited(problems: list[Problem], unwritten: int) -> tuple[Problem, ...]:
    more = unwritten + len(problems) - MAX_PROBLEMS
    if more <= 0:
        return tuple(problems)
    return (*problems[:MAX_PROBLEMS], Problem(where="job", what=f"has {more} more problems"))
