"""What a project may have waiting, and how fast it may send."""

from __future__ import annotations

import pytest

from qubitd.server.errors import QuotaExceededError
from qubitd.server.front.quotas import QuotaBook, Quotas


def test_jobs_count_until_they_end() -> None:
    quotas = QuotaBook(Quotas(jobs=2))
    quotas.take("a", "1", 10, at=0)
    quotas.take("a", "2", 10, at=0)
    with pytest.raises(QuotaExceededError, match="project a has 2 jobs that have not ended; the limit is 2"):
        quotas.take("a", "3", 10, at=0)
    quotas.take("b", "4", 10, at=0)
    quotas.give_back("a", "1")
    quotas.take("a", "3", 10, at=0)


def test_their_bytes_count_too_and_those_of_before_a_restart() -> None:
    quotas = QuotaBook(Quotas(bytes=100))
    quotas.keep("a", "old", 60)
    quotas.take("a", "1", 40, at=0)
    with pytest.raises(QuotaExceededError, match="jobs of 100 bytes that have not ended, and this one has 1;"):
        quotas.take("a", "2", 1, at=0)
    quotas.give_back("a", "old")
    quotas.take("a", "2", 60, at=0)


def test_who_sends_too_fast_is_told_when_to_come_again() -> None:
    quotas = QuotaBook(Quotas(submits_per_minute=6))
    for number in range(6):
        quotas.take("a", str(number), 1, at=100.0)
    with pytest.raises(QuotaExceededError, match="sends more than 6 jobs a minute") as refused:
        quotas.take("a", "x", 1, at=104.0)
    assert refused.value.retry_after == pytest.approx(6.0)
    quotas.take("a", "x", 1, at=110.0)


def test_whoever_is_local_has_no_limits() -> None:
    quotas = QuotaBook(Quotas(jobs=1, bytes=1, submits_per_minute=1))
    for number in range(5):
        quotas.take("local", str(number), 10, at=0)
