"""The tables, as numbered steps that only go forward. A step that was released is never edited; a change is a new
step.

`PRAGMA user_version` is the number of steps a store has been through; a store that went through more than are known
here is left alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from qubitd.server.errors import StoreTooNewError

_FIRST = """
CREATE TABLE job (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    backend TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    spec_digest TEXT NOT NULL,
    client_digest TEXT NOT NULL,
    shots INTEGER NOT NULL,
    circuits INTEGER NOT NULL,
    programs INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (
        status IN ('INITIALIZING', 'VALIDATING', 'QUEUED', 'RUNNING', 'DONE', 'CANCELLED', 'ERROR')),
    version INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0,
    cancelling INTEGER NOT NULL DEFAULT 0,
    instrument_ns INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    problems TEXT NOT NULL DEFAULT '[]',
    deleted INTEGER NOT NULL DEFAULT 0,
    UNIQUE (owner, key)
) STRICT;
CREATE INDEX job_alive ON job (number) WHERE status NOT IN ('DONE', 'CANCELLED', 'ERROR');
CREATE INDEX job_by_spec ON job (spec_digest);
CREATE INDEX job_by_client ON job (client_digest);
CREATE UNIQUE INDEX job_running ON job (backend) WHERE status = 'RUNNING';
CREATE TRIGGER job_final BEFORE UPDATE OF status ON job
WHEN OLD.status IN ('DONE', 'CANCELLED', 'ERROR') AND NEW.status <> OLD.status
BEGIN SELECT RAISE(ABORT, 'a final state never changes'); END;

CREATE TABLE tag (
    job INTEGER NOT NULL REFERENCES job (number),
    position INTEGER NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    job INTEGER NOT NULL REFERENCES job (number),
    n INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    started_ns INTEGER NOT NULL,
    outcome TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE chunk (
    job INTEGER NOT NULL REFERENCES job (number),
    n INTEGER NOT NULL,
    first_program INTEGER NOT NULL,
    programs INTEGER NOT NULL,
    first_shot INTEGER NOT NULL,
    shots INTEGER NOT NULL,
    pieces INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX chunk_by_digest ON chunk (digest);

CREATE TABLE event (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL REFERENCES job (number),
    time_ns INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('status', 'stage', 'progress', 'log')),
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    done INTEGER NOT NULL,
    total INTEGER NOT NULL
) STRICT;
CREATE INDEX event_by_job ON event (job, sequence);

CREATE TABLE blob (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    data BLOB
) STRICT;

CREATE TABLE revision (
    backend TEXT NOT NULL,
    revision INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    author TEXT NOT NULL,
    message TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (backend, revision)
) STRICT;
CREATE TRIGGER revision_immutable BEFORE UPDATE ON revision
BEGIN SELECT RAISE(ABORT, 'a revision never changes'); END;

CREATE TABLE parameter (
    backend TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    value REAL NOT NULL,
    unit TEXT NOT NULL,
    stderr REAL,
    measured_at_ns INTEGER,
    run TEXT NOT NULL,
    source TEXT NOT NULL,
    removed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (backend, name, revision),
    FOREIGN KEY (backend, revision) REFERENCES revision (backend, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX parameter_by_revision ON parameter (backend, revision);
CREATE TRIGGER parameter_immutable BEFORE UPDATE ON parameter
BEGIN SELECT RAISE(ABORT, 'a revision never changes'); END;

CREATE TABLE file_value (
    backend TEXT NOT NULL,
    name TEXT NOT NULL,
    value REAL NOT NULL,
    unit TEXT NOT NULL,
    PRIMARY KEY (backend, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE device_file (
    backend TEXT PRIMARY KEY,
    digest TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

_SESSIONS_AND_SLOTS = """
ALTER TABLE job ADD COLUMN session TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN slot TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN urgency TEXT NOT NULL DEFAULT 'normal';
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN revision_policy TEXT NOT NULL DEFAULT 'latest';
ALTER TABLE job ADD COLUMN wanted_revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN rerun INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_by_session ON job (session) WHERE session <> '';

CREATE TABLE session (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    backend TEXT NOT NULL,
    mode TEXT NOT NULL,
    max_seconds REAL NOT NULL,
    idle_seconds REAL NOT NULL,
    at_expiry TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    started_ns INTEGER NOT NULL DEFAULT 0,
    closed_ns INTEGER NOT NULL DEFAULT 0,
    accepting INTEGER NOT NULL DEFAULT 1,
    elapsed REAL NOT NULL DEFAULT 0,
    qpu_seconds REAL NOT NULL DEFAULT 0,
    UNIQUE (owner, key)
) STRICT;
CREATE INDEX session_alive ON session (number) WHERE closed_ns = 0;

CREATE TABLE slot (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    backend TEXT NOT NULL,
    kind TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    note TEXT NOT NULL,
    UNIQUE (owner, key)
) STRICT;
CREATE INDEX slot_by_end ON slot (end_ns);
"""

_AUDIT = """
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_kept BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER audit_whole BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
"""

_SPENT = """
CREATE TABLE spent (
    job INTEGER NOT NULL REFERENCES job (number),
    activity TEXT NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (job, activity)
) STRICT, WITHOUT ROWID;
"""

_RETENTION = """
ALTER TABLE job ADD COLUMN read_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN expired_ns INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_read ON job (read_ns) WHERE read_ns > 0 AND deleted = 0;
CREATE INDEX job_expired ON job (expired_ns) WHERE expired_ns > 0;
"""

_GROUP = """
ALTER TABLE job ADD COLUMN equivalents TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN submitted_to TEXT NOT NULL DEFAULT '';

CREATE TABLE member (
    backend TEXT PRIMARY KEY,
    fence INTEGER NOT NULL,
    daemon TEXT NOT NULL,
    address TEXT NOT NULL,
    beat_ns INTEGER NOT NULL,
    left_because TEXT NOT NULL DEFAULT '',
    lab TEXT NOT NULL,
    lab_reason TEXT NOT NULL,
    description BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    name TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    role TEXT NOT NULL,
    token_sha256 TEXT NOT NULL,
    expires_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE errand (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    backend TEXT NOT NULL,
    job TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('adopt', 'cancel', 'break off'))
) STRICT;
CREATE INDEX errand_by_backend ON errand (backend, number);
"""

_WORK = """
CREATE TABLE work (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('validate', 'explain')),
    version TEXT NOT NULL,
    spec_digest TEXT NOT NULL,
    content BLOB NOT NULL,
    asked_ns INTEGER NOT NULL,
    worker TEXT NOT NULL DEFAULT '',
    fence INTEGER NOT NULL DEFAULT 0,
    lease_ns INTEGER NOT NULL DEFAULT 0,
    answer BLOB
) STRICT;
CREATE INDEX work_open ON work (asked_ns) WHERE answer IS NULL;

CREATE TABLE worker (
    id TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    beat_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

_OWN_NUMBERS_AND_AGES = """
CREATE TABLE project (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    events INTEGER NOT NULL
) STRICT;
INSERT INTO project (name, events) SELECT job.owner, coalesce(max(event.sequence), 0)
FROM job LEFT JOIN event ON event.job = job.number GROUP BY job.owner;
ALTER TABLE event ADD COLUMN project INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event ADD COLUMN own INTEGER NOT NULL DEFAULT 0;
UPDATE event SET own = sequence,
project = (SELECT project.number FROM project JOIN job ON job.owner = project.name WHERE job.number = event.job);
DROP INDEX event_by_job;
CREATE INDEX event_by_job ON event (job, own);
CREATE INDEX event_by_project ON event (project, own);

CREATE TABLE served (
    backend TEXT PRIMARY KEY,
    seconds REAL NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE job ADD COLUMN served REAL;
"""

_FLOOR_OF_OWN_NUMBERS = """
CREATE TABLE event_floor (own INTEGER NOT NULL) STRICT;
INSERT INTO event_floor SELECT seq FROM sqlite_sequence WHERE name = 'event';
UPDATE project SET events = (SELECT own FROM event_floor) WHERE events < (SELECT own FROM event_floor);
"""
"""Watchers remember numbers from before projects had their own: those begin above all that there were."""

_USAGE = """
CREATE TABLE usage (
    backend TEXT NOT NULL,
    owner TEXT NOT NULL,
    seconds REAL NOT NULL,
    served REAL NOT NULL,
    PRIMARY KEY (backend, owner)
) STRICT, WITHOUT ROWID;
"""
"""Seconds that a project used of a rack, at the weight that they had when that was served for so long."""

_HELD_RACKS = """
ALTER TABLE session ADD COLUMN holding INTEGER NOT NULL DEFAULT 0;
"""

_LAB = """
CREATE TABLE lab (
    backend TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

_READY_ANSWERS = """
CREATE INDEX job_listed ON job (owner, number, status, backend, created_ns, deleted) WHERE deleted = 0;
CREATE INDEX tag_by_name ON tag (tag, job);
ALTER TABLE event ADD COLUMN session INTEGER NOT NULL DEFAULT 0;
UPDATE event SET session =
(SELECT session.number FROM session JOIN job ON job.session = session.id WHERE job.number = event.job)
WHERE job IN (SELECT job.number FROM job JOIN session ON session.id = job.session);
CREATE INDEX event_by_session ON event (session, own) WHERE session > 0;
"""
"""What is asked for by page is found page by page, however much else there is."""

_GONE = """
ALTER TABLE project ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN gone_ns INTEGER NOT NULL DEFAULT 0;
UPDATE job SET gone_ns = CASE WHEN expired_ns > 0 THEN expired_ns
ELSE (SELECT coalesce(max(time_ns), created_ns) FROM audit) END WHERE deleted = 1;
DROP INDEX job_expired;
CREATE INDEX job_gone ON job (gone_ns) WHERE gone_ns > 0;
"""
"""Up to which number events were removed, and when a job's content went, whoever removed it. Nobody noted when a job
was deleted: not later than the last thing that was noted at all.
"""

MIGRATIONS: tuple[str, ...] = (
    _FIRST,
    _SESSIONS_AND_SLOTS,
    _AUDIT,
    _SPENT,
    _RETENTION,
    _GROUP,
    _WORK,
    _OWN_NUMBERS_AND_AGES,
    _FLOOR_OF_OWN_NUMBERS,
    _USAGE,
    _HELD_RACKS,
    _LAB,
    _READY_ANSWERS,
    _GONE,
)
"""Step n takes a store from user_version n to n + 1."""


def nobody_told(_version: int) -> None:
    """Nobody is told that a migration begins."""


def migrate(
    connection: sqlite3.Connection,
    *,
    path: Path,
    steps: tuple[str, ...] = MIGRATIONS,
    before: Callable[[int], None] = nobody_told,
) -> None:
    """Bring a store up to date, each step in one transaction.

    Args:
        connection: that writes.
        path: of the store.
        steps: that are known.
        before: called with the steps that a store went through which is to go through more; not for a new one.

    Raises:
        StoreTooNewError: it went through more steps than are known.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise StoreTooNewError(path=path, found=version, known=len(steps))
    if 0 < version < len(steps):
        before(version)
    for number, step in enumerate(steps[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{step}\nPRAGMA user_version = {number};\nCOMMIT;")
