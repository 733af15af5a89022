"""The upkeep of a store in a data directory, beside its writer: copies, looks for damage, the write-ahead log."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.aged_stores import unpack, versions
from tests.store_life import NEW, one_job

from qubitd.cli.__main__ import main
from qubitd.core.job import JobStatus
from qubitd.server.clocks import Clocks
from qubitd.server.errors import StoreBrokenError, StoreError
from qubitd.server.housekeeping import upkeep
from qubitd.server.housekeeping.upkeep import RETRY, Chore, Timetable, Upkeep, UpkeepRules
from qubitd.server.store.backup import check_store, copy_store, empty_target, linked
from qubitd.server.store.copies import FOLDER, UNFINISHED, Copies, make_copy, named, superfluous
from qubitd.server.store.database import Database
from qubitd.server.store.inspection import inspect_tables
from qubitd.server.store.job_writes import JobWrites
from qubitd.server.store.opening import open_store
from qubitd.server.store.schema import MIGRATIONS
from qubitd.server.store.sqlite_store import BLOBS, DATABASE, SqliteStore
from qubitd.server.store.store import Writes
from qubitd.server.store.upkeep_record import UpkeepRecord, read_record, write_record
from qubitd.server.telemetry.meters import Meters

HOUR, DAY = 3600.0, 86_400.0
PERIODS = UpkeepRules().periods


class Usage(NamedTuple):
    """As of shutil.disk_usage."""

    total: int
    used: int
    free: int


def done(store: SqliteStore, job_id: str, *, in_file: bool = True) -> None:
    """Take a job through its life, with a result in a file of its own."""

    def commit(_job_id: str, _state: JobStatus, *commands: Callable[[JobWrites], object]) -> None:
        for command in commands:
            store.write(partial(_on_jobs, command)).result(timeout=30)

    one_job(job_id, commit, in_file=in_file)


def _on_jobs(command: Callable[[JobWrites], object], writes: Writes) -> object:
    return command(writes.jobs)


def deleted(store: SqliteStore, job_id: str) -> None:
    digests = store.write(lambda w: w.jobs.delete(owner=NEW.owner, job_id=job_id, who="ann", time_ns=5)).result(
        timeout=30
    )
    store.write(lambda w: w.jobs.remove_files(digests)).result(timeout=30)


def copied(directory: Path, copies: Copies, at: int = 1) -> Path:
    """Make a copy as the daemon does."""
    name = copies.next_name(at * 10**9)
    make_copy(directory, copies.begin(name))
    return copies.finish(name)


def small_disk(monkeypatch: pytest.MonkeyPatch, free: int = 1) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 10 - free, free))


def keeper(store: SqliteStore, meters: Meters | None = None) -> Upkeep:
    return Upkeep(store=store, rules=UpkeepRules(), clocks=Clocks(), meters=meters or Meters())


def damaged(directory: Path) -> None:
    """Take an entry out of an index, which no quick look finds."""
    with closing(sqlite3.connect(directory / DATABASE, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'event_by_job'").fetchone()
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'event_by_job'", (f"{sql} WHERE own > 3",))
    with closing(sqlite3.connect(directory / DATABASE, isolation_level=None)) as connection:
        connection.execute("REINDEX event_by_job")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'event_by_job'", (sql,))


def test_each_chore_is_due_after_its_period_and_after_a_restart_when_it_would_have_been() -> None:
    table = Timetable(PERIODS, now=1000.0, ages={Chore.COPY: 5 * HOUR, Chore.CHECK: 30 * DAY})
    assert table.due(1000.0) == [Chore.CHECK]
    table.ended(Chore.CHECK, 1000.0, well=True)
    assert table.wait(1000.0) == upkeep.LOOK
    assert Chore.COPY not in table.due(1000.0 + HOUR - 1)
    assert Chore.COPY in table.due(1000.0 + HOUR)
    table.ended(Chore.COPY, 1000.0 + HOUR, well=True)
    table.ended(Chore.TRUNCATE, 1000.0 + HOUR, well=True)
    assert table.due(1000.0 + HOUR + upkeep.LOOK - 1) == []
    assert set(table.due(1000.0 + 7 * DAY)) == set(Chore)


@pytest.mark.parametrize("age", [-DAY, 365 * DAY])
def test_a_wall_clock_that_stepped_neither_puts_a_chore_off_for_ever_nor_repeats_it(age: float) -> None:
    table = Timetable(PERIODS, now=0.0, ages={Chore.COPY: age, Chore.CHECK: age})
    assert Chore.COPY in table.due(6 * HOUR)
    for chore in table.due(6 * HOUR):
        table.ended(chore, 6 * HOUR, well=True)
    assert Chore.COPY not in table.due(12 * HOUR - 1)


def test_what_failed_is_tried_again_before_long() -> None:
    table = Timetable(PERIODS, now=0.0, ages={})
    table.ended(Chore.COPY, 6 * HOUR, well=False)
    assert Chore.COPY not in table.due(6 * HOUR + RETRY - 1)
    assert Chore.COPY in table.due(6 * HOUR + RETRY)


@pytest.mark.parametrize(
    ("rules", "chores"),
    [
        (UpkeepRules(backup_hours=0), {Chore.CHECK, Chore.TRUNCATE}),
        (UpkeepRules(backups_kept=0), {Chore.CHECK, Chore.TRUNCATE}),
        (UpkeepRules(check_days=0), {Chore.COPY, Chore.TRUNCATE}),
    ],
)
def test_what_is_switched_off_is_never_due(rules: UpkeepRules, chores: set[Chore]) -> None:
    assert set(Timetable(rules.periods, now=0.0, ages={}).due(1e9)) == chores


def test_the_newest_copies_stay_and_the_newest_from_before_a_migration() -> None:
    usual = [named(second * 10**9, second + 1) for second in range(5)]
    before = [named(second * 10**9, second, before_migration_from=8) for second in (1, 3)]
    assert sorted(superfluous([*usual, *before], kept=3)) == sorted([*usual[:2], before[0]])
    assert superfluous(before, kept=1) == before[:1]


def test_the_newest_copies_are_those_made_last_whatever_the_clock_said() -> None:
    unnumbered, *made = "20990101T000000.000000Z", *(named((9 - number) * 10**9, number) for number in (8, 9, 10))
    assert superfluous([unnumbered, *made], kept=2) == [made[0], unnumbered]


def test_a_copy_after_the_clock_was_set_back_stays(sqlite: SqliteStore, tmp_path: Path) -> None:
    done(sqlite, "job-1")
    copies = Copies(tmp_path, kept=2)
    first, second, third = (copied(tmp_path, copies, at) for at in (9_000, 8_000, 7_000))
    assert copies.names() == [second.name, third.name]
    assert (first.exists(), third.exists()) == (False, True)


def test_what_an_operator_puts_among_the_copies_is_neither_counted_nor_removed(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    done(sqlite, "job-1")
    own = [tmp_path / FOLDER / name for name in ("2025-my-own-copy", "zz", f"mine{UNFINISHED}")]
    for folder in own:
        folder.mkdir(parents=True)
    (tmp_path / FOLDER / "README.txt").write_text("ours")
    copies = Copies(tmp_path, kept=1)
    first, second = (copied(tmp_path, copies) for _ in range(2))
    assert (first.exists(), copies.names()) == (False, [second.name])
    assert all(folder.exists() for folder in own)


def test_a_copy_is_a_store_of_one_moment_and_no_writer_waits_for_it(sqlite: SqliteStore, tmp_path: Path) -> None:
    done(sqlite, "before")
    place = tmp_path / "copy"
    empty_target(place)
    looks: list[str] = []

    def meanwhile() -> None:
        if len(looks) < 3:
            looks.append(f"meanwhile {len(looks)}")
            done(sqlite, looks[-1])

    copy_store(tmp_path, place, place=linked, between=meanwhile)
    assert len(looks) == 3
    assert check_store(place).problems == ()
    with closing(SqliteStore(place)) as copy:
        assert copy.jobs.is_known(owner=NEW.owner, key="before")
    assert check_store(place).problems == ()
    assert check_store(tmp_path).jobs == 4


async def test_the_newest_hash_that_is_told_with_a_copy_is_in_it_whatever_is_written_meanwhile(
    sqlite: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done(sqlite, "before")

    async def aside(work: Callable[..., object], *arguments: object) -> None:
        work(*arguments)
        done(sqlite, "meanwhile")

    monkeypatch.setattr(upkeep, "aside", aside)
    with caplog.at_level("INFO"):
        assert await keeper(sqlite).do(Chore.COPY)
    (told,) = (vars(record) for record in caplog.records if record.msg == "copied the store")
    with closing(SqliteStore(Path(told["copy"]))) as copy:
        assert (copy.audit.end().number, copy.audit.end().hash) == (told["audit_line"], told["audit_hash"])
    assert sqlite.audit.end().number > told["audit_line"]


def test_a_copy_keeps_the_results_that_its_store_lets_go_and_takes_no_room_for_them(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    done(sqlite, "job-1")
    place = copied(tmp_path, Copies(tmp_path))
    (file,) = (place / BLOBS).iterdir()
    assert file.samefile(tmp_path / BLOBS / file.name)
    deleted(sqlite, "job-1")
    assert list((tmp_path / BLOBS).iterdir()) == []
    assert check_store(place).problems == ()
    assert file.stat().st_size > 0


def test_a_result_that_is_deleted_while_it_is_copied_does_no_harm(sqlite: SqliteStore, tmp_path: Path) -> None:
    for number in range(3):
        done(sqlite, f"job-{number}")
    place = tmp_path / "copy"
    empty_target(place)
    left = [f"job-{number}" for number in range(3)]

    def meanwhile() -> None:
        if left:
            deleted(sqlite, left.pop())

    copy_store(tmp_path, place, place=linked, between=meanwhile)
    report = check_store(place)
    assert (report.problems, left) == ((), [])
    with closing(sqlite3.connect(place / DATABASE)) as connection:
        rows = {row[0] for row in connection.execute("SELECT digest FROM blob WHERE data IS NULL")}
    assert {path.name for path in (place / BLOBS).iterdir()} == rows


@pytest.mark.parametrize("times", [1, 3])
def test_a_copy_is_begun_again_if_a_file_went_and_is_given_up_if_they_always_do(
    sqlite: SqliteStore, tmp_path: Path, times: int
) -> None:
    done(sqlite, "job-1")
    place = tmp_path / "copy"
    empty_target(place)
    gone = ["gone"] * times

    def placed(source: Path, target: Path) -> None:
        if gone:
            raise FileNotFoundError(gone.pop())
        linked(source, target)

    if times == 1:
        copy_store(tmp_path, place, place=placed)
        assert check_store(place).problems == ()
        return
    with pytest.raises(StoreError, match="are deleted while they are copied"):
        copy_store(tmp_path, place, place=placed)


def test_a_copy_whose_maker_died_is_none_and_goes_with_the_next(sqlite: SqliteStore, tmp_path: Path) -> None:
    done(sqlite, "job-1")
    copies = Copies(tmp_path)
    half = copies.begin(named(1, 1))
    make_copy(tmp_path, half)
    assert copies.names() == []
    whole = copied(tmp_path, copies, at=2)
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [whole.name]
    assert half.name.endswith(UNFINISHED)


def test_only_so_many_copies_stay(sqlite: SqliteStore, tmp_path: Path) -> None:
    done(sqlite, "job-1")
    copies = Copies(tmp_path, kept=2)
    made = [copied(tmp_path, copies, at).name for at in range(1, 5)]
    assert copies.names() == made[-2:]


async def test_a_daemon_copies_and_looks_and_remembers_that_it_did(sqlite: SqliteStore, tmp_path: Path) -> None:
    done(sqlite, "job-1")
    meters = Meters()
    one = keeper(sqlite, meters)
    assert await one.do(Chore.COPY)
    assert await one.do(Chore.CHECK)
    record = read_record(tmp_path)
    assert record is not None
    assert record.copied_ns > 0 < record.looked_ns
    (name,) = Copies(tmp_path).names()
    assert check_store(tmp_path / FOLDER / name).problems == ()
    assert meters.counts() == {("upkeep", "copied"): 1, ("upkeep", "whole"): 1}
    assert (one.trouble, one.gauges()["store_in_trouble"]) == ("", 0.0)


async def test_a_full_disk_is_told_and_the_store_goes_on(
    sqlite: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    meters = Meters()
    one = keeper(sqlite, meters)
    with monkeypatch.context() as patch:
        small_disk(patch)
        assert not await one.do(Chore.COPY)
    assert "1 bytes left" in one.trouble
    assert one.gauges()["store_in_trouble"] == 1.0
    assert meters.counts() == {("upkeep", "copy failed"): 1}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    done(sqlite, "job-1")
    assert await one.do(Chore.COPY)
    assert one.trouble == ""


def test_a_disk_that_fills_up_while_a_copy_is_made_ends_the_copy(
    sqlite: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(sqlite, "job-1")
    copies = Copies(tmp_path)
    place = copies.begin(named(1, 1))
    small_disk(monkeypatch)
    with pytest.raises(StoreError, match="free space"):
        make_copy(tmp_path, place)
    assert copies.names() == []


async def test_damage_that_no_quick_look_finds_is_told_until_it_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        done(store, "job-1")
    damaged(tmp_path)
    meters = Meters()
    with closing(SqliteStore(tmp_path)) as store:
        one = keeper(store, meters)
        assert await one.do(Chore.CHECK)
        assert "event" in one.trouble
        assert meters.counts() == {("upkeep", "damaged"): 1}
        assert "the store is damaged" in [record.message for record in caplog.records]
        another = keeper(store)
        timetable = another._begin()
        assert another.trouble == one.trouble
        assert Chore.CHECK in timetable.due(time.monotonic())  # the files may have been exchanged for a copy's
    assert main(["store", "check", "--data-dir", str(tmp_path)]) == 1
    assert "found damage (event: " in capsys.readouterr().out
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as connection:
        connection.execute("REINDEX event_by_job")
    assert inspect_tables(tmp_path) == []


async def test_a_damaged_store_takes_no_place_among_the_copies(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        done(store, "job-1")
        copies = Copies(tmp_path, kept=1)
        good = copied(tmp_path, copies)
    damaged(tmp_path)
    with closing(SqliteStore(tmp_path)) as store:
        one = keeper(store)
        assert not await one.do(Chore.COPY)
        assert "missing from index event_by_job" in one.trouble
    assert copies.names() == [good.name]
    assert check_store(good).problems == ()


def test_an_operator_reads_when_a_daemon_looked_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SqliteStore(tmp_path).close()
    assert main(["store", "check", "--data-dir", str(tmp_path)]) == 0
    assert "no daemon has looked for damage by itself yet" in capsys.readouterr().out
    write_record(tmp_path, UpkeepRecord().checked(10**18, []))
    assert main(["store", "check", "--data-dir", str(tmp_path)]) == 0
    assert "looked by itself on 2001-09-09 at 01:46 UTC and found no damage" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "{", "[]", '{"problems": 1}', '{"problems": [], "spam": 1}'])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    write_record(tmp_path, UpkeepRecord(problems=("spam",)))
    assert read_record(tmp_path) == UpkeepRecord(problems=("spam",))
    (tmp_path / "upkeep.json").write_text(text)
    assert read_record(tmp_path) is None


async def test_the_write_ahead_log_is_truncated_once_nobody_reads_and_nobody_is_waited_for(
    sqlite: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MOST_WAL_BYTES", 10_000)
    meters = Meters()
    one = keeper(sqlite, meters)
    reader = sqlite3.connect(f"{(tmp_path / DATABASE).as_uri()}?mode=ro", uri=True, isolation_level=None)
    with closing(reader):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM job").fetchall()
        done(sqlite, "job-1")
        assert await one.do(Chore.TRUNCATE)
        assert sqlite.wal_bytes() > 10_000
        done(sqlite, "another")
    assert await one.do(Chore.TRUNCATE)
    assert (sqlite.wal_bytes(), one.gauges()["store_wal_bytes"]) == (0, 0.0)
    assert await one.do(Chore.TRUNCATE)
    assert meters.counts() == {("upkeep", "truncated later"): 1, ("upkeep", "truncated"): 1}
    assert check_store(tmp_path).problems == ()


def test_a_disk_that_fails_between_two_commits_ends_all_writing(tmp_path: Path) -> None:
    told: list[StoreBrokenError] = []

    def failing(_: Database) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with closing(SqliteStore(tmp_path, on_broken=told.append)) as store:
        with pytest.raises(StoreBrokenError):
            store._writer.between(failing).result(timeout=30)
        for refused in (store.write(lambda w: w.jobs.accept(NEW)), store.truncate_wal()):
            with pytest.raises(StoreBrokenError):
                refused.result(timeout=30)
    assert len(told) == 1


def opened(directory: Path, *, kept: int) -> None:
    open_store("", directory, on_broken=lambda _: None, meters=Meters(), copies_kept=kept).close()


@pytest.mark.parametrize("version", versions())
def test_a_store_is_copied_as_it_was_before_its_schema_changes(tmp_path: Path, version: int) -> None:
    unpack(version, tmp_path)
    opened(tmp_path, kept=1)
    names = Copies(tmp_path).names()
    if version == len(MIGRATIONS):
        assert names == []
        return
    (name,) = names
    assert name.endswith(f"-before-migration-from-{version}")
    with closing(sqlite3.connect(tmp_path / FOLDER / name / DATABASE)) as copy:
        assert copy.execute("PRAGMA user_version").fetchone()[0] == version
    opened(tmp_path / FOLDER / name, kept=0)
    assert check_store(tmp_path / FOLDER / name).problems == ()
    opened(tmp_path, kept=1)
    assert Copies(tmp_path).names() == [name]


def test_without_room_for_a_copy_the_schema_changes_all_the_same_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unpack(versions()[0], tmp_path)
    with monkeypatch.context() as patch:
        small_disk(patch)
        opened(tmp_path, kept=1)
    assert [record.levelname for record in caplog.records if "copied" in record.message] == ["ERROR"]
    assert Copies(tmp_path).names() == []
    assert check_store(tmp_path).version == len(MIGRATIONS)


def test_no_copies_are_made_where_none_are_wanted(tmp_path: Path) -> None:
    unpack(versions()[0], tmp_path)
    opened(tmp_path, kept=0)
    assert not (tmp_path / FOLDER).exists()
