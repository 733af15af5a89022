"""Stores as daemons of earlier schemas left them when they were killed, with jobs in every state; small archives.

A file of the schema of today is written by `python -m tests.aged_stores`, before a step is added to the schema.
"""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import sys
import tarfile
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tests.followed import flip, until

from qubitd.cli.daemon_process import start_daemon
from qubitd.client import QubitdClient
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.snapshot import Parameter
from qubitd.core.sweep import Sweep
from qubitd.server.store.sqlite_store import BLOBS, DATABASE
from qubitd.wire.sessions import SessionTerms
from qubitd.wire.slots import Reservation, SlotKind

ARCHIVES = Path(__file__).parent / "golden" / "stores"
TABLES, STORY = "store.sql", "jobs.json"
FAR_AWAY_NS = 4_000_000_000 * 10**9
"""Start of a slot that is still to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgedStore:
    """What is known of an unpacked store."""

    jobs: dict[str, str]
    """Id by how the job stood: done, error, cancelled, running, waiting."""
    bits: list[bytes]
    """Result of the job that was done."""
    session_id: str
    """Empty before there were sessions."""


def versions() -> list[int]:
    """Give the schemas of which there is a store."""
    return sorted(int(path.name.removeprefix("schema-").removesuffix(".tar.gz")) for path in ARCHIVES.iterdir())


def tables_of(version: int) -> str:
    """Give the statements that make the tables and fill them."""
    with tarfile.open(ARCHIVES / f"schema-{version}.tar.gz") as archive:
        return _read(archive, TABLES).decode()


def unpack(version: int, folder: Path) -> AgedStore:
    """Make the store of a schema in a folder, as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(ARCHIVES / f"schema-{version}.tar.gz") as archive:
        for name in archive.getnames():
            if f"/{BLOBS}/" in name and archive.getmember(name).isfile():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(_read(archive, name.removeprefix("./")))
        story = json.loads(_read(archive, STORY))
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.executescript(tables_of(version))
    return AgedStore(jobs=story["jobs"], bits=[bytes.fromhex(b) for b in story["bits"]], session_id=story["session"])


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"./{name}")
    assert file is not None
    return file.read()


def _lived(client: QubitdClient) -> dict[str, object]:
    """Leave jobs in every state, with content in files too."""

    def watched(key: str, spec: JobSpec, status: JobStatus) -> str:
        job_id = client.submit(spec, "line5", key)
        until(client, job_id, status)
        return job_id

    faulty = CircuitBuilder(name="faulty", num_qubits=5, num_clbits=1).add("cz", 0, 4).measure(0, 0)
    jobs = {
        "done": watched("done", replace(flip(), client_data=b"names and registers" * 4000), JobStatus.DONE),
        "error": watched("error", JobSpec(batch=pack([faulty]), sweep=Sweep(), shots=10), JobStatus.ERROR),
    }
    t1 = Parameter(name="q0.t1", value=21e-6, unit="s")
    client.commit("line5", base_revision=1, parameters=[t1], message="remeasured")
    client.slots.reserve(
        Reservation(key="slot", backend="line5", kind=SlotKind.MAINTENANCE, seconds=60.0, start_ns=FAR_AWAY_NS)
    )
    session = client.sessions.open(SessionTerms(key="session", backend="line5"))
    bits = [result.bits.tobytes().hex() for result in client.results(jobs["done"]) if result.bits is not None]
    jobs["running"] = watched("running", flip(100_000), JobStatus.RUNNING)
    jobs["cancelled"] = client.submit(flip(), "line5", "cancelled")
    client.cancel(jobs["cancelled"])
    jobs["waiting"] = client.submit(flip(7), "line5", "waiting")
    return {"jobs": jobs, "bits": bits, "session": session.session_id}


def main() -> int:
    """Write the archive of the schema of today."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with start_daemon(data_dir=data) as daemon, QubitdClient(daemon.address) as client:
            story = _lived(client)
            daemon.kill()
        with closing(sqlite3.connect(data / DATABASE)) as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = "\n".join(connection.iterdump()) + f"\nPRAGMA user_version = {version};\n"
        contents = {TABLES: tables.encode(), STORY: json.dumps(story, indent=1).encode()}
        contents |= {f"{BLOBS}/{path.name}": path.read_bytes() for path in (data / BLOBS).iterdir()}
    path = ARCHIVES / f"schema-{version}.tar.gz"
    with gzip.GzipFile(path, "wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in sorted(contents.items()):
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
