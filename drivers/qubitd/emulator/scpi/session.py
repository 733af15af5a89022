"""Executes program messages: units in order, errors into the queue, the answers of one message joined by semicolons."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, NoReturn

from qubitd.emulator.errors import ScpiError
from qubitd.emulator.scpi.arguments import split_arguments, split_units
from qubitd.emulator.scpi.commands import Call, CommandTable, Handler, Path, Piece
from qubitd.emulator.scpi.reader import Overrun, ProgramMessage
from qubitd.emulator.scpi.status import Status

log = logging.getLogger(__name__)

_SHORT = 256
"""Characters of a message without blocks that is not understood anew when it comes again."""
_REMEMBERED = 1024
_COMMAND_ERRORS = range(-199, -99)
"""After one of these, the rest of a message cannot be trusted (IEEE 488.2 section 6.1.6)."""


class _Unit(NamedTuple):
    """A unit of a message as it is understood, which its handler carries out."""

    handler: Handler
    call: Call
    text: str
    """For the log."""


class Session:
    """One way into an instrument: its commands, its status, and how it ends an answer."""

    def __init__(self, *, commands: CommandTable, status: Status, terminator: bytes) -> None:
        self._commands = commands
        self._status = status
        self._terminator = terminator
        self._understood = lru_cache(maxsize=_REMEMBERED)(self._understand)

    def execute(self, message: ProgramMessage | Overrun) -> bytes:
        """Do what a message says; gives the whole answer with its terminator, or nothing if nothing was asked."""
        if isinstance(message, Overrun):
            self._status.report(message.code, message.detail)
            return b""
        is_known = len(message.text) <= _SHORT and not message.blocks
        units = self._understood(message.text) if is_known else self._understand(message.text, message.blocks)
        answer: list[Piece] = []
        for handler, call, text in units:
            try:
                part = handler(call)
            except ScpiError as error:
                log.debug("refused", extra={"unit": text, "code": error.code})
                self._status.report(error.code, error.detail)
                if error.code in _COMMAND_ERRORS:
                    break
                continue
            if part is None:
                continue
            if answer:
                answer.append(b";")
            if isinstance(part, list):
                answer += part
            else:
                answer.append(part.encode("latin-1") if isinstance(part, str) else part)
        if not answer:
            return b""
        # All is joined here at once: an answer may have megabytes that need not be copied twice.
        answer.append(self._terminator)
        return b"".join(answer)

    def _understand(self, text: str, blocks: Sequence[bytearray] = ()) -> tuple[_Unit, ...]:
        """Cut a message into its units, each with its handler; one that cannot be understood refuses itself."""
        units: list[_Unit] = []
        rest = list(blocks)
        path: Path = ()
        for unit in filter(None, map(str.strip, split_units(text))):
            header, *data = unit.split(None, 1)
            handler, call, path = self._resolved(header, data[0] if data else "", rest, path)
            units.append(_Unit(handler, call, unit[:_SHORT]))
        return tuple(units)

    def _resolved(self, header: str, data: str, blocks: list[bytearray], path: Path) -> tuple[Handler, Call, Path]:
        try:
            found = self._commands.resolve(header, path)
            path = found.path
            return found.handler, Call(found.numbers, split_arguments(data, blocks)), path
        except ScpiError as error:
            return _refusal(error), Call((), ()), path


def _refusal(error: ScpiError) -> Handler:
    """Give what stands for a unit that cannot be understood."""
    code, detail = error.code, error.detail

    def refuse(call: Call) -> NoReturn:
        del call
        raise ScpiError(code, detail)

    return refuse


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
