"""What the classical core does with registers, jumps and its latency."""

from __future__ import annotations

import pytest

from qubitd.emulator.errors import UnfollowedProgramError
from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import Core, Halt, prepare
from qubitd.emulator.q1.isa import WORD, Op
from qubitd.emulator.q1.trace import Trace, collect


def execute(text: str) -> tuple[Core, Halt]:
    core = Core(prepare(assemble(text, memory=16_384)))
    return core, core.advance()


def registers(text: str) -> list[int]:
    core, halt = execute(text + "\nnop\nnop\nstop")
    assert halt is Halt.STOPPED
    return list(core.mark().registers)


def trace(text: str) -> Trace:
    core, halt = execute(text)
    return collect(core, halt, [])[0]


@pytest.mark.parametrize(
    ("instruction", "result"),
    [
        ("add R0,1,R2", 8),
        ("add R0,R1,R2", 2),
        ("sub R0,8,R2", WORD),
        ("and R0,5,R2", 5),
        ("or R0,8,R2", 15),
        ("xor R0,1,R2", 6),
        ("not R0,R2", WORD - 7),
        ("not 0,R2", WORD),
        ("asl R0,31,R2", 1 << 31),
        ("asl R0,32,R2", 0),
        ("asr R1,28,R2", 15),
        ("lsr R1,40,R2", 0),
        ("mulu32l R0,R0,R2", 49),
        ("move R1,R2", WORD - 4),
    ],
)
def test_arithmetic_is_unsigned_and_wraps_at_32_bits(instruction: str, result: int) -> None:
    assert registers(f"move 7,R0\nmove {WORD - 4},R1\nnop\n{instruction}")[2] == result


def test_a_register_reads_its_old_value_right_after_a_write() -> None:
    assert registers("move 5,R0\nnop\nmove 9,R0\nmove R0,R1\nmove R0,R2")[:3] == [9, 5, 9]


def test_a_real_time_instruction_reads_the_old_value_too() -> None:
    found = trace("move 50,R0\nnop\nmove 90,R0\nwait R0\nwait R0\nstop")
    assert found.operands[:, 0].tolist() == [50, 90]


def test_a_loop_counts_down_and_leaves_at_zero() -> None:
    found = trace("move 3,R0\na: wait 10\nnop\nloop R0,@a\nwait 20\nstop")
    assert found.operands[:, 0].tolist() == [10, 10, 10, 20]


def test_compare_and_jump_are_unsigned() -> None:
    found = trace(f"move {WORD},R0\nnop\njlt R0,1,@bad\njge R0,{WORD},@good\nbad: wait 4\ngood: wait 8\nstop")
    assert found.operands[:, 0].tolist() == [8]


@pytest.mark.parametrize(
    ("left", "right", "taken"),
    [
        (5, 5, {"jz", "jge", "jle", "jae", "jbe", "jns", "jno"}),
        (7, 5, {"jnz", "jg", "jge", "ja", "jae", "jns", "jno"}),
        (5, 7, {"jnz", "jl", "jle", "jb", "jbe", "js", "jno"}),
        # -1 against 1: less as a signed number, above as an unsigned one.
        (WORD, 1, {"jnz", "jl", "jle", "ja", "jae", "js", "jno"}),
        # The smallest signed number minus 1 overflows.
        (1 << 31, 1, {"jnz", "jl", "jle", "ja", "jae", "jns", "jo"}),
    ],
)
def test_jumps_on_flags_follow_a_comparison(left: int, right: int, taken: set[str]) -> None:
    names = ["jz", "jnz", "jg", "jge", "jl", "jle", "ja", "jae", "jb", "jbe", "js", "jns", "jo", "jno"]
    found = {
        name
        for name in names
        if len(trace(f"move {left},R0\nnop\ncmp R0,{right}\n{name} @over\nwait 4\nover: stop")) == 0
    }
    assert found == taken


def test_addition_sets_carry_and_overflow() -> None:
    assert len(trace(f"move {WORD},R0\nnop\nadd R0,1,R0\njb @over\nwait 4\nover: stop")) == 0
    assert len(trace("move 0x7fffffff,R0\nnop\nadd R0,1,R0\njo @over\nwait 4\nover: stop")) == 0
    assert len(trace("move 6,R0\nnop\ntest R0,9\njz @over\nwait 4\nover: stop")) == 0


def test_a_jump_may_take_its_target_from_a_register() -> None:
    assert trace("move @b,R0\nnop\njmp R0\nwait 4\nb: wait 8\nstop").operands[:, 0].tolist() == [8]


def test_register_operands_are_cut_to_their_fields() -> None:
    text = "move 4294967295,R0\nmove 65540,R1\nnop\nset_awg_gain R0,R0\nset_freq R0\nwait R1\n"
    found = trace(text + "set_mrk R0\nacquire 0,R0,4\nstop")
    assert found.operands[:, 0].tolist() == [-1, -1, 4, 15, 0]
    assert found.operands[-1, 1] == 0xFFFFFF


@pytest.mark.parametrize(
    ("text", "halt"),
    [
        ("stop", Halt.STOPPED),
        ("wait 4", Halt.ILLEGAL),
        ("illegal", Halt.ILLEGAL),
        ("jmp 100", Halt.ILLEGAL),
        ("", Halt.ILLEGAL),
        ("set_scope_en 1\nstop", Halt.UNSUPPORTED),
        ("a: nop\njmp @a", Halt.ENDLESS),
    ],
)
def test_the_core_says_why_it_stopped(text: str, halt: Halt) -> None:
    assert execute(text)[1] is halt


def test_a_state_that_comes_back_after_some_turns_is_a_program_without_end() -> None:
    cycle = "add R0,1,R0\nnop\njlt R0,7,@a\nmove 0,R0\nnop\njge R1,3,@out"
    assert execute(f"a: {cycle}\njmp @a\nout: stop")[1] is Halt.ENDLESS
    counted = f"a: {cycle}\nadd R1,1,R1\njmp @a\nout: stop"
    assert execute(counted)[1] is Halt.STOPPED


def test_many_turns_that_differ_in_a_counter_alone_come_to_an_end() -> None:
    core, halt = execute("move 100000,R0\na: loop R0,@a\nwait 8\nstop")
    assert halt is Halt.STOPPED
    assert core.registers[0] == 0


def test_a_program_that_is_too_long_to_follow_is_given_up_and_not_called_endless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qubitd.emulator.q1.core._BUDGET", 1000)
    with pytest.raises(UnfollowedProgramError, match="gave a program up after 1000 instructions"):
        execute("move 2000,R0\na: loop R0,@a\nstop")


def test_cycles_count_instructions_arithmetic_and_taken_jumps() -> None:
    found = trace("wait 4\nnop\nadd R0,1,R0\nmove 1,R1\njmp @a\nnop\na: wait 4\nstop")
    assert found.op.tolist() == [Op.WAIT, Op.WAIT]
    assert int(found.cycles[1] - found.cycles[0]) == 1 + 3 + 1 + 1 + 3 + 1
