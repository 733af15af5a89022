"""Q1ASM text to programs, and the assembler's messages; the expected ones were given by the maker's assembler."""

from __future__ import annotations

import pytest

from qubitd.emulator.errors import AssemblyError
from qubitd.emulator.q1 import assembler
from qubitd.emulator.q1.assembler import Program, assemble
from qubitd.emulator.q1.isa import Op


def program(text: str) -> Program:
    return assemble(text, memory=16_384)


def message(text: str) -> str:
    with pytest.raises(AssemblyError) as refused:
        program(text)
    return refused.value.log


def test_instructions_become_columns() -> None:
    made = program("move 5,R3\nplay R1, R2 ,100 # two registers\nacquire 1,R7,20\nstop")
    assert made.op.tolist() == [Op.MOVE, Op.PLAY, Op.ACQUIRE, Op.STOP]
    assert made.operands[:, :3].tolist() == [[5, 3, 0], [1, 2, 100], [1, 7, 20], [0, 0, 0]]
    assert made.registers.tolist() == [0b10, 0b011, 0b010, 0]


def test_labels_are_addresses_of_instructions_and_not_of_lines() -> None:
    made = program(
        "# comment\n\nstart:\n\n  nop\nhere: wait 0x10\n; comment\njmp @start\nloop R0,@here\njmp @end\nend:"
    )
    assert made.operands[:, :2].tolist() == [[0, 0], [16, 0], [0, 0], [0, 1], [5, 0]]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (
            "play 0,1,3",
            "1:9: Syntax error: Instruction play argument 3 (seq_cnt_imm) value: 3 out of range (4,65535): ",
        ),
        (
            "nop\nwait 65536",
            "2:5: Syntax error: Instruction wait argument 1 (seq_cnt_imm) value: 65536 out of range (4,65535): ",
        ),
        (
            "x: play 2000,0,4",
            "1:8: Syntax error: Instruction play argument 1 (seq_wave_idx0_imm) value: 2000 out of range (0,1023): ",
        ),
        ("move 1,R64", "1:7: Syntax error: Instruction move argument 2 (alu_dst_reg) value: 64 out of range (0,63): "),
        (
            "move -1,R0",
            "1:5: Syntax error: Instruction move argument 1 (alu_src_imm) value: -1 out of range (0,4294967295): ",
        ),
        (
            "acquire 32,0,4",
            "1:8: Syntax error: Instruction acquire argument 1 (seq_acq_idx_imm) value: 32 out of range (0,31): ",
        ),
        (
            "set_awg_gain 32768,0",
            "1:13: Syntax error: Instruction set_awg_gain argument 1 (seq_gain0_imm)"
            " value: 32768 out of range (-32768,32767): ",
        ),
        ("bogus 1", "1:0: Syntax error: instruction 'bogus' not found: "),
        ("WAIT 4", "1:0: Syntax error: instruction 'WAIT' not found: "),
        (
            "upd_param R0",
            '1:10: Syntax error: Instruction "upd_param" does not support argument signature "R#"'
            '\nSupported signatures: "#": ',
        ),
        (
            "play R0,1,100",
            '1:5: Syntax error: Instruction "play" does not support argument signature "R#,#,#"'
            '\nSupported signatures: "R#,R#,#" "#,#,#": ',
        ),
        (
            "wait",
            '1:4: Syntax error: Instruction "wait" does not support argument signature ""'
            '\nSupported signatures: "R#" "#": ',
        ),
        (
            "add 1,R0,R1",
            '1:4: Syntax error: Instruction "add" does not support argument signature "#,R#,R#"'
            '\nSupported signatures: "R#,R#,R#" "R#,#,R#": ',
        ),
    ],
)
def test_faults_are_told_in_the_instruments_words(text: str, first: str) -> None:
    assert message(text).startswith(f"assembler failed with 1 errors:\nsequence.q1asm:{first}")


@pytest.mark.parametrize(
    "text",
    ["nop nop", "1a: nop", "wait 1.5", "wait r0", "jmp a", "wait +4", "wait 4,", "wait 1_0", "wait R 0", "wait 0b1"],
)
def test_what_is_no_instruction_is_refused(text: str) -> None:
    assert "Syntax error" in message(text)


def test_a_fault_is_marked_under_its_line() -> None:
    assert "\n  wait 3\n-------^\n" in message("  wait 3")


def test_every_fault_is_told() -> None:
    log = message("wait 3\nnop\nplay 5000,0,4\nmove R1")
    assert log.startswith("assembler failed with 3 errors:")
    assert [line[:16] for line in log.splitlines() if line.startswith("sequence")] == [
        "sequence.q1asm:1",
        "sequence.q1asm:3",
        "sequence.q1asm:4",
    ]


def test_a_label_must_exist_once() -> None:
    assert "Unresolved address label: nowhere. : " in message("jmp @nowhere")
    assert "sequence.q1asm:2:0: Duplicate address label: x. : " in message("x: nop\nx: nop")


def test_program_memory_has_a_limit() -> None:
    assert len(assemble("nop\n" * 12_288, memory=12_288).op) == 12_288
    with pytest.raises(AssemblyError, match=r"Program too long \(12289\). Maximum 12288 instructions"):
        assemble("nop\n" * 12_289, memory=12_288)


@pytest.mark.parametrize(
    "text",
    [
        "cmp R0,5\njz @a\na: nop",
        "jge R0,4,@a\na: jge @a",
        "lsr R1,3,R2",
        "set_cond 1,1,0,100",
        "latch_rst 4",
        "wait_trigger 1,4",
    ],
)
def test_the_second_instruction_set_and_conditions_assemble(text: str) -> None:
    assert len(program(text).op)


MIXED = """
start: nop
move 4294967295,R63
  set_ph 159155
set_awg_gain -32768,32767 # both ends
set_awg_gain R1,R2
here: wait 0x10
wait 00020
; comment 12
acquire_weighed 0,1,2,3,100
play 0 , 1,4
jmp @start
loop R0,@here
set_freq -2000000000
"""


def test_a_long_program_is_read_like_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = MIXED + MIXED.replace("start", "again").replace("here", "there")
    by_line = program(text)
    monkeypatch.setattr(assembler, "_LONG", 0)
    together = program(text)
    assert len(by_line.op) == 24
    for name in ("op", "operands", "registers"):
        assert getattr(together, name).tolist() == getattr(by_line, name).tolist()
        assert getattr(together, name).dtype == getattr(by_line, name).dtype


@pytest.mark.parametrize(
    "line",
    [
        "play 0,1,3",
        "wait 65536",
        "move 1,R64",
        "set_awg_gain 32768,0",
        "set_awg_gain 0,-32769",
        "wait -20",
        "move 1",
        "play \x01,1,20",
        "wait 99999999999999999999",
        "wait 2 0",
        "play 0,1,20,",
        "wait \u0661\u0662",
        "wait --4",
    ],
)
def test_a_long_program_is_refused_like_a_short_one(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"wait 20\n{line}\nwait 65535"
    words = message(text)
    monkeypatch.setattr(assembler, "_LONG", 0)
    assert message(text) == words
