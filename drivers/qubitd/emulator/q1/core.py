"""The classical core: it runs ahead of real time, follows jumps, and sends real-time instructions into the queue with
their register operands filled in.

It cannot read results, so what it does follows from the program alone. Only instructions that jump, compute or read a
register are interpreted one by one; stretches of real-time instructions with immediates are taken over as ranges. A
register reads its old value in the instruction right after a write: that is the hardware's latency, for which programs
carry a `nop`. A loop that only waits counts as one turn that waits for all of them, but for its first and its last one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

import numpy as np

from qubitd.emulator.errors import UnfollowedProgramError
from qubitd.emulator.q1.alu import ARITHMETIC, NOTHING, Computed, compute, holds
from qubitd.emulator.q1.assembler import Program
from qubitd.emulator.q1.isa import FIRST_REAL_TIME, REGISTERS, WORD, Op

_LONG_TURN = 2048
"""ns of a turn that outlasts the core's work for it many times over: no turn but the first can be late."""
_LONGEST_WAIT = 2**55
"""ns: nobody waits for a year, and what adds up to more may not fit 63 bits."""
_BUDGET = 2**23
"""Interpreted instructions after which a program that neither ends nor comes back to where it was is given up."""


class Halt(Enum):
    """Why the core paused or stopped."""

    REACHED = auto()
    """It is about to execute the instruction it was told to stop at."""
    STOPPED = auto()
    """It executed `stop`."""
    ENDLESS = auto()
    """It came back to where it was, registers and all, so it goes on for ever, or for longer than anybody waits."""
    ILLEGAL = auto()
    """It met `illegal`, or ran past the end of the program."""
    UNSUPPORTED = auto()
    """It met a real-time instruction that this emulator does not execute."""


class Interpreted(NamedTuple):
    """An instruction that ranges do not cover."""

    op: int
    operands: tuple[int, ...]
    registers: int
    """Bit i set: operand i is a register number."""


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """A program prepared for execution."""

    program: Program
    interpreted: tuple[Interpreted | None, ...]
    """Instructions to interpret, by address; None where a range can run on."""
    next_interpreted: tuple[int, ...]
    """First address at or after each one that has to be interpreted; the program's length if there is none."""
    waits: frozenset[int] = frozenset()
    """Addresses of the jumps of loops that only wait, and long in each turn."""


def prepare(program: Program) -> Code:
    """Find what has to be interpreted."""
    plain = (program.op == Op.NOP) | (
        (program.op >= FIRST_REAL_TIME) & (program.registers == 0) & (program.op != Op.UNSUPPORTED)
    )
    interpreted: list[Interpreted | None] = [None] * len(plain)
    for address in np.flatnonzero(~plain).tolist():
        operands = tuple(program.operands[address].tolist())
        interpreted[address] = Interpreted(int(program.op[address]), operands, int(program.registers[address]))
    addresses = np.where(plain, len(plain), np.arange(len(plain)))
    following = np.minimum.accumulate(np.append(addresses, len(plain))[::-1])[::-1]
    may_skip = bool((program.op == Op.SET_COND).any())
    jumps = () if may_skip else np.flatnonzero(program.op == Op.LOOP).tolist()
    waits = frozenset(at for at in jumps if _only_waits(program, at))
    return Code(program, tuple(interpreted), tuple(following.tolist()), waits)


def _only_waits(program: Program, at: int) -> bool:
    """Whether the jump at an address ends a loop of one long wait."""
    if at == 0 or program.registers[at] != 1 or program.operands[at, 1] != at - 1:
        return False
    is_wait = bool(program.op[at - 1] == Op.WAIT and program.registers[at - 1] == 0)
    return is_wait and int(program.operands[at - 1, 0]) >= _LONG_TURN


class Range(NamedTuple):
    """Instructions executed one after the other."""

    start: int
    stop: int
    jumped: bool
    """Whether it was entered by a jump that was taken."""
    turns: int = 1
    """How often, the next one always by a jump; more than once only if it does nothing but wait."""


class Mark(NamedTuple):
    """A moment between two instructions."""

    position: int
    """Instructions executed so far, those of several turns counted once."""
    ranges: int
    """Ranges executed so far; the current one ends here."""
    registers: tuple[int, ...]


@dataclass(slots=True)
class Core:
    """Registers, program counter and the trace so far."""

    code: Code
    told_apart: int = -1
    """Address of a jump whose turns are executed one by one even if they only wait."""
    pc: int = 0
    registers: list[int] = field(default_factory=lambda: [0] * REGISTERS)
    ranges: list[Range] = field(default_factory=list[Range])
    filled: list[tuple[int, tuple[int, ...]]] = field(default_factory=list[tuple[int, tuple[int, ...]]])
    """Position and operands of every real-time instruction that read registers."""
    compared: int = 0
    """Value that the last conditional jump looked at."""
    _start: int = 0
    """Where the current range began."""
    _jumped: bool = False
    _base: int = 0
    """Instructions executed before the current range."""
    _late: tuple[int, int, int] | None = None
    """Position, register and value of a write that is not visible yet."""
    _computed: Computed = NOTHING
    """The last computation, which jumps on flags look at."""
    _spent: int = 0
    _waited: int = 0
    """ns in turns that only wait."""
    _backward: int = 0
    """Jumps backward so far."""
    _remembered: tuple[int, list[int], tuple[int, ...], Computed] = (-1, [], (), NOTHING)
    """State after one of them: the first, the second, the fourth and so on."""

    def advance(self, stop_at: int = -1) -> Halt:
        """Run until the instruction at `stop_at` is next, or to the end; at least one instruction is executed.

        Raises:
            UnfollowedProgramError: it takes more instructions than can be interpreted one by one.
        """
        first = True
        while self._spent < _BUDGET:
            at = self.code.next_interpreted[self.pc] if self.pc < len(self.code.interpreted) else self.pc
            if self.pc <= stop_at <= at and not (first and self.pc == stop_at):
                self.pc = stop_at
                return Halt.REACHED
            first = False
            self.pc = at
            halt = self.step()
            if halt is not None:
                return halt
        raise UnfollowedProgramError(instructions=_BUDGET)

    def step(self) -> Halt | None:
        """Execute the instruction at the program counter."""
        if self.pc >= len(self.code.interpreted):
            return Halt.ILLEGAL
        instruction = self.code.interpreted[self.pc]
        if instruction is None:
            self.pc += 1
            return None
        self._spent += 1
        position = self._base + self.pc - self._start
        if self._late is not None and self._late[0] < position - 1:
            self._settle()
        return self._interpret(instruction, position)

    def mark(self) -> Mark:
        """End the current range here."""
        self._close(self.pc, jumped=False)
        registers = list(self.registers)
        if self._late is not None:
            registers[self._late[1]] = self._late[2]
        return Mark(self._base, len(self.ranges), tuple(registers))

    def add_to_registers(self, steps: tuple[int, ...]) -> None:
        """Add to every register, as many repetitions of a loop would."""
        self._settle()
        self.registers = [(value + step) & WORD for value, step in zip(self.registers, steps, strict=True)]

    def _settle(self) -> None:
        if self._late is not None:
            self.registers[self._late[1]] = self._late[2]
            self._late = None

    def _close(self, pc: int, *, jumped: bool) -> None:
        """End the current range at its present end; the next one begins at `pc`."""
        if self.pc > self._start:
            self.ranges.append(Range(self._start, self.pc, self._jumped))
            self._base += self.pc - self._start
            self._jumped = jumped
        else:
            self._jumped = self._jumped or jumped
        self._start = self.pc = pc

    def _interpret(self, instruction: Interpreted, position: int) -> Halt | None:
        op, operands, mask = instruction
        registers = self.registers
        values = operands if not mask else tuple([registers[v] if mask >> i & 1 else v for i, v in enumerate(operands)])
        self._settle()
        if op >= FIRST_REAL_TIME:
            if op == Op.UNSUPPORTED:
                return Halt.UNSUPPORTED
            self.filled.append((position, values))
            self.pc += 1
            return None
        if op <= Op.ILLEGAL:
            return Halt.STOPPED if op == Op.STOP else Halt.ILLEGAL
        if op in ARITHMETIC:
            self._compute(op, values, operands, position)
            return None
        return self._jump(op, values, operands, position)

    def _compute(self, op: int, values: tuple[int, ...], operands: tuple[int, ...], position: int) -> None:
        self.pc += 1
        if op in (Op.MOVE, Op.NOT):
            result = values[0] if op == Op.MOVE else ~values[0] & WORD
            self._late = (position, operands[1], result)
            return
        left, right = values[0], values[1]
        result = compute(op, left, right)
        self._computed = Computed(op, left, right, result)
        if op not in (Op.CMP, Op.TEST):
            self._late = (position, operands[2], result)

    def _jump(self, op: int, values: tuple[int, ...], operands: tuple[int, ...], position: int) -> Halt | None:
        target = values[0]
        taken = True
        if op == Op.LOOP:
            self.compared = (values[0] - 1) & WORD
            self._late = (position, operands[0], self.compared)
            taken, target = self.compared != 0, values[1]
        elif op in (Op.JGE_IMMEDIATE, Op.JLT_IMMEDIATE):
            self.compared = values[0]
            taken, target = (values[0] >= values[1]) == (op == Op.JGE_IMMEDIATE), values[2]
        elif op != Op.JMP:
            taken = holds(op, self._computed)
        self.pc += 1
        if not taken:
            return None
        is_backward = target < self.pc
        at = self.pc - 1
        self._close(target, jumped=True)
        if at in self.code.waits and at != self.told_apart and self.compared > 1:
            self._wait_through(at, operands[0])
        is_endless = self._waited > _LONGEST_WAIT or (is_backward and self._has_been_here())
        return Halt.ENDLESS if is_endless else None

    def _wait_through(self, at: int, counter: int) -> None:
        """Execute all turns of a loop that waits but the last one, with whose beginning the core goes on."""
        head, turns = self.pc, self.compared - 1
        self.ranges.append(Range(head, at + 1, jumped=True, turns=turns))
        self._waited += turns * int(self.code.program.operands[head, 0])
        self._base += at + 1 - head
        self._jumped = True
        self.compared = 1
        self._late = (self._base - 1, counter, self.compared)

    def _has_been_here(self) -> bool:
        """Whether all that decides what follows is as after an earlier jump: by R. P. Brent, BIT 20 (1980) 176."""
        pc, registers, late, computed = self._remembered
        if self.pc == pc and self.registers == registers and self._computed == computed and self._lateness() == late:
            return True
        self._backward += 1
        if self._backward & (self._backward - 1) == 0:
            self._remembered = (self.pc, list(self.registers), self._lateness(), self._computed)
        return False

    def _lateness(self) -> tuple[int, ...]:
        """The write that is not visible yet, counted from here."""
        return () if self._late is None else (self._base - self._late[0], *self._late[1:])
