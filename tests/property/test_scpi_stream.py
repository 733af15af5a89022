"""However a stream of messages is cut into pieces, the same messages come out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qubitd.emulator.scpi.arguments import split_units
from qubitd.emulator.scpi.commands import CommandTable
from qubitd.emulator.scpi.reader import BLOCK_MARK, MessageReader, Overrun, ProgramMessage
from qubitd.emulator.scpi.session import Session
from qubitd.emulator.scpi.status import Status

words = st.text(alphabet="abcXYZ:*?., 019", min_size=1, max_size=12)
quoted = st.sampled_from(['"#15"', "'a;b'", '"x""y"', "';'", '"#"'])
blocks = st.binary(max_size=40)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, ProgramMessage]:
    """A message's bytes, without its end, and what is to be read from them."""
    data, text, held = b"X", "X", []
    for kind in draw(st.lists(st.sampled_from(["word", "quoted", "block"]), max_size=4)):
        if kind == "block":
            content = draw(blocks)
            data += b",#%d%d%b," % (len(str(len(content))), len(content), content)
            text += f",{BLOCK_MARK},"
            held.append(bytearray(content))
        else:
            part = draw(words if kind == "word" else quoted)
            data += part.encode()
            text += part
    return data + b"!", ProgramMessage(text=text + "!", blocks=tuple(held))


@given(
    st.lists(messages(), min_size=1, max_size=4), st.randoms(use_true_random=False), st.sampled_from([b"\n", b"\r\n"])
)
def test_messages_do_not_depend_on_how_the_stream_is_cut(
    sent: list[tuple[bytes, ProgramMessage]], random: object, end: bytes
) -> None:
    stream = b"".join(data + end for data, _ in sent)
    reader = MessageReader()
    found: list[ProgramMessage | Overrun] = []
    at = 0
    while at < len(stream):
        step = random.randint(1, 9)  # type: ignore[attr-defined] # hypothesis' own Random
        reader.feed(stream[at : at + step])
        at += step
        while (message := reader.take()) is not None:
            found.append(message)
    assert found == [message for _, message in sent]


@given(st.binary(max_size=300))
def test_no_stream_of_bytes_breaks_an_instrument(noise: bytes) -> None:
    table = CommandTable()
    table.add("*OPC?", lambda _: "1")
    status = Status()
    session = Session(commands=table, status=status, terminator=b"\n")
    reader = MessageReader(line_limit=100, block_limit=50)
    # A block that was only announced swallows what follows: enough line feeds end it.
    reader.feed(noise + b"\n" * 1000)
    answers = b""
    while (message := reader.take()) is not None:
        answers += session.execute(message)
    assert answers.count(b"\n") == answers.count(b"1")


@given(st.lists(st.one_of(words, quoted), min_size=1, max_size=6))
def test_units_are_cut_only_outside_strings(parts: list[str]) -> None:
    assert split_units(";".join(parts)) == parts
