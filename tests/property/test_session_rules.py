"""A session's two clocks and its counts, whatever happens in whatever order."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qubitd.server.errors import SessionClosedError
from qubitd.server.sessions import rules
from qubitd.server.sessions.rules import LEASE, UNUSED, Outcome, Session
from qubitd.wire.sessions import AtExpiry, SessionMode, SessionState


def session(**fields: object) -> Session:
    values: dict[str, object] = {
        "session_id": "s",
        "mode": SessionMode.DEDICATED,
        "max_seconds": 100.0,
        "idle_seconds": 10.0,
        "at_expiry": AtExpiry.REQUEUE,
        **fields,
    }
    return Session(**values)  # type: ignore[arg-type]  # fields of the value


def begun(now: float = 0.0, **fields: object) -> Session:
    return rules.job_started(rules.submitted(session(**fields), now), now)


def test_a_session_waits_for_its_first_job_before_its_time_runs() -> None:
    fresh = rules.submitted(session(), 5.0)
    assert fresh.state is SessionState.PENDING
    assert (fresh.expires(), fresh.elapsed(50.0), fresh.holds_until(5.0)) == (math.inf, 0.0, -math.inf)
    started = rules.job_started(fresh, 20.0)
    assert started.state is SessionState.ACTIVE
    assert (started.expires(), started.elapsed(50.0)) == (120.0, 30.0)


def test_it_keeps_the_rack_while_jobs_wait_or_run_and_a_while_longer() -> None:
    running = begun()
    assert running.holds_until(50.0) == 100.0
    idle = rules.job_ended(running, 30.0, had_started=True, qpu_seconds=2.0)
    assert idle.holds_until(30.0) == 40.0
    assert idle.qpu_seconds == 2.0
    assert rules.next_look(idle, 30.0) == 40.0
    assert rules.next_look(idle, 40.0) == 100.0
    assert rules.submitted(idle, 35.0).holds_until(35.0) == 100.0


def test_what_gave_the_rack_back_gets_it_again_by_the_start_of_a_job_alone() -> None:
    idle = rules.job_ended(begun(), 30.0, had_started=True, qpu_seconds=0.0)
    woken = rules.submitted(rules.renewed(idle, 50.0), 60.0)
    assert woken.holds_until(60.0) == -math.inf
    assert rules.look(idle, 50.0)[0] == rules.look(rules.look(idle, 50.0)[0], 55.0)[0]
    assert rules.job_started(woken, 70.0).holds_until(70.0) == 100.0


def test_a_client_that_comes_back_after_it_lost_the_rack_does_not_take_it_from_the_next() -> None:
    patient = rules.job_ended(begun(idle_seconds=1000.0, max_seconds=1e5), 500.0, had_started=True, qpu_seconds=0.0)
    assert rules.renewed(patient, 500.0 + LEASE).holds_until(500.0 + LEASE) == -math.inf


def test_a_client_that_is_silent_loses_the_rack_earlier() -> None:
    patient = rules.job_ended(begun(idle_seconds=1000.0, max_seconds=1e5), 500.0, had_started=True, qpu_seconds=0.0)
    assert patient.holds_until(500.0) == 500.0 + LEASE
    assert rules.renewed(patient, 500.0).holds_until(500.0) == 1500.0


def test_a_batch_never_keeps_the_rack() -> None:
    assert begun(mode=SessionMode.BATCH).holds_until(1.0) == -math.inf


@pytest.mark.parametrize(
    ("at_expiry", "outcome"), [(AtExpiry.REQUEUE, Outcome.REQUEUE), (AtExpiry.CANCEL, Outcome.CANCEL)]
)
def test_when_its_time_is_over_the_waiting_jobs_go_as_was_asked(at_expiry: AtExpiry, outcome: Outcome) -> None:
    busy = rules.submitted(begun(at_expiry=at_expiry), 50.0)
    assert rules.look(busy, 99.0) == (busy, Outcome.KEEP)
    late, found = rules.look(busy, 100.0)
    assert found is outcome
    assert late.state is SessionState.CLOSING
    assert rules.look(late, 101.0) == (late, found)
    gone = rules.left(late)
    assert rules.look(gone, 101.0) == (gone, Outcome.KEEP)
    over = rules.job_ended(gone, 102.0, had_started=True, qpu_seconds=1.0)
    assert over.state is SessionState.CLOSED
    assert over.holds_until(102.0) == -math.inf


def test_a_closed_session_takes_no_job_but_runs_those_that_wait() -> None:
    closing = rules.closed(rules.submitted(session(), 0.0))
    assert closing.state is SessionState.CLOSING
    with pytest.raises(SessionClosedError, match="is closed and takes no more jobs; open another one"):
        rules.submitted(closing, 1.0)
    started = rules.job_started(closing, 2.0)
    assert rules.job_put_back(started).waiting == 1
    assert rules.job_ended(started, 3.0, had_started=True, qpu_seconds=0.0).is_over


def test_time_that_an_earlier_process_used_counts_and_the_time_between_does_not() -> None:
    resumed = rules.resumed(session(used_before=70.0, holding=True), 5.0, has_begun=True)
    assert resumed.has_begun
    assert (resumed.elapsed(15.0), resumed.expires(), resumed.holds_until(5.0)) == (80.0, 35.0, 15.0)
    started = rules.job_started(rules.submitted(resumed, 6.0), 6.0)
    assert started.expires() == 35.0


def test_a_session_that_had_not_begun_waits_on_for_its_first_job_after_a_restart() -> None:
    assert rules.resumed(session(), 5.0, has_begun=False).state is SessionState.PENDING


def test_a_session_that_never_had_a_job_run_ends_when_its_client_is_silent_for_long() -> None:
    unused = rules.renewed(session(), 10.0)
    assert rules.look(unused, 9.0 + UNUSED)[0] == unused
    assert rules.look(rules.renewed(unused, 9.0 + UNUSED), 10.0 + UNUSED)[0].accepting
    assert rules.next_look(unused, 10.0) == 10.0 + UNUSED
    assert rules.look(unused, 10.0 + UNUSED)[0].is_over
    assert not rules.look(rules.submitted(unused, 10.0), 1e9)[0].is_over


STEPS = st.lists(
    st.tuples(st.sampled_from(["submit", "start", "end", "drop", "close", "look", "renew"]), st.floats(0, 30))
)


@example([("submit", 0.0), ("start", 0.0), ("submit", 100.0)], SessionMode.DEDICATED, AtExpiry.REQUEUE)
@given(STEPS, st.sampled_from(SessionMode), st.sampled_from(AtExpiry))
def test_counts_and_clocks_hold_in_any_order(
    steps: list[tuple[str, float]], mode: SessionMode, at_expiry: AtExpiry
) -> None:
    now, it = 0.0, session(mode=mode, at_expiry=at_expiry)
    for step, wait in steps:
        now += wait
        was_over = it.is_over
        match step:
            case "submit" if it.accepting:
                it = rules.submitted(it, now)
            case "start" if it.waiting and not it.running:
                it = rules.job_started(it, now)
            case "end" if it.running:
                it = rules.job_ended(it, now, had_started=True, qpu_seconds=1.0)
            case "drop" if it.waiting:
                it = rules.job_ended(it, now, had_started=False, qpu_seconds=0.0)
            case "close":
                it = rules.closed(it)
            case "renew":
                it = rules.renewed(it, now)
            case _:
                it, _ = rules.look(it, now)
        assert it.waiting >= 0 <= it.running <= 1
        assert it.is_over or not was_over
        assert it.holds_until(now) <= it.expires()
        assert rules.next_look(it, now) >= now
        assert rules.next_look(rules.look(it, now)[0], now) > now
