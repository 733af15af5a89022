"""Executes program messages: units in order, errors into the queue, the answers of one message joined by semicolons."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache

from qubitd.emulator.errors import ScpiError
from qubitd.emulator.scpi.arguments import split_arguments, split_units
from qubitd.emulator.scpi.commands import Call, CommandTable, Path, Piece
from qubitd.emulator.scpi.reader import Overrun, ProgramMessage
from qubitd.emulator.scpi.status import Status

log = logging.getLogger(__name__)

_SHORT = 256
"""Characters of a message that is not cut anew when it comes again."""
_COMMAND_ERRORS = range(-199, -99)
"""After one of these, the rest of a message cannot be trusted (IEEE 488.2 section 6.1.6)."""


class Session:
    """One way into an instrument: its commands, its status, and how it ends an answer."""

    def __init__(self, *, commands: CommandTable, status: Status, terminator: bytes) -> None:
        self._commands = commands
        self._status = status
        self._terminator = terminator

    def execute(self, message: ProgramMessage | Overrun) -> bytes:
        """Do what a message says; gives the whole answer with its terminator, or nothing if nothing was asked."""
        if isinstance(message, Overrun):
            self._status.report(message.code, message.detail)
            return b""
        answers: list[list[Piece]] = []
        path: Path = ()
        blocks = list(message.blocks)
        for header, data in _units(message.text):
            try:
                found = self._commands.resolve(header, path)
                path = found.path
                answer = found.handler(Call(found.numbers, split_arguments(data, blocks)))
            except ScpiError as error:
                log.debug("refused", extra={"unit": f"{header} {data[:80]}", "code": error.code})
                self._status.report(error.code, error.detail)
                if error.code in _COMMAND_ERRORS:
                    break
                continue
            if answer is not None:
                answers.append(_pieces(answer))
        # All is joined here at once: an answer may have megabytes that need not be copied twice.
        return b"".join([*_separated(answers), self._terminator]) if answers else b""


def _pieces(answer: str | bytes | list[Piece]) -> list[Piece]:
    if isinstance(answer, list):
        return answer
    return [answer.encode("latin-1") if isinstance(answer, str) else answer]


def _units(text: str) -> tuple[tuple[str, str], ...]:
    """Cut a message into its units, each a header and its data; short ones come again and again."""
    return _short_units(text) if len(text) <= _SHORT else _cut(text)


def _cut(text: str) -> tuple[tuple[str, str], ...]:
    parts = (unit.split(None, 1) for unit in filter(None, map(str.strip, split_units(text))))
    return tuple((part[0], part[1] if len(part) > 1 else "") for part in parts)


_short_units = lru_cache(maxsize=1024)(_cut)


def _separated(answers: list[list[Piece]]) -> list[Piece]:
    """Put a semicolon between answers."""
    return [part for answer in answers for part in (b";", *answer)][1:]


class MessageExchange:
    """The exchange protocol of transports that mark the end of a message (IEEE 488.2 section 6.3): one answer at a
    time.

    A new message before the answer was read loses that answer (-410); a read without an answer is an error (-420).
    """

    def __init__(self, session: Session, status: Status) -> None:
        self._session = session
        self._status = status
        self._answer = b""

    def write(self, message: ProgramMessage | Overrun) -> None:
        """Execute a message and keep its answer."""
        if self._answer:
            self._answer = b""
            self._status.report(-410)
        self._answer = self._session.execute(message)

    def read(self) -> bytes:
        """Hand out the answer; empty if there was none."""
        if not self._answer:
            self._status.report(-420)
        answer, self._answer = self._answer, b""
        return answer


def add_common_commands(
    table: CommandTable, status: Status, *, identity: Callable[[], str], reset: Callable[[], None]
) -> None:
    """Add what every IEEE 488.2 and SCPI instrument understands."""
    table.add("*IDN?", lambda _: identity())
    table.add("*RST", lambda _: reset())
    table.add("*TST?", lambda _: "0")
    table.add("*WAI", lambda _: None)
    table.add("*OPC", lambda _: status.complete())
    table.add("*OPC?", lambda _: "1")
    table.add("*CLS", lambda _: status.clear())
    table.add("*ESR?", lambda _: str(status.take_events()))
    table.add("*STB?", lambda _: str(status.status_byte()))
    table.add("*ESE", lambda call: _set_event_enable(status, call))
    table.add("*ESE?", lambda _: str(status.event_enable))
    table.add("*SRE", lambda call: _set_service_enable(status, call))
    table.add("*SRE?", lambda _: str(status.service_enable))
    table.add("SYSTem:ERRor[:NEXT]?", lambda _: status.next_error())
    table.add("SYSTem:ERRor:COUNt?", lambda _: str(status.error_count))
    table.add("SYSTem:ERRor:ALL?", lambda _: status.all_errors())


def _set_event_enable(status: Status, call: Call) -> None:
    status.event_enable = call.argument(0).integer(0, 255)


def _set_service_enable(status: Status, call: Call) -> None:
    status.service_enable = call.argument(0).integer(0, 255)
