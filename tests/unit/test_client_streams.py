"""A stream of a client ends with its last value, and lets the call behind it end by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qubitd.client.addresses import parse_address
from qubitd.client.blocking import SystemClock, Wire
from qubitd.client.course import Course
from qubitd.client.credentials import Credentials
from qubitd.client.link import Link
from qubitd.client.streams import Stream


class Call:
    """Stands for a call that gives three numbers and then nothing for ever."""

    def __init__(self) -> None:
        self.numbers = iter((1, 2, 3))
        self.was_cancelled = False
        self.when_done: list[Callable[[object], None]] = []

    def __iter__(self) -> Call:
        return self

    def __next__(self) -> int:
        number = next(self.numbers, None)
        assert number is not None, "asked for more than there is"
        return number

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        self.when_done.append(callback)

    def cancel(self) -> None:
        self.was_cancelled = True


class Numbers:
    """Stands for where they come from; knows the last one."""

    def __init__(self) -> None:
        self.call = Call()
        self.is_over = False

    def open(self, metadata: object) -> Any:
        return self.call

    def read(self, message: int) -> Sequence[int]:
        self.is_over = message == 3
        return (message,)


def stream_of(numbers: Numbers) -> Stream[int]:
    clock = SystemClock()
    link = Link(parse_address("127.0.0.1:1"), token=None, patience=0.0, now=clock.now)
    return Stream(Wire(link, Credentials(), clock), Course(link, numbers, doing="counting", patience=None))


def test_a_stream_ends_with_its_last_value_and_does_not_hang_up() -> None:
    numbers = Numbers()
    stream = stream_of(numbers)
    assert list(stream) == [1, 2, 3]
    stream.cancel()
    assert not numbers.call.was_cancelled
    assert len(numbers.call.when_done) == 1


def test_a_stream_that_is_cancelled_before_hangs_up() -> None:
    numbers = Numbers()
    stream = stream_of(numbers)
    assert [next(stream), next(stream)] == [1, 2]
    stream.cancel()
    assert numbers.call.was_cancelled
    assert list(stream) == []
