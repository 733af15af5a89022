"""The status an instrument keeps: event status register, enables, error queue (IEEE 488.2 chapter 11, SCPI-99 chapter
21).

Every queued error sets its bit in the event status register, so a zero there means that nothing went wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import IntFlag
from types import MappingProxyType

QUEUE_OVERFLOW = -350
_DEPTH = 64

ERROR_TEXTS: Mapping[int, str] = MappingProxyType(
    {
        0: "No error",
        -100: "Command error",
        -101: "Invalid character",
        -102: "Syntax error",
        -103: "Invalid separator",
        -104: "Data type error",
        -108: "Parameter not allowed",
        -109: "Missing parameter",
        -113: "Undefined header",
        -114: "Header suffix out of range",
        -120: "Numeric data error",
        -131: "Invalid suffix",
        -140: "Character data error",
        -151: "Invalid string data",
        -160: "Block data error",
        -161: "Invalid block data",
        -200: "Execution error",
        -211: "Trigger ignored",
        -213: "Init ignored",
        -220: "Parameter error",
        -221: "Settings conflict",
        -222: "Data out of range",
        -223: "Too much data",
        -224: "Illegal parameter value",
        -225: "Out of memory",
        -230: "Data corrupt or stale",
        -240: "Hardware error",
        -241: "Hardware missing",
        -285: "Program syntax error",
        -310: "System error",
        QUEUE_OVERFLOW: "Queue overflow",
        -363: "Input buffer overrun",
        -410: "Query INTERRUPTED",
        -420: "Query UNTERMINATED",
    }
)


class EventStatus(IntFlag):
    """Bits of the standard event status register."""

    OPERATION_COMPLETE = 1
    QUERY_ERROR = 4
    DEVICE_ERROR = 8
    EXECUTION_ERROR = 16
    COMMAND_ERROR = 32
    POWER_ON = 128


class StatusByte(IntFlag):
    """Bits of the status byte."""

    ERROR_QUEUE = 4
    MESSAGE_AVAILABLE = 16
    EVENT_SUMMARY = 32
    MASTER_SUMMARY = 64


class Status:
    """One instrument's registers and error queue. It starts with the power-on bit set."""

    def __init__(self) -> None:
        self.event_enable = 0
        self.service_enable = 0
        self._events = EventStatus.POWER_ON
        self._errors: deque[str] = deque()

    def report(self, code: int, detail: str = "") -> None:
        """Queue an error and set its event bit; a full queue loses its newest entry to -350."""
        self._events |= _event_of(code)
        if len(self._errors) < _DEPTH:
            self._errors.append(_entry(code, detail))
            return
        self._events |= _event_of(QUEUE_OVERFLOW)
        self._errors[-1] = _entry(QUEUE_OVERFLOW, "")

    def complete(self) -> None:
        """Note that all pending operations are complete."""
        self._events |= EventStatus.OPERATION_COMPLETE

    @property
    def error_count(self) -> int:
        """How many errors wait."""
        return len(self._errors)

    def next_error(self) -> str:
        """Take the oldest error off the queue, or say that there is none."""
        return self._errors.popleft() if self._errors else _entry(0, "")

    def all_errors(self) -> str:
        """Take every error off the queue."""
        answer = ",".join(self._errors) or _entry(0, "")
        self._errors.clear()
        return answer

    def take_events(self) -> int:
        """Read the event status register, which clears it."""
        events, self._events = self._events, EventStatus(0)
        return int(events)

    def status_byte(self, *, message_available: bool = False) -> int:
        """Summarise; clears nothing."""
        byte = StatusByte(0)
        if self._errors:
            byte |= StatusByte.ERROR_QUEUE
        if message_available:
            byte |= StatusByte.MESSAGE_AVAILABLE
        if self._events & self.event_enable:
            byte |= StatusByte.EVENT_SUMMARY
        if byte & self.service_enable & ~StatusByte.MASTER_SUMMARY:
            byte |= StatusByte.MASTER_SUMMARY
        return int(byte)

    def clear(self) -> None:
        """Do `*CLS`: events and errors go, enables stay."""
        self._events = EventStatus(0)
        self._errors.clear()


def _entry(code: int, detail: str) -> str:
    text = ERROR_TEXTS[code]
    # A quote inside a string is doubled (IEEE 488.2 section 8.7.8); lines would end the answer.
    note = "; " + " ".join(detail.replace('"', '""').split()) if detail else ""
    return f'{code},"{text}{note}"'


def _event_of(code: int) -> EventStatus:
    match -code // 100:
        case 1:
            return EventStatus.COMMAND_ERROR
        case 2:
            return EventStatus.EXECUTION_ERROR
        case 4:
            return EventStatus.QUERY_ERROR
        case _:
            return EventStatus.DEVICE_ERROR
