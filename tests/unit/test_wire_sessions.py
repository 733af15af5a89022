"""Sessions, slots, terms and the lab's state travel unchanged, and what is outside its limits is refused by name."""

from __future__ import annotations

import pytest

from qubitd.v1 import backends_pb2, jobs_pb2, lab_pb2, sessions_pb2, slots_pb2
from qubitd.wire import backends, lab, sessions, slots, terms
from qubitd.wire.errors import MalformedMessageError


@pytest.mark.parametrize("mode", sessions.SessionMode)
@pytest.mark.parametrize("at_expiry", sessions.AtExpiry)
def test_what_is_asked_of_a_session_travels(mode: sessions.SessionMode, at_expiry: sessions.AtExpiry) -> None:
    asked = sessions.SessionTerms(
        key="k", backend="fridge", mode=mode, max_seconds=7.0, idle_seconds=0.0, at_expiry=at_expiry
    )
    assert sessions.decode_terms(sessions.encode_terms(asked)) == asked


def test_a_session_that_asks_for_nothing_gets_the_defaults() -> None:
    found = sessions.decode_terms(sessions_pb2.OpenRequest(key="k", backend="fridge"))
    assert found == sessions.SessionTerms(key="k", backend="fridge")


@pytest.mark.parametrize("state", sessions.SessionState)
def test_a_session_travels(state: sessions.SessionState) -> None:
    info = sessions.SessionInfo(
        session_id="s",
        backend="fridge",
        mode=sessions.SessionMode.BATCH,
        state=state,
        max_seconds=7.0,
        idle_seconds=1.5,
        at_expiry=sessions.AtExpiry.CANCEL,
        created_ns=1,
        started_ns=2,
        closed_ns=3,
        elapsed_seconds=4.5,
        qpu_seconds=0.25,
        holds_rack=True,
        owner="me",
    )
    assert sessions.decode_session(sessions.encode_session(info)) == info


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"max_seconds": 0.5}, "max_seconds: is 0.5 s; the limits are 1 s and 604800 s"),
        ({"max_seconds": 604_800.25}, "max_seconds: is 604800.25 s; the limits are 1 s and 604800 s"),
        ({"idle_seconds": -1.0}, "idle_seconds: is -1 s; the limits are 0 s and 86400 s"),
        ({"idle_seconds": float("nan")}, "idle_seconds: is nan, which is not a finite number"),
        ({"mode": 9}, "mode: is 9; give 1"),
        ({"at_expiry": 9}, "at_expiry: is 9; give 1"),
        ({"key": ""}, "key: takes 0 bytes"),
    ],
)
def test_a_session_outside_the_limits_is_refused(fields: dict[str, object], complaint: str) -> None:
    values: dict[str, object] = {"key": "k", "backend": "fridge", **fields}
    with pytest.raises(MalformedMessageError, match=complaint):
        sessions.decode_terms(sessions_pb2.OpenRequest(**values))  # type: ignore[arg-type]  # fields of the message


def test_a_session_of_a_newer_server_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match="this end does not know"):
        sessions.decode_session(sessions_pb2.Session(session_id="s"))


@pytest.mark.parametrize("kind", slots.SlotKind)
def test_a_slot_and_what_is_asked_of_it_travel(kind: slots.SlotKind) -> None:
    asked = slots.Reservation(key="k", backend="fridge", kind=kind, start_ns=5, seconds=60.0, note="cool down")
    assert slots.decode_reservation(slots.encode_reservation(asked)) == asked
    slot = slots.SlotInfo(slot_id="s", backend="fridge", kind=kind, start_ns=1, end_ns=2, note="n", owner="me")
    assert slots.decode_slot(slots.encode_slot(slot)) == slot


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"seconds": 0.9999999}, "seconds: is 0.9999999 s; the limits are 1 s and 604800 s"),
        ({"seconds": 0.0}, "seconds: is 0 s; the limits are 1 s and 604800 s"),
        ({"start_ns": -1}, "start_ns: is -1; give ns since 1970"),
        ({"start_ns": 2**62 + 1}, "start_ns: is 4611686018427387905; give ns since 1970 up to"),
        ({"kind": 0}, "kind: is 0; give 1"),
        ({"note": "x" * 257}, "note: takes 257 bytes"),
    ],
)
def test_a_slot_outside_the_limits_is_refused(fields: dict[str, object], complaint: str) -> None:
    values: dict[str, object] = {"key": "k", "backend": "fridge", "kind": 1, "seconds": 60.0, **fields}
    with pytest.raises(MalformedMessageError, match=complaint):
        slots.decode_reservation(slots_pb2.ReserveRequest(**values))  # type: ignore[arg-type]  # fields of the message


@pytest.mark.parametrize("urgency", terms.Urgency)
@pytest.mark.parametrize("policy", terms.RevisionPolicy)
def test_a_jobs_terms_travel(urgency: terms.Urgency, policy: terms.RevisionPolicy) -> None:
    asked = terms.JobTerms(urgency=urgency, priority=-7, revision_policy=policy, revision=3, rerun_on_interrupt=True)
    assert terms.decode_terms(terms.encode_terms(asked)) == asked
    assert terms.decode_terms(jobs_pb2.JobTerms()) == terms.JobTerms()


def test_equivalent_backends_travel() -> None:
    asked = terms.JobTerms(priority=3, equivalents=("north", "east"))
    assert terms.decode_terms(terms.encode_terms(asked)) == asked


@pytest.mark.parametrize("online", [True, False])
def test_how_a_backend_stands_travels(*, online: bool) -> None:
    standing = backends.BackendStanding(name="south", online=online, reason="asleep", address="10.0.0.1:50051")
    assert backends.decode_standing(backends.encode_standing(standing)) == standing
    with pytest.raises(MalformedMessageError, match="name: takes 0 bytes"):
        backends.decode_standing(backends_pb2.BackendStanding())


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"priority": 101}, "priority: is 101; the limits are -100 and 100"),
        ({"job_class": 9}, "job_class: is 9; give 1"),
        ({"revision_policy": 9}, "revision_policy: is 9; give 1"),
        ({"revision": -1}, "revision: is -1; the first is 1"),
        ({"session_id": "s", "slot_id": "t"}, "session_id: is given together with a slot or a class"),
        ({"slot_id": "t", "job_class": 3}, "slot_id: is given together with a class"),
        ({"session_id": "s" * 129}, "session_id: takes 129 bytes"),
        ({"equivalent_backends": list("abcdefghi")}, "equivalent_backends: is 9; the limits are 0 and 8"),
        ({"equivalent_backends": ["a", "a"]}, "equivalent_backends: is .*give each name once"),
        ({"equivalent_backends": ["a\nb"]}, "equivalent_backends: is .*without line breaks"),
        ({"equivalent_backends": [""]}, "equivalent_backends: takes 0 bytes"),
        ({"equivalent_backends": ["a"], "session_id": "s"}, "equivalent_backends: is given together with a session"),
        ({"equivalent_backends": ["a"], "revision_policy": 2}, "equivalent_backends: is given together with"),
    ],
)
def test_terms_outside_the_limits_are_refused(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(MalformedMessageError, match=complaint):
        terms.decode_terms(jobs_pb2.JobTerms(**fields))  # type: ignore[arg-type]  # fields of the message


@pytest.mark.parametrize("state", lab.LabState)
def test_the_state_of_a_lab_travels(state: lab.LabState) -> None:
    health = lab.LabHealth(
        state=state,
        queued=3,
        running="job",
        operational=True,
        reason="because",
        started_ns=5,
        server_version="1",
        sessions=2,
    )
    assert lab.decode_health(lab.encode_health(health)) == health
    instrument = lab.InstrumentInfo(name="cluster0", kind="cluster", resource="TCPIP", answers=False, fault="gone")
    assert lab.decode_instrument(lab.encode_instrument(instrument)) == instrument


def test_a_lab_in_a_state_that_this_end_does_not_know_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match="state: is 0, which names no state"):
        lab.decode_health(lab_pb2.HealthResponse())
