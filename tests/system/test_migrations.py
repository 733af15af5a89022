"""A daemon dies, or the power goes, while it brings an earlier store up to date: the store has taken whole steps only,
and the next start takes the rest. About 10 s.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from tests.aged_stores import tables_of, unpack, versions
from tests.memory_disk import memory_folder
from tests.system.powercut import Connection, Disk, recorded

from qubitd.server.store.backup import check_store
from qubitd.server.store.schema import MIGRATIONS, migrate
from qubitd.server.store.sqlite_store import DATABASE, SqliteStore

ROOT = Path(__file__).parents[2]
OLDER = [version for version in versions() if version < len(MIGRATIONS)]
CUTS, MANY_CUTS = 60, 1000
"""For each schema."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """From the oldest schema every step is taken, from the newest but one the last; a soak begins with each."""
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", OLDER if metafunc.config.getoption("--soak") else [OLDER[0], OLDER[-1]])


def shape(path: Path) -> tuple[int, list[Any]]:
    """Give the version of a store and its tables, indices and triggers."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        tables = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        return connection.execute("PRAGMA user_version").fetchone()[0], tables


@pytest.fixture
def folder() -> Iterator[Path]:
    with memory_folder() as made:
        yield made


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Any]]:
    """What a store looks like after each step."""
    folder = tmp_path_factory.mktemp("shapes")
    for version in range(1, len(MIGRATIONS) + 1):
        with closing(sqlite3.connect(folder / str(version), isolation_level=None)) as connection:
            migrate(connection, path=folder, steps=MIGRATIONS[:version])
    return {version: shape(folder / str(version))[1] for version in range(1, len(MIGRATIONS) + 1)}


def assert_goes_on(data: Path, jobs: set[str], shapes: dict[int, list[Any]]) -> int:
    """Look at a store that was left in the middle, and open it. Gives how far it had come."""
    reached, tables = shape(data / DATABASE)
    assert tables == shapes[reached]
    with closing(SqliteStore(data)) as store:
        assert {store.jobs.owner_of(job_id) for job_id in jobs} == {"local"}
    assert shape(data / DATABASE) == (len(MIGRATIONS), shapes[len(MIGRATIONS)])
    return reached


def test_a_death_before_any_statement_of_a_migration_leaves_a_store_that_goes_on(
    folder: Path, shapes: dict[int, list[Any]], version: int
) -> None:
    jobs = set(unpack(version, folder / "whole").jobs.values())
    command = [sys.executable, "-m", "tests.system.migration_deaths", str(folder / "whole"), str(folder / "deaths")]
    subprocess.run(command, check=True, cwd=ROOT)
    deaths = sorted((folder / "deaths").iterdir(), key=lambda data: int(data.name))
    reached = [assert_goes_on(data, jobs, shapes) for data in deaths]
    assert reached == sorted(reached)
    assert set(reached) == set(range(version, len(MIGRATIONS) + 1))
    assert len(deaths) > 3 * (len(MIGRATIONS) - version)
    assert check_store(deaths[-1]).problems == ()


@pytest.mark.timeout(600)
def test_no_power_cut_while_a_store_is_brought_up_to_date_loses_a_job(
    folder: Path, shapes: dict[int, list[Any]], version: int, soak: bool
) -> None:
    jobs = set(unpack(version, folder / "whole").jobs.values())
    disk, source = Disk(), folder / "source"
    source.mkdir()
    with recorded(disk):
        connection = cast(sqlite3.Connection, Connection(source / DATABASE, synchronous="FULL"))
        connection.executescript(tables_of(version))
        begun = len(disk.log)
        migrate(connection, path=source / DATABASE)
        connection.close()
    chance = random.Random(version)
    reached: set[int] = set()
    for number in range(MANY_CUTS if soak else CUTS):
        data = folder / str(number)
        shutil.copytree(folder / "whole", data, ignore=shutil.ignore_patterns(f"{DATABASE}*"))
        for path, content in disk.left_after(chance.randrange(begun, len(disk.log) + 1), chance).items():
            (data / Path(path).relative_to(source)).write_bytes(content)
        reached.add(assert_goes_on(data, jobs, shapes))
    assert {version, len(MIGRATIONS)} <= reached
