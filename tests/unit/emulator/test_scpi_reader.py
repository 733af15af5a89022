"""Messages out of a byte stream."""

from __future__ import annotations

import pytest

from qubitd.emulator.scpi.reader import BLOCK_MARK, MessageReader, Overrun, ProgramMessage


def read(data: bytes, **limits: int) -> list[ProgramMessage | Overrun]:
    reader = MessageReader(**limits)
    reader.feed(data)
    found: list[ProgramMessage | Overrun] = []
    while (message := reader.take()) is not None:
        found.append(message)
    return found


def texts(data: bytes) -> list[str]:
    return [message.text for message in read(data) if isinstance(message, ProgramMessage)]


def test_each_line_is_a_message_and_empty_lines_are_none() -> None:
    assert texts(b"*IDN?\r\n\n  \nSYST:ERR?\n") == ["*IDN?", "SYST:ERR?"]


def test_a_message_is_not_complete_before_its_line_feed() -> None:
    assert texts(b"*IDN?") == []


def test_a_block_may_hold_anything() -> None:
    content = b'\n;#15"\x00'
    (message,) = read(b"DATA 1,#17" + content + b"\n")
    assert message == ProgramMessage(text=f"DATA 1,{BLOCK_MARK}", blocks=(bytearray(content),))


def test_a_command_may_follow_a_block_without_a_line_feed() -> None:
    assert texts(b"DATA #13abc*OPC?\n") == [f"DATA {BLOCK_MARK}", "*OPC?"]


@pytest.mark.parametrize("after", [b"\n", b"\r\n"])
def test_a_line_feed_after_a_block_ends_its_message(after: bytes) -> None:
    assert texts(b"DATA #13abc" + after + b"*OPC?\n") == [f"DATA {BLOCK_MARK}", "*OPC?"]


def test_a_message_goes_on_after_a_block_and_a_separator() -> None:
    (message,) = read(b"DATA #13abc,#12de;*OPC?\n")
    assert message == ProgramMessage(
        text=f"DATA {BLOCK_MARK},{BLOCK_MARK};*OPC?", blocks=(bytearray(b"abc"), bytearray(b"de"))
    )


def test_an_empty_block_is_a_block() -> None:
    (message,) = read(b"DATA #10\n")
    assert message == ProgramMessage(text=f"DATA {BLOCK_MARK}", blocks=(bytearray(),))


@pytest.mark.parametrize(
    "text", ['NEW "a#15b"', "NEW '#13abc'", "MASK #H1F", "MASK #B101", "DATA #0", "X #1a", "X #2_1"]
)
def test_a_hash_that_starts_no_block_is_text(text: str) -> None:
    assert texts(text.encode() + b"\n*OPC?\n") == [text, "*OPC?"]


def test_a_line_feed_ends_a_message_even_in_a_string_that_was_not_closed() -> None:
    assert texts(b'NEW "a\nDATA #12\n;\n') == ['NEW "a', f"DATA {BLOCK_MARK}"]


def test_a_block_beyond_the_limit_is_skipped_by_its_count() -> None:
    found = read(b"DATA #3100" + b"\n" * 100 + b"\n*OPC?\n", block_limit=99)
    assert found == [Overrun(code=-223, detail="block of 100 bytes; at most 99"), ProgramMessage(text="*OPC?")]


def test_a_command_that_follows_a_skipped_block_is_understood() -> None:
    found = read(b"DATA #3100" + b"x" * 100 + b"*OPC?\n", block_limit=99)
    assert found == [Overrun(code=-223, detail="block of 100 bytes; at most 99"), ProgramMessage(text="*OPC?")]


def test_a_block_at_the_limit_is_taken() -> None:
    (message,) = read(b"DATA #299" + b"x" * 99 + b"\n", block_limit=99)
    assert isinstance(message, ProgramMessage)


def test_a_line_beyond_the_limit_is_dropped_to_its_end() -> None:
    found = read(b"x" * 50 + b"y" * 70_000 + b"\n*OPC?\n", line_limit=100)
    assert found == [Overrun(code=-363, detail="message longer than 100 characters"), ProgramMessage(text="*OPC?")]


def test_a_block_is_received_into_its_own_memory() -> None:
    reader = MessageReader()
    reader.feed(b"DATA #6100000")
    place = reader.get_buffer()
    assert len(place) == 100_000
    place[:] = b"z" * 100_000
    reader.buffer_updated(100_000)
    reader.feed(b"\n")
    message = reader.take()
    assert isinstance(message, ProgramMessage)
    assert message.blocks[0] is place.obj
