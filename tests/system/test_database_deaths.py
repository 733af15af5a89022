"""A daemon and its PostgreSQL are killed in turn, at random moments, while clients submit; nothing accepted is lost."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest
from tests.postgres_server import PostgresServer
from tests.system.kill_soak import (
    CLIENTS,
    Crowd,
    faults_of_attempts,
    faults_of_jobs,
    live_and_die,
    rack_file,
)

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.rack_process import start_emulator
from qubitd.server.store.sqlite_store import DATABASE

pytest.importorskip("psycopg")
NOTICED = 20.0
"""Seconds within which a daemon ends once its database is gone."""


def lose_the_database(crowd: Crowd, daemon: DaemonProcess, postgres: PostgresServer) -> None:
    """Let a daemon serve for a random time, and kill the server under it; it ends by itself."""
    with daemon:
        crowd.address = daemon.address
        time.sleep(random.uniform(0.02, 0.5))
        postgres.kill()
        assert daemon.wait(NOTICED) == 1
        crowd.address = ""
    postgres.start()


@pytest.mark.timeout(600)
def test_whether_the_daemon_dies_or_its_database_nothing_accepted_is_lost(
    tmp_path: Path, postgres: PostgresServer, *, soak: bool
) -> None:
    from qubitd.server.store.transfer import back_up_postgres, check_postgres

    url, crowd = postgres.new_schema(), Crowd()
    clients = [threading.Thread(target=crowd.submit_for_ever) for _ in range(CLIENTS)]
    with start_emulator(linger=120) as emulator:
        rack = rack_file(tmp_path, emulator.address)

        def serve() -> DaemonProcess:
            return start_daemon(data_dir=tmp_path / "data", rack=rack, options=("--store", url))

        for client in clients:
            client.start()
        try:
            for _ in range(30 if soak else 4):
                live_and_die(crowd, serve())
                lose_the_database(crowd, serve(), postgres)
        finally:
            crowd.over.set()
            for client in clients:
                client.join()
        with serve() as daemon:
            faults = [*crowd.faults, *faults_of_jobs(crowd.accepted, daemon)]
    assert check_postgres(url).problems == ()
    back_up_postgres(url, tmp_path / "copy")
    assert [*faults, *faults_of_attempts(tmp_path / "copy" / DATABASE)] == []
    assert crowd.accepted
