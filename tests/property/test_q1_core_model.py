"""Random programs on the classical core against the simplest interpreter one could write."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import Core, Halt, prepare
from qubitd.emulator.q1.trace import collect

WORD = 2**32 - 1
OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "asl": lambda a, b: a << b if b < 32 else 0,
    "asr": lambda a, b: a >> b if b < 32 else 0,
}


def interpret(lines: list[str], limit: int = 2000) -> list[tuple[str, int]] | None:
    """Execute a program line by line; gives the waits and phases with their values, None if it takes too long."""
    registers, visible = [0] * 4, [0] * 4
    labels = {line.split(":")[0]: number for number, line in enumerate(lines) if ":" in line}
    done: list[tuple[str, int]] = []
    at = 0
    for _ in range(limit):
        name, _, data = lines[at].split(": ")[-1].partition(" ")
        words = data.split(",")
        values = [
            visible[int(w[1:])] if w.startswith("R") else labels[w[1:]] if w.startswith("@") else int(w or 0)
            for w in words
        ]
        visible = list(registers)  # a write is seen by the instruction after the next one
        at += 1
        match name:
            case "stop":
                return done
            case "wait" | "set_ph":
                done.append((name, values[0] & 0xFFFF if name == "wait" else values[0]))
            case "move":
                registers[int(words[1][1:])] = values[0]
            case "jlt" | "jge":
                at = values[2] if (values[0] < values[1]) == (name == "jlt") else at
            case "loop":
                registers[int(words[0][1:])] = (values[0] - 1) & WORD
                at = values[1] if (values[0] - 1) & WORD else at
            case "nop":
                pass
            case _:
                registers[int(words[2][1:])] = OPERATIONS[name](values[0], values[1]) & WORD
    return None


register = st.integers(0, 3).map(lambda n: f"R{n}")
number = st.one_of(st.integers(0, 40), st.integers(0, WORD)).map(str)
either = st.one_of(register, number)
instruction = st.one_of(
    st.just("nop"),
    st.tuples(either, register).map(lambda p: f"move {p[0]},{p[1]}"),
    st.tuples(st.sampled_from(sorted(OPERATIONS)), register, either, register).map(
        lambda p: f"{p[0]} {p[1]},{p[2]},{p[3]}"
    ),
    st.integers(4, 65_535).map(lambda t: f"wait {t}"),
    register.map(lambda r: f"wait {r}"),
    register.map(lambda r: f"set_ph {r}"),
    st.tuples(st.sampled_from(["jlt", "jge"]), register, number, st.integers(0, 9)).map(
        lambda p: f"{p[0]} {p[1]},{p[2]},@l{p[3]}"
    ),
    st.tuples(register, st.integers(0, 9)).map(lambda p: f"loop {p[0]},@l{p[1]}"),
)


@given(st.lists(instruction, min_size=10, max_size=25))
def test_the_core_does_what_a_plain_interpreter_does(program: list[str]) -> None:
    lines = [f"l{n}: {line}" if n < 10 else line for n, line in enumerate([*program, "stop"])]
    expected = interpret(lines)
    if expected is None:
        return
    core = Core(prepare(assemble("\n".join(lines), memory=16_384)))
    halt = core.advance()
    assert halt is Halt.STOPPED
    trace, _ = collect(core, halt, [])
    found = [
        ("wait" if op == 51 else "set_ph", value)
        for op, value in zip(trace.op.tolist(), trace.operands[:, 0].tolist(), strict=True)
    ]
    assert found == expected
