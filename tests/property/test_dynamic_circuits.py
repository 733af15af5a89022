"""A dynamic circuit does for all outcomes what its control flow says: flattened, and as a program with latches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qubitd.compiler.compile import compile_job
from qubitd.compiler.device_file import load_device
from qubitd.compiler.flatten import Guards, flatten_batch
from qubitd.compiler.outcomes import OutcomeTest
from qubitd.compiler.verify import Verify
from qubitd.core.circuit import Circuit, CircuitBatch, CircuitBuilder, Instruction, instructions, pack
from qubitd.core.control import Condition
from qubitd.core.errors import InvalidCircuitError
from qubitd.core.feedforward import ALWAYS, Dynamics, FeedForward, Latch, Operator
from qubitd.core.job import JobSpec, Scheduling
from qubitd.core.program import Program
from qubitd.core.sweep import Sweep

QUBITS, CLBITS = 3, 3
ANGLE = 1.5
"""Of every rz, radians."""
LINE5 = load_device("line5")
FACTS = FeedForward(latency=388, travel=212, spacing=252, addresses=15, step=4, shift=16)
Step = tuple[int, str]
"""Position in the circuit as it was written, and the gate."""


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Mostly such as the network can tell."""
    bits = sorted(draw(st.sets(st.integers(0, CLBITS - 1), min_size=1, max_size=2)))
    of_two = [0b1110, 0b1000, 0b0110, 0b0001, 0b0010]
    truth = draw(st.sampled_from([0b10, 0b01] if len(bits) == 1 else of_two))
    return Condition(clbits=tuple(bits), truth=truth, text="random")


def write_block(draw: st.DrawFn, builder: CircuitBuilder, depth: int, *, in_loop: bool) -> None:
    for _ in range(draw(st.integers(1, 4))):
        kinds = ["x", "rz", "cz", "measure", "measure", "reset", "barrier"]
        kinds += ["if", "if", "else", "for", "while"] if depth < 3 else []
        kinds += ["break", "continue"] if in_loop else []
        write_step(draw, builder, draw(st.sampled_from(kinds)), depth, in_loop=in_loop)


def write_step(draw: st.DrawFn, builder: CircuitBuilder, kind: str, depth: int, *, in_loop: bool) -> None:
    match kind:
        case "x" | "reset" | "barrier":
            builder.add(kind, draw(st.integers(0, QUBITS - 1)))
        case "rz":
            builder.add("rz", draw(st.integers(0, QUBITS - 1)), params=(ANGLE,))
        case "cz":
            builder.add("cz", 0, 1)
        case "measure":
            builder.measure(draw(st.integers(0, QUBITS - 1)), draw(st.integers(0, CLBITS - 1)))
        case "if" | "else":
            builder.if_(draw(conditions()))
            write_block(draw, builder, depth + 1, in_loop=in_loop)
            if kind == "else":
                builder.else_()
                write_block(draw, builder, depth + 1, in_loop=in_loop)
            builder.end()
        case "for" | "while":
            times = draw(st.integers(0, 3))
            _ = builder.for_(times) if kind == "for" else builder.while_(draw(conditions()), most=times)
            write_block(draw, builder, depth + 1, in_loop=True)
            builder.end()
        case _:
            _ = builder.break_() if kind == "break" else builder.continue_()


@st.composite
def batches(draw: st.DrawFn) -> CircuitBatch:
    builder = CircuitBuilder(name="random", num_qubits=QUBITS, num_clbits=CLBITS)
    for qubit in range(QUBITS):
        builder.add("x", qubit)
    if draw(st.booleans()):
        for bit in range(CLBITS):
            builder.measure(bit, bit)
    write_block(draw, builder, 0, in_loop=False)
    return pack([builder])


class Interpreter:
    """Runs a circuit with brackets, one shot, the outcomes from a stream."""

    def __init__(self, circuit: Circuit, batch: CircuitBatch, outcomes: Iterator[bool], rounds: int) -> None:
        self.conditions = circuit.conditions
        self.program = list(enumerate(instructions(circuit, batch.operations)))
        self.outcomes = outcomes
        self.rounds = rounds
        self.bits = [False] * CLBITS
        self.steps: list[Step] = []
        self.block(0)

    def holds(self, index: int) -> bool:
        condition = self.conditions[index]
        return condition.holds(sum(self.bits[clbit] << j for j, clbit in enumerate(condition.clbits)))

    def closing(self, at: int, *, parts: bool) -> int:
        """Find the `end`, or `else`, that belongs to the bracket at a position."""
        depth = 0
        for i, step in self.program[at + 1 :]:
            if step.name == "end" and depth == 0:
                return i
            if step.name == "else" and depth == 0 and parts:
                return i
            depth += (step.name in ("if", "for", "while")) - (step.name == "end")
        raise AssertionError("not closed")

    def block(self, at: int) -> str:
        """Run a block; give how it was left."""
        while at < len(self.program):
            _, step = self.program[at]
            match step.name:
                case "end" | "else" | "break" | "continue":
                    return step.name
                case "if":
                    middle = self.closing(at, parts=True)
                    branch = at + 1 if self.holds(step.controls[0]) else middle + 1
                    takes = branch == at + 1 or self.program[middle][1].name == "else"
                    left = self.block(branch) if takes else "end"
                    if left in ("break", "continue"):
                        return left
                    at = self.closing(at, parts=False) + 1
                case "for" | "while":
                    self.loop(at, step)
                    at = self.closing(at, parts=False) + 1
                case "reset":
                    at = self.resets(at)
                case _:
                    self.operation(at, step)
                    at += 1
        return "end"

    def loop(self, at: int, step: Instruction) -> None:
        for _ in range(step.controls[-1]):
            if step.name == "while" and not self.holds(step.controls[0]):
                return
            if self.block(at + 1) == "break":
                return

    def operation(self, at: int, step: Instruction) -> None:
        if step.name == "barrier":
            return
        if step.name == "measure":
            self.steps.append((at, "measure"))
            self.bits[step.clbits[0]] = next(self.outcomes)
        else:
            self.steps.append((at, step.name))

    def resets(self, at: int) -> int:
        """Reset qubits that are reset one behind the other, a round of all at a time; give the position behind."""
        qubits: list[int] = []
        for _, step in self.program[at:]:
            if step.name != "reset" or step.qubits[0] in qubits:
                break
            qubits.append(step.qubits[0])
        for _ in range(self.rounds):
            for op in range(at, at + len(qubits)):
                self.steps.append((op, "measure"))
                if next(self.outcomes):
                    self.steps.append((op, "x"))
        return at + len(qubits)


def is_true(test: OutcomeTest, outcomes: list[bool]) -> bool:
    return combine(test.operator, [outcomes[number] for number in test.outcomes])


def combine(operator: Operator, values: list[bool]) -> bool:
    positive = {Operator.OR: any(values), Operator.AND: all(values), Operator.XOR: sum(values) % 2 == 1}
    opposite = {Operator.NOR: Operator.OR, Operator.NAND: Operator.AND, Operator.XNOR: Operator.XOR}
    return not positive[opposite[operator]] if operator in opposite else positive[operator]


def run_flat(batch: CircuitBatch, guards: Guards, stream: Iterator[bool]) -> tuple[list[Step], list[bool]]:
    bits, outcomes = [False] * CLBITS, [False] * len(guards.measurements)
    number_of = {op: number for number, op in enumerate(guards.measurements)}
    steps: list[Step] = []
    for op, step in enumerate(instructions(batch.circuits[0], batch.operations)):
        test = int(guards.test[op])
        if step.name == "barrier" or (test != ALWAYS and not is_true(guards.tests[test], outcomes)):
            continue
        steps.append((int(guards.source[op]), step.name))
        if step.name == "measure":
            outcome = next(stream)
            if op in number_of:
                outcomes[number_of[op]] = outcome
            if step.clbits[0] < CLBITS:
                bits[step.clbits[0]] = outcome
    return steps, bits


@given(batches(), st.integers(1, 2), st.integers(0, 2**32 - 1))
def test_what_happens_and_what_is_read_is_what_the_control_flow_says(
    batch: CircuitBatch, rounds: int, seed: int
) -> None:
    flat = flatten_batch(batch, rounds=rounds)
    assume(not flat.problems and flat.guards)
    assume(set(flat.batch.circuits[0].params.tolist()) <= {ANGLE})  # no gate became turns of its phase piece by piece
    for shot in range(8):
        reference = Interpreter(batch.circuits[0], batch, stream(seed + shot), rounds)
        steps, bits = run_flat(flat.batch, flat.guards[0], stream(seed + shot))
        assert steps == reference.steps
        assert bits == reference.bits


def run_program(program: Program, dynamics: Dynamics, outcome_of: dict[int, bool]) -> dict[str, list[bool]]:
    """Play a shot line by line with counters; give what happened of each line's plays, acquisitions and shifts."""
    happened: dict[str, list[bool]] = {}
    acquired: dict[int, bool] = {}
    rows, plays, shifts = program.acquisitions, program.plays, dynamics.shifts
    order = np.argsort(rows.start + rows.length)
    lines = {line: LineCounters(line, dynamics) for line in range(len(program.lines))}
    events: list[tuple[int, int, int, int]] = []
    events += ((int(s), 1, 0, i) for i, s in enumerate(plays.start))
    events += ((int(s), 1, 1, i) for i, s in enumerate(rows.start))
    events += ((int(s), 1, 2, i) for i, s in enumerate(shifts.start))
    events += ((int(rows.start[i] + rows.length[i]) + FACTS.travel, 0, 3, int(i)) for i in order)
    for time, _, kind, i in sorted(events):
        if kind == 3:
            if acquired.get(i) and outcome_of[int(rows.order[i])]:
                for counters in lines.values():
                    counters.arrive(time, int(rows.qubit[i]))
            continue
        line, condition = (
            (plays.line, dynamics.play_condition),
            (rows.line, dynamics.acquisition_condition),
            (shifts.line, shifts.condition),
        )[kind]
        holds = lines[int(line[i])].holds(time, int(condition[i]))
        happened.setdefault(f"{program.lines[line[i]]} {kind}", []).append(holds)
        if kind == 1:
            acquired[i] = holds
    return happened


class LineCounters:
    """What one line has counted so far."""

    def __init__(self, line: int, dynamics: Dynamics) -> None:
        self.conditions = dynamics.conditions
        mine = dynamics.latches.line == line
        self.latches = list(
            zip(dynamics.latches.start[mine].tolist(), dynamics.latches.action[mine].tolist(), strict=True)
        )
        self.is_open = False
        self.counters: dict[int, int] = {}

    def catch_up(self, time: int) -> None:
        while self.latches and self.latches[0][0] <= time:
            tick, action = self.latches.pop(0)
            assert abs(tick - time) >= FACTS.step or tick < time
            if action == Latch.CLEAR:
                self.counters.clear()
            else:
                self.is_open = action == Latch.OPEN

    def arrive(self, time: int, qubit: int) -> None:
        self.catch_up(time)
        if self.is_open:
            self.counters[qubit] = self.counters.get(qubit, 0) + 1

    def holds(self, time: int, condition: int) -> bool:
        self.catch_up(time)
        if condition == ALWAYS:
            return True
        chosen = self.conditions[condition]
        return combine(chosen.operator, [self.counters.get(qubit, 0) > 0 for qubit in chosen.qubits])


def lines_of_flat(
    batch: CircuitBatch, guards: Guards, stream: Iterator[bool]
) -> tuple[dict[str, list[bool]], dict[int, bool]]:
    """What should happen on each line, row by row, and the outcome of each measurement in order."""
    happened: dict[str, list[bool]] = {}
    outcome_of: dict[int, bool] = {}
    outcomes = [False] * len(guards.measurements)
    number_of = {op: number for number, op in enumerate(guards.measurements)}
    for op, step in enumerate(instructions(batch.circuits[0], batch.operations)):
        test = int(guards.test[op])
        holds = test == ALWAYS or is_true(guards.tests[test], outcomes)
        match step.name:
            case "x" | "sx":
                happened.setdefault(f"q{step.qubits[0]}.drive 0", []).append(holds)
            case "cz":
                happened.setdefault("q0.flux 0", []).append(holds)
            case "measure":
                happened.setdefault(f"q{step.qubits[0]}.readout 0", []).append(holds)
                happened.setdefault(f"q{step.qubits[0]}.readout 1", []).append(holds)
                outcome = holds and next(stream)
                outcome_of[len(outcome_of)] = outcome
                if op in number_of:
                    outcomes[number_of[op]] = outcome
            case _:
                continue
    return happened, outcome_of


@settings(max_examples=60)
@given(batches(), st.sampled_from(Scheduling), st.integers(0, 2**32 - 1))
def test_every_line_of_the_program_does_what_the_flat_circuit_says(
    batch: CircuitBatch, scheduling: Scheduling, seed: int
) -> None:
    flat = flatten_batch(batch, rounds=1)
    assume(flat.guards and not flat.problems)
    spec = JobSpec(batch=batch, sweep=Sweep(), shots=1, scheduling=scheduling, reset_rounds=1)
    try:
        (program,) = compile_job(LINE5.device, LINE5.snapshot(), spec, feedforward=FACTS).programs()
    except InvalidCircuitError as error:
        assume("a line has one counter per qubit" not in str(error))
        raise
    Verify(feedforward=FACTS)(program)
    dynamics = program.dynamics
    assert dynamics is not None
    for shot in range(8):
        should, outcome_of = lines_of_flat(flat.batch, flat.guards[0], stream(seed + shot))
        does = run_program(program, dynamics, outcome_of)
        assert {name: flags for name, flags in does.items() if not name.endswith("2")} == should


def stream(seed: int) -> Iterator[bool]:
    rng = np.random.default_rng(seed)
    while True:
        yield bool(rng.integers(2))
