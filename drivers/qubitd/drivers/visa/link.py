"""A link to one instrument: whole messages out, whole answers in.

After a timeout, a broken connection or an answer of the wrong form the link is closed: no later question gets an old
answer. A link is used by one thread at a time; a second one is refused instead of getting the first one's answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Generic, TypeVar

from qubitd.drivers.errors import LinkBusyError, LinkClosedError, MalformedAnswerError
from qubitd.drivers.visa.block import MAX_BLOCK, block_count, block_header, header_digits

Bytes = bytes | bytearray | memoryview
T = TypeVar("T")
U = TypeVar("U")

PIPELINE = 64
"""Questions sent before the first answer is read: few enough that neither side's buffers fill up."""

_MOST_KEPT = 1 << 16
"""Bytes of answers that are kept to see whether they come again."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """A question, and what reads its whole answer off the link."""

    question: str
    read: Callable[[], T]


@dataclass(slots=True, eq=False)
class Repeated(Generic[T]):
    """Questions that are asked together again and again. Answers that come byte for byte as last time are not read
    anew: what reads them must look at nothing but their bytes."""

    asked: Sequence[Asked[T]]
    came: bytes = b""
    """The answers as they came last."""
    ends: Sequence[int] = ()
    """Of each of them in these bytes."""
    read: list[T] = field(default_factory=list[T])
    """What they say. It is given again, so nobody may change it."""


class Link(ABC):
    """What every transport can do; a transport adds how bytes go and come."""

    def __init__(self, *, resource: str, timeout: float) -> None:
        self.resource = resource
        self.timeout = timeout
        """Seconds that one message or one answer may take."""
        self._busy = RLock()
        self._fault: str | None = None
        self._received = bytearray()
        """Bytes that came with an earlier piece of the same answers."""
        self._taken: bytearray | None = None
        """Bytes of the answers that were read off, while somebody wants to know them."""

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._fault is None

    def close(self) -> None:
        """Drop the connection, and with it any answer that was not read."""
        self._poison("it was closed")

    @contextmanager
    def exchange(self) -> Generator[None, None, None]:
        """Keep other threads out while messages and answers go to and fro. Anything that goes wrong closes the link.

        Raises:
            LinkClosedError: the link was closed before.
            LinkBusyError: another thread is in an exchange.
        """
        if not self._busy.acquire(blocking=False):
            raise LinkBusyError(
                resource=self.resource, what="another thread is in the middle of an exchange on this link"
            )
        try:
            if self._fault is not None:
                raise LinkClosedError(
                    resource=self.resource, what=f"the link is closed since {self._fault}; connect again"
                )
            yield
        except LinkClosedError as error:
            self._poison(error.what)
            raise
        except BaseException as error:
            self._poison(f"{type(error).__name__}: {error}")
            raise
        finally:
            self._busy.release()

    def write(self, *messages: str) -> None:
        """Send messages, each with its line feed, in one go."""
        with self.exchange():
            self._send([("\n".join(messages) + "\n").encode("utf-8")])

    def write_block(self, message: str, data: Bytes) -> None:
        """Send a message that ends in a block."""
        if len(data) > MAX_BLOCK:
            raise ValueError(f"{message} with {len(data)} bytes; a block holds {MAX_BLOCK}, send it in parts")
        with self.exchange():
            self._send([message.encode("utf-8") + b" " + block_header(len(data)), data, b"\n"])

    def ask(self, question: str) -> str:
        """Send a question and give its one-line answer without the line end."""
        return self.ask_all([question])[0]

    def ask_after(self, commands: Sequence[str], *questions: str) -> list[str]:
        """Send messages that are not answered and questions after them, in one go; give their one-line answers."""
        with self.exchange():
            self._ask_only([*commands, *questions])
            return [self._line() for _ in questions]

    def ask_all(self, questions: Sequence[str]) -> list[str]:
        """Ask one-line questions."""
        return self.ask_each([Asked(question, self._line) for question in questions])

    def ask_blocks(self, questions: Sequence[str]) -> list[bytes]:
        """Ask questions that are each answered by one block."""
        return self.ask_each([Asked(question, self._final_block) for question in questions])

    def line_of(self, question: str) -> Asked[str]:
        """Give a question that is answered by one line, for `ask_each`."""
        return Asked(question, self._line)

    def block_of(self, question: str) -> Asked[bytes]:
        """Give a question that is answered by one block, for `ask_each`."""
        return Asked(question, self._final_block)

    def blocks_of(self, question: str, read: Callable[[], T]) -> Asked[T]:
        """Give a question that is answered by several blocks, which are read by `next_block`, for `ask_each`."""

        def whole() -> T:
            found = read()
            self._end()
            return found

        return Asked(question, whole)

    def ask_each(self, asked: Sequence[Asked[T]]) -> list[T]:
        """Ask questions, several of them on their way at once."""
        answers: list[T] = []
        with self.exchange():
            for first in range(0, len(asked), PIPELINE):
                some = asked[first : first + PIPELINE]
                self._ask_only([one.question for one in some])
                answers += [one.read() for one in some]
        return answers

    def ask_again(
        self, repeated: Repeated[T], *, after: Sequence[str] = (), first: Sequence[Asked[U]] = ()
    ) -> tuple[list[U], list[T]]:
        """Ask questions that are asked again and again, in one go with what comes before them.

        Args:
            repeated: they.
            after: messages that are sent before them and not answered.
            first: questions that are asked before them.
        """
        count = len(first) + len(repeated.asked)
        if count > PIPELINE:
            if after:
                self.write(*after)
            both: list[Asked[Any]] = [*first, *repeated.asked]
            answers = self.ask_each(both)
            return answers[: len(first)], answers[len(first) :]
        with self.exchange():
            self._ask_only([*after, *(one.question for one in first), *(one.question for one in repeated.asked)])
            return [one.read() for one in first], self._read_again(repeated)

    def next_block(self, room: bytearray | None = None) -> memoryview:
        """Read one block of an answer that is made of several, while `ask_each` reads it.

        Args:
            room: for a long block of just its size; memory that is new costs more time than what goes into it.
        """
        return self._block(room)

    def _read_again(self, repeated: Repeated[T]) -> list[T]:
        """Read answers, or see that they are those of last time: as many as they were cannot end before these do."""
        came = repeated.came
        for end in repeated.ends:  # each answer has its own deadline, in however many pieces it comes
            if len(self._received) < end:
                self._await_bytes(end, like=came)
        if came and self._received.startswith(came):
            del self._received[: len(came)]
            return repeated.read
        self._taken = bytearray()
        answers: list[T] = []
        ends: list[int] = []
        for one in repeated.asked:
            answers.append(one.read())
            ends.append(len(self._taken))
        if len(self._taken) <= _MOST_KEPT:
            repeated.came, repeated.ends, repeated.read = bytes(self._taken), ends, answers
        self._taken = None
        return answers

    def _take(self, count: int) -> bytearray:
        """Take so many of the bytes that have come."""
        some = self._received[:count]
        del self._received[:count]
        if self._taken is not None:
            self._taken += some
        return some

    def _ask_only(self, questions: Sequence[str]) -> None:
        self._refuse_leftovers()
        if questions:
            self._send([("\n".join(questions) + "\n").encode("utf-8")])

    def _final_block(self) -> bytes:
        data = bytes(self._block())
        self._end()
        return data

    def _block(self, room: bytearray | None = None) -> memoryview:
        received = self._received
        if len(received) < 2:
            self._await_bytes(2)
        try:
            begin = 2 + header_digits(bytes(received[:2]))
            if len(received) < begin:
                self._await_bytes(begin)
            count = block_count(bytes(received[2:begin]))
        except ValueError as error:
            raise MalformedAnswerError(resource=self.resource, what=str(error)) from error
        self._take(begin)
        return memoryview(self._take(count)) if count <= len(received) else self._receive(count, room)

    def _end(self) -> None:
        line = self._line()
        if line:
            raise MalformedAnswerError(
                resource=self.resource, what=f"{line[:80]!r} follows a block that should end its answer"
            )

    @abstractmethod
    def _send(self, parts: Sequence[Bytes]) -> None:
        """Send bytes, all of them before the deadline."""

    @abstractmethod
    def _line(self) -> str:
        """Receive up to a line feed, which is dropped together with a carriage return before it."""

    @abstractmethod
    def _receive(self, count: int, room: bytearray | None) -> memoryview:
        """Receive exactly so many bytes, into `room` if they are many and it has their size."""

    @abstractmethod
    def _await_bytes(self, count: int, *, like: bytes | None = None) -> None:
        """Receive until so many bytes stand in `_received`, or until what stands there does not begin `like`."""

    @abstractmethod
    def _refuse_leftovers(self) -> None:
        """Raise MalformedAnswerError if bytes that nobody asked for have come, LinkClosedError if the peer is gone."""

    @abstractmethod
    def _hang_up(self) -> None:
        """Close the connection."""

    def _poison(self, fault: str) -> None:
        if self._fault is None:
            self._fault = fault
            self._hang_up()
