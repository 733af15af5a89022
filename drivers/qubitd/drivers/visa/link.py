"""A link to one instrument: whole messages out, whole answers in.

After a timeout, a broken connection or an answer of the wrong form the link is closed: no later question gets an old
answer. A link is used by one thread at a time; a second one is refused instead of getting the first one's answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from threading import RLock

from qubitd.drivers.errors import LinkBusyError, LinkClosedError, MalformedAnswerError
from qubitd.drivers.visa.block import MAX_BLOCK, block_count, block_header, header_digits

Bytes = bytes | bytearray | memoryview

PIPELINE = 64
"""Questions sent before the first answer is read: few enough that neither side's buffers fill up."""


class Link(ABC):
    """What every transport can do; a transport adds how bytes go and come."""

    def __init__(self, *, resource: str, timeout: float) -> None:
        self.resource = resource
        self.timeout = timeout
        """Seconds that one message or one answer may take."""
        self._busy = RLock()
        self._fault: str | None = None

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

    def ask_after(self, commands: Sequence[str], question: str) -> str:
        """Send messages that are not answered and a question after them, in one go; give its one-line answer."""
        with self.exchange():
            self._ask_only([*commands, question])
            return self._line()

    def ask_all(self, questions: Sequence[str]) -> list[str]:
        """Ask one-line questions, several of them on their way at once."""
        answers: list[str] = []
        with self.exchange():
            for first in range(0, len(questions), PIPELINE):
                some = questions[first : first + PIPELINE]
                self._ask_only(some)
                answers += [self._line() for _ in some]
        return answers

    def ask_blocks(self, questions: Sequence[str]) -> list[bytes]:
        """Ask questions that are each answered by one block."""
        answers: list[bytes] = []
        with self.exchange():
            for first in range(0, len(questions), PIPELINE):
                some = questions[first : first + PIPELINE]
                self._ask_only(some)
                answers += [self._final_block() for _ in some]
        return answers

    def ask_both(self, lines: Sequence[str], blocks: Sequence[str]) -> tuple[list[str], list[bytes]]:
        """Ask questions that are each answered by a line, then such that are each answered by a block."""
        if len(lines) + len(blocks) > PIPELINE:
            return self.ask_all(lines), self.ask_blocks(blocks)
        with self.exchange():
            self._ask_only([*lines, *blocks])
            return [self._line() for _ in lines], [self._final_block() for _ in blocks]

    def begin(self, *questions: str) -> None:
        """Send at most `PIPELINE` questions, inside one `exchange`: each answer is read by `next_block` and `end`."""
        with self.exchange():
            self._ask_only(questions)

    def next_block(self) -> memoryview:
        """Read one block of an answer that is made of several."""
        with self.exchange():
            return self._block()

    def end(self) -> None:
        """Read the end of an answer that was made of blocks."""
        with self.exchange():
            self._end()

    def _ask_only(self, questions: Sequence[str]) -> None:
        self._refuse_leftovers()
        self._send([("\n".join(questions) + "\n").encode("utf-8")])

    def _final_block(self) -> bytes:
        data = bytes(self._block())
        self._end()
        return data

    def _block(self) -> memoryview:
        try:
            digits = header_digits(bytes(self._receive(2)))
            count = block_count(bytes(self._receive(digits)))
        except ValueError as error:
            raise MalformedAnswerError(resource=self.resource, what=str(error)) from error
        return self._receive(count)

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
    def _receive(self, count: int) -> memoryview:
        """Receive exactly so many bytes."""

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
