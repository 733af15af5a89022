"""Tables are sent once and named by their hash afterwards; what was forgotten is asked for by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from qubitd.v1 import circuits_pb2, jobs_pb2
from qubitd.wire.errors import MalformedMessageError
from qubitd.wire.tables import MAX_KNOWN, MAX_TABLE_BYTES, KnownTables, MissingTablesError, TableStore, restore

BIG = bytes(1_000)


def spec(steps: bytes = BIG, values: bytes | None = None, envelopes: Sequence[bytes] = ()) -> jobs_pb2.JobSpec:
    table = None if values is None else circuits_pb2.Table(content=values)
    batch = circuits_pb2.CircuitBatch(step_table=circuits_pb2.Table(content=steps), value_table=table)
    tables = (circuits_pb2.Table(content=content) for content in envelopes)
    return jobs_pb2.JobSpec(batch=batch, envelopes=(circuits_pb2.Envelope(name="e", samples=t) for t in tables))


def named(*contents: bytes) -> jobs_pb2.JobSpec:
    tables = [circuits_pb2.Table(sha256=hashlib.sha256(content).digest()) for content in contents]
    batch = circuits_pb2.CircuitBatch(step_table=tables[0], value_table=tables[1] if len(tables) > 1 else None)
    return jobs_pb2.JobSpec(batch=batch, envelopes=(circuits_pb2.Envelope(name="e", samples=t) for t in tables[2:]))


def test_a_table_that_came_once_is_filled_in_by_its_hash() -> None:
    store = TableStore()
    store.fill_in(spec(), project="a")
    later = named(BIG)
    store.fill_in(later, project="a")
    assert later == spec()


def test_what_one_project_sent_is_not_known_to_another() -> None:
    store = TableStore()
    store.fill_in(spec(), project="a")
    with pytest.raises(MissingTablesError):
        store.fill_in(named(BIG), project="b")


def test_a_hash_beside_its_content_changes_nothing() -> None:
    sent = spec()
    sent.batch.step_table.sha256 = hashlib.sha256(BIG).digest()
    TableStore().fill_in(sent, project="a")
    assert sent == spec()


def test_all_tables_that_are_missing_are_named() -> None:
    with pytest.raises(MissingTablesError, match=r"tables [0-9a-f]{64}, [0-9a-f]{64} are not here") as caught:
        TableStore().fill_in(named(b"one", b"two"), project="a")
    assert caught.value.hashes == (hashlib.sha256(b"one").digest(), hashlib.sha256(b"two").digest())


def test_the_table_that_was_used_longest_ago_goes_first() -> None:
    store = TableStore(most=2_500)
    first, second, third = (bytes([i]) * 1_000 for i in range(3))
    for content in (first, second, first, third):
        store.fill_in(spec(content), project="a")
    store.fill_in(named(first, third), project="a")
    with pytest.raises(MissingTablesError):
        store.fill_in(named(second), project="a")


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (circuits_pb2.Table(), "sha256: has 0 bytes; a hash has 32"),
        (circuits_pb2.Table(sha256=b"short"), "sha256: has 5 bytes; a hash has 32"),
        (circuits_pb2.Table(sha256=bytes(32), content=b"other"), "is not the SHA-256 of the content beside it"),
        (circuits_pb2.Table(content=bytes(16 * 1024 * 1024 + 1)), "table, bytes: is 16777217"),
    ],
)
def test_a_damaged_table_is_refused(table: circuits_pb2.Table, what: str) -> None:
    with pytest.raises(MalformedMessageError, match=what):
        TableStore().fill_in(jobs_pb2.JobSpec(batch=circuits_pb2.CircuitBatch(value_table=table)), project="a")


def test_a_client_names_what_its_daemon_has_taken() -> None:
    known = KnownTables()
    first = spec(BIG, b"small")
    known.note(known.name(first))
    assert first == spec(BIG, b"small")
    second = spec(BIG, b"small")
    contents = known.name(second)
    assert second.batch.step_table == named(BIG).batch.step_table
    assert second.batch.value_table.content == b"small"
    restore(second, contents)
    assert second == spec(BIG, b"small")


def test_a_client_sends_again_what_it_was_told_is_gone() -> None:
    known = KnownTables()
    contents = known.name(spec())
    known.note(contents)
    known.forget(contents)
    again = spec()
    known.name(again)
    assert again == spec()


def test_a_client_remembers_the_last_tables_only() -> None:
    known = KnownTables()
    known.note(known.name(spec()))
    known.note(i.to_bytes(32, "big") for i in range(MAX_KNOWN))
    again = spec()
    known.name(again)
    assert again == spec()


def test_envelopes_are_tables_too() -> None:
    store, known = TableStore(), KnownTables()
    first = spec(BIG, b"small", [bytes([7]) * 1_000])
    known.note(known.name(first))
    store.fill_in(first, project="a")
    second = spec(BIG, b"small", [bytes([7]) * 1_000])
    known.name(second)
    assert second.envelopes[0].samples == named(bytes([7]) * 1_000).batch.step_table
    store.fill_in(second, project="a")
    assert second == spec(BIG, b"small", [bytes([7]) * 1_000])


def test_a_few_hashes_do_not_become_more_than_one_message_may_stand_for() -> None:
    store, content = TableStore(), bytes(MAX_TABLE_BYTES)
    store.fill_in(spec(content), project="a")
    store.fill_in(named(content, content, content), project="a")
    with pytest.raises(MalformedMessageError, match="all tables, bytes: is 67108864; the limits are 0 and 50331648"):
        store.fill_in(named(content, content, content, content), project="a")
