"""Cuts the byte stream of a connection into program messages, whatever pieces it arrives in.

Block data are scanned by their count and never by a terminator; the rest of a message ends at its line feed. A
block's bytes go from the socket straight into their own array: `get_buffer` hands out the place where the next
bytes belong.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

BLOCK_MARK = "\x00"
"""Stands in a message's text where a block was."""
_SCRATCH = 65_536
_SHORT = 4096
"""Bytes of messages that are not cut anew when they come again together."""
_AFTER_BLOCK = b" \t\r\n,;"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramMessage:
    """One complete message."""

    text: str
    """Without its line feed; each block is replaced by `BLOCK_MARK`."""
    blocks: tuple[bytearray, ...] = ()
    """The blocks' bytes, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrun:
    """A message that was thrown away because it was too long."""

    code: int
    detail: str


class MessageReader:
    """Incremental: bytes go in through `feed`, or through `get_buffer` and `buffer_updated`; `take` gives what is
    complete."""

    def __init__(self, *, line_limit: int = 1 << 20, block_limit: int = 1 << 28) -> None:
        self._line_limit = line_limit
        self._block_limit = block_limit
        self._scratch = bytearray(_SCRATCH)
        self._ready: deque[ProgramMessage | Overrun] = deque()
        self._pending = bytearray()
        """Received, not yet understood: at most a block's header, or the start of a line."""
        self._scanned = 0
        """How much of `_pending` has been searched already."""
        self._quote = b""
        self._text = bytearray()
        self._blocks: list[bytearray] = []
        self._block: bytearray | None = None
        self._filled = 0
        self._discard = 0
        self._overrun: Overrun | None = None
        self._after_block = False

    def get_buffer(self) -> memoryview:
        """Give the place for the next bytes; never empty."""
        if self._block is not None:
            return memoryview(self._block)[self._filled :]
        return memoryview(self._scratch)

    def buffer_updated(self, count: int) -> None:
        """Take note of `count` bytes that were written into the last `get_buffer`."""
        if self._block is not None:
            self._filled += count
            self._finish_block_if_full()
        else:
            self._accept(memoryview(self._scratch)[:count])

    def feed(self, data: bytes) -> None:
        """Take bytes from anywhere."""
        rest = memoryview(data)
        while rest:
            place = self.get_buffer()
            count = min(len(place), len(rest))
            place[:count] = rest[:count]
            rest = rest[count:]
            self.buffer_updated(count)

    def take(self) -> ProgramMessage | Overrun | None:
        """Give the next complete message, or None."""
        return self._ready.popleft() if self._ready else None

    def _accept(self, data: memoryview) -> None:
        skipped = min(self._discard, len(data))
        self._discard -= skipped
        self._pending += data[skipped:]
        if self._is_at_a_line() and b"#" not in self._pending:  # a line feed ends a message even within quotes
            end = self._pending.rfind(b"\n") + 1
            self._ready.extend(_messages(bytes(self._pending[:end])))
            del self._pending[:end]
            self._scanned = 0
        while self._scan():
            pass

    def _is_at_a_line(self) -> bool:
        """Whether what is not understood yet begins a message, of which nothing else is known."""
        return not (self._text or self._blocks or self._quote or self._after_block or self._overrun is not None)

    def _scan(self) -> bool:
        """Make one step; False when more bytes are needed."""
        if self._after_block and self._pending:
            self._after_block = False
            if self._pending[0] not in _AFTER_BLOCK:  # some clients send no line feed after a block
                self._end_message()
                return True
        found = (_IN_QUOTE[self._quote] if self._quote else _SPECIAL).search(self._pending, self._scanned)
        if found is None:
            self._scanned = len(self._pending)
            return self._check_length()
        match found.group():
            case b"\n":
                self._move_text(found.start())
                del self._pending[:1]
                self._end_message()
            case b"#":
                return self._start_block(found.start())
            case quote:
                self._quote = b"" if self._quote else bytes(quote)
                self._scanned = found.end()
        return True

    def _start_block(self, at: int) -> bool:
        """Understand a `#<digits><count>` header at `at`; anything else that begins with # is plain text."""
        header = bytes(self._pending[at + 1 : at + 11])
        if not header:
            self._scanned = at
            return False
        digits = header[0] - 0x30
        if not 1 <= digits <= 9:
            self._scanned = at + 1
            return True
        count_text = header[1 : 1 + digits]
        if count_text and not count_text.isdigit():
            self._scanned = at + 1
            return True
        if len(count_text) < digits:
            self._scanned = at
            return False
        self._move_text(at)
        del self._pending[: 2 + digits]
        self._open_block(int(count_text))
        return True

    def _open_block(self, size: int) -> None:
        self._text += BLOCK_MARK.encode()
        head = min(size, len(self._pending))
        if size > self._block_limit:
            self._overrun = Overrun(code=-223, detail=f"block of {size} bytes; at most {self._block_limit}")
            self._discard = size - head
            self._after_block = True
            del self._pending[:head]
            return
        self._block = bytearray(size)
        self._block[:head] = self._pending[:head]
        del self._pending[:head]
        self._filled = head
        self._finish_block_if_full()

    def _finish_block_if_full(self) -> None:
        if self._block is None or self._filled < len(self._block):
            return
        self._blocks.append(self._block)
        self._block = None
        self._after_block = True

    def _move_text(self, count: int) -> None:
        self._text += self._pending[:count]
        del self._pending[:count]
        self._scanned = 0

    def _check_length(self) -> bool:
        if len(self._text) + len(self._pending) > self._line_limit:
            self._overrun = Overrun(code=-363, detail=f"message longer than {self._line_limit} characters")
            self._text.clear()
            self._pending.clear()
            self._scanned = 0
        return False

    def _end_message(self) -> None:
        if self._overrun is not None:
            self._ready.append(self._overrun)
        elif self._text.strip():
            text = self._text.decode("latin-1").strip()
            self._ready.append(ProgramMessage(text=text, blocks=tuple(self._blocks)))
        self._text.clear()
        self._blocks.clear()
        self._scanned = 0
        self._quote = b""
        self._overrun = None


def _messages(lines: bytes) -> tuple[ProgramMessage, ...]:
    """Give messages without blocks; short batches of them come again and again."""
    return _short_batch(lines) if len(lines) <= _SHORT else _cut(lines)


def _cut(lines: bytes) -> tuple[ProgramMessage, ...]:
    return tuple(ProgramMessage(text=text) for line in lines.split(b"\n") if (text := line.decode("latin-1").strip()))


_short_batch = lru_cache(maxsize=256)(_cut)
_SPECIAL = re.compile(rb"[\n\"'#]")
_IN_QUOTE = {b'"': re.compile(rb'[\n"]'), b"'": re.compile(rb"[\n']")}
