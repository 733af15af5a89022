"""A store that moves into PostgreSQL and comes back as a copy is the same store, row by row."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.aged_stores import unpack, versions
from tests.postgres_server import PostgresServer
from tests.store_life import NEW

from qubitd.cli.__main__ import main
from qubitd.server.clocks import Clocks
from qubitd.server.errors import StoreError, StoreTooNewError
from qubitd.server.front.uploads import Uploads
from qubitd.server.housekeeping.retention import Caretaker, Retention
from qubitd.server.lock import locked
from qubitd.server.membership import Claim
from qubitd.server.store.members import DATABASE_TIME
from qubitd.server.store.schema import MIGRATIONS
from qubitd.server.store.sqlite_store import DATABASE, SqliteStore

pytest.importorskip("psycopg")
from qubitd.server.store.opening import check_address
from qubitd.server.store.postgres import PostgresConnection
from qubitd.server.store.postgres_store import PostgresStore
from qubitd.server.store.transfer import PASSING, TABLES, back_up_postgres, check_postgres, move_to_postgres


def rows(directory: Path) -> dict[str, list[Any]]:
    """All rows of a SQLite store, and how far it has counted."""
    with closing(sqlite3.connect(directory / DATABASE)) as connection:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in (*TABLES, "blob", "sqlite_sequence")
        }


def lived_in(folder: Path) -> Path:
    """A store with jobs in every state, a session, a slot and revisions, in today's schema."""
    unpack(versions()[-1], folder)
    SqliteStore(folder).close()
    return folder


def test_every_table_is_copied(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        found = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert found == {*TABLES, *PASSING, "blob", "sqlite_sequence"}


def test_a_store_that_moves_into_a_database_and_back_is_the_same(tmp_path: Path, postgres: PostgresServer) -> None:
    before, url = lived_in(tmp_path / "before"), postgres.new_schema()
    move_to_postgres(before, url)
    report = check_postgres(url)
    assert (report.version, report.problems) == (len(MIGRATIONS), ())
    back_up_postgres(url, tmp_path / "after")
    after = rows(tmp_path / "after")
    assert [row[0] for row in after.pop("member")] == ["line5"]
    assert after == {table: content for table, content in rows(before).items() if table != "member"}
    assert report.jobs == len(after["job"]) > 0


def test_numbers_go_on_where_they_were(tmp_path: Path, postgres: PostgresServer) -> None:
    before, url = lived_in(tmp_path / "before"), postgres.new_schema()
    counted = dict(rows(before)["sqlite_sequence"])
    move_to_postgres(before, url)
    with closing(PostgresStore(url)) as store:
        new = store.write(lambda w: w.jobs.accept(NEW)).result()
        assert new.number == counted["job"] + 1
        assert store.jobs.newest_sequence() > counted["event"]


@pytest.mark.parametrize("is_old_copy", [False, True])
async def test_what_moved_into_a_group_is_left_alone_by_the_others_until_its_own_daemon_comes(
    tmp_path: Path, postgres: PostgresServer, is_old_copy: bool
) -> None:
    before, url = lived_in(tmp_path / "before"), postgres.new_schema()
    with closing(sqlite3.connect(before / DATABASE)) as connection, connection:
        read = connection.execute("UPDATE job SET read_ns = 1 WHERE status = 'DONE'").rowcount
        if is_old_copy:
            connection.execute("INSERT INTO member VALUES ('line5', 7, 'me', 'here', 1, '', 'serving', '', x'')")
    move_to_postgres(before, url)
    with closing(PostgresStore(url)) as store:
        store.write(lambda w: w.members.take(Claim(backend="another", daemon="another"))).result()
        assert await tidied_by(store, tmp_path, "another") == 0
        assert store.write(lambda w: w.members.take(Claim(backend="line5", daemon="me"))).result() > 0
        assert await tidied_by(store, tmp_path, "line5") == read > 0


async def tidied_by(store: PostgresStore, folder: Path, backend: str) -> int:
    uploads, keeps = Uploads(folder / "uploads"), Retention(results_days=0)
    return await Caretaker(store=store, uploads=uploads, clocks=Clocks(), retention=keeps, backend=backend).tidy()


def test_a_store_that_a_daemon_works_on_is_neither_migrated_nor_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = lived_in(tmp_path / "before")
    with locked(before):
        for further in ([], ["--to", "postgresql://nobody@localhost:1/nowhere"]):
            assert main(["store", "migrate", "--data-dir", str(before), *further]) == 1
            assert f"is in use by another daemon (process {os.getpid()})" in capsys.readouterr().err


def test_a_store_that_daemons_of_an_earlier_version_share_is_not_changed_under_them(
    postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    from qubitd.server.store.postgres_schema import migrate, steps_of

    url = postgres.new_schema()
    with closing(PostgresConnection(url, read_only=False)) as connection:
        migrate(connection, steps=MIGRATIONS[:-1])
        connection.execute(
            f"INSERT INTO member VALUES ('south', 1, 'id', 'control-2:50051', {DATABASE_TIME}, '', 'serving', '', ?)",
            (b"",),
        )
        assert main(["store", "migrate", "--store", url]) == 1
        told = capsys.readouterr().err
        assert "the daemon of 'south' at control-2:50051" in told
        assert "stop it" in told
        assert steps_of(connection) == len(MIGRATIONS) - 1
        connection.execute("UPDATE member SET daemon = ''")
        assert main(["store", "migrate", "--store", url]) == 0
        connection.execute("UPDATE member SET daemon = 'id'")
        assert main(["store", "migrate", "--store", url]) == 0


def test_a_database_that_holds_a_store_is_not_written_over(tmp_path: Path, postgres: PostgresServer) -> None:
    before, url = lived_in(tmp_path / "before"), postgres.new_schema()
    move_to_postgres(before, url)
    with pytest.raises(StoreError, match="holds a store already"):
        move_to_postgres(before, url)
    assert check_postgres(url).jobs == len(rows(before)["job"])


def test_an_operator_moves_checks_copies_and_verifies(
    tmp_path: Path, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    before, url = lived_in(tmp_path / "before"), postgres.new_schema()

    def told(*words: str, code: int = 0) -> str:
        assert main(words) == code
        return capsys.readouterr().out

    jobs = f"{len(rows(before)['job'])} jobs"
    assert jobs in told("store", "migrate", "--data-dir", str(before), "--to", url)
    assert jobs in told("store", "check", "--store", url)
    assert jobs in told("store", "migrate", "--store", url)
    assert jobs in told("store", "backup", "--store", url, "--to", str(tmp_path / "copy"))
    assert told("audit", "verify", "--store", url).startswith("whole: ")
    assert "submitted job" in told("audit", "show", "--store", url)
    with closing(PostgresConnection(url, read_only=False)) as connection:
        connection.execute("UPDATE blob_piece SET data = '\\x00' WHERE n = 0")
    assert "does not match its name" in told("store", "check", "--store", url, code=1)


@pytest.mark.parametrize("act", [check_postgres, lambda url: back_up_postgres(url, Path("nowhere"))])
def test_a_database_without_a_store_is_named(
    postgres: PostgresServer, act: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=r"postgres at /.*qubitd-pg-"):
        act(postgres.new_schema())


def test_a_store_of_an_earlier_schema_is_brought_up_to_date_with_its_rows(postgres: PostgresServer) -> None:
    from qubitd.server.store.postgres_schema import migrate

    url = postgres.new_schema()
    with closing(PostgresConnection(url, read_only=False)) as connection:
        migrate(connection, steps=MIGRATIONS[:3])
        connection.execute(
            "INSERT INTO revision VALUES ('line5', 1, 0, 'ann', 'first', 1, 'aa')",
        )
        with pytest.raises(StoreTooNewError, match="schema version 3"):
            migrate(connection, steps=MIGRATIONS[:2])
    with closing(PostgresStore(url)) as store:
        assert store.revisions("line5").row(1).author == "ann"
        assert store.jobs.read_before(1, limit=1) == []


def test_a_log_is_looked_for_where_no_store_is_and_the_answer_says_so(
    postgres: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for where in (["--store", postgres.new_schema()], ["--data-dir", str(tmp_path)]):
        assert main(["audit", "verify", *where]) == 1
        assert "there is no store in" in capsys.readouterr().err


def test_accounts_of_a_group_are_listed_without_changing_its_store(
    postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    from qubitd.server.store.postgres_schema import migrate, steps_of

    url = postgres.new_schema()
    with closing(PostgresConnection(url, read_only=False)) as connection:
        assert main(["auth", "list", "--store", url]) == 1
        assert "there is no store in postgres at" in capsys.readouterr().err
        assert steps_of(connection) == 0
        migrate(connection, steps=MIGRATIONS[:-1])
        assert main(["auth", "list", "--store", url]) == 1
        assert f"has schema version {len(MIGRATIONS) - 1}, this program {len(MIGRATIONS)}" in capsys.readouterr().err
        assert steps_of(connection) == len(MIGRATIONS) - 1
        migrate(connection)
    assert main(["auth", "token", "alice", "--project", "chemistry", "--store", url]) == 0
    token = capsys.readouterr().out.strip()
    assert main(["auth", "list", "--store", url]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("alice")
    assert "project chemistry" in listed
    assert token not in listed


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(StoreError, match="'mysql://db' is no address of a store"):
        check_address("mysql://db")


def test_a_password_is_never_told() -> None:
    with pytest.raises(StoreError) as caught:
        PostgresStore("postgresql://qubitd:secret@localhost:1/qubitd")
    assert "qubitd at localhost:1" in str(caught.value)
    assert "secret" not in str(caught.value)
