"""Status registers and error queue."""

from __future__ import annotations

import pytest

from qubitd.emulator.scpi.status import Status


@pytest.mark.parametrize(("code", "bit"), [(-113, 32), (-222, 16), (-350, 8), (-410, 4), (-310, 8)])
def test_every_error_sets_its_event_bit(code: int, bit: int) -> None:
    status = Status()
    status.clear()
    status.report(code)
    assert status.take_events() == bit


def test_power_on_is_told_once() -> None:
    status = Status()
    assert status.take_events() == 128
    assert status.take_events() == 0


def test_errors_come_out_in_order_and_then_there_is_none() -> None:
    status = Status()
    status.report(-113, "FOO")
    status.report(-222)
    assert status.error_count == 2
    assert [status.next_error() for _ in range(3)] == [
        '-113,"Undefined header; FOO"',
        '-222,"Data out of range"',
        '0,"No error"',
    ]


def test_a_full_queue_loses_its_newest_entry_to_an_overflow() -> None:
    status = Status()
    for _ in range(70):
        status.report(-222)
    answer = status.all_errors()
    assert answer.count("-222") == 63
    assert answer.endswith('-350,"Queue overflow"')
    assert status.error_count == 0


def test_a_detail_cannot_break_the_answer() -> None:
    status = Status()
    status.report(-220, 'say "no"\nplease')
    assert status.next_error() == '-220,"Parameter error; say ""no"" please"'


def test_the_status_byte_summarises_and_clears_nothing() -> None:
    status = Status()
    status.clear()
    assert status.status_byte(message_available=True) == 16
    status.report(-222)
    assert status.status_byte() == 4
    status.event_enable = 16
    assert status.status_byte() == 4 + 32
    status.service_enable = 32
    assert status.status_byte() == status.status_byte() == 4 + 32 + 64


def test_clearing_keeps_the_enables() -> None:
    status = Status()
    status.event_enable, status.service_enable = 60, 36
    status.report(-222)
    status.clear()
    assert (status.take_events(), status.error_count) == (0, 0)
    assert (status.event_enable, status.service_enable) == (60, 36)


def test_an_operation_complete_is_an_event() -> None:
    status = Status()
    status.clear()
    status.complete()
    assert status.take_events() == 1
