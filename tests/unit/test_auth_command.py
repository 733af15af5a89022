"""`qubitd auth` and `qubitd audit` on files alone."""

from __future__ import annotations

import functools
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

from qubitd.cli.__main__ import main
from qubitd.server.auth.accounts import FILE, KnownAccounts, read_accounts
from qubitd.server.auth.certificates import CA_CERTIFICATE, SERVER_CERTIFICATE
from qubitd.server.auth.identity import Role
from qubitd.server.front.access import DIRECTORY
from qubitd.server.store.sqlite_store import DATABASE, SqliteStore
from qubitd.server.store.store import Writes


def _append(number: int, writes: Writes) -> None:
    writes.audit.append(time_ns=number, who="me", what=f"did {number}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def auth(data: Path, *words: str) -> int:
    return main(["auth", *words, "--data-dir", str(data)])


def test_a_token_is_printed_once_and_kept_as_a_hash(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert auth(data, "token", "alice", "--project", "spin", "--role", "calibrator") == 0
    token = capsys.readouterr().out.strip()
    file = data / DIRECTORY / FILE
    assert token not in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    known = KnownAccounts(data / DIRECTORY)
    found = known.current.by_token(token, now_ns=0)
    assert found is not None
    assert (found.name, found.project, found.role) == ("alice", "spin", Role.CALIBRATOR)
    assert known.current.by_token(token + "x", now_ns=0) is None
    assert known.current.by_token(token, now_ns=2**62) is None
    assert auth(data, "list") == 0
    assert (
        "alice                calibrator project spin                 token       expires 20" in capsys.readouterr().out
    )
    assert auth(data, "revoke", "alice") == 0
    assert known.current.accounts == ()
    assert auth(data, "list") == 0
    assert capsys.readouterr().out.endswith("\nno accounts\n")
    assert auth(data, "revoke", "alice") == 1
    assert "qubitd: there is no account 'alice'; there is nobody" in capsys.readouterr().err


def test_init_makes_an_authority_once_and_a_certificate_for_the_hosts(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert auth(data, "init", "--host", "lab-pc", "--host", "10.0.0.5") == 0
    authority = (data / DIRECTORY / CA_CERTIFICATE).read_bytes()
    assert "the daemon's certificate is for lab-pc, 10.0.0.5" in capsys.readouterr().out
    assert auth(data, "init") == 0
    assert (data / DIRECTORY / CA_CERTIFICATE).read_bytes() == authority
    certificate = x509.load_pem_x509_certificate((data / DIRECTORY / SERVER_CERTIFICATE).read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)


def test_a_certificate_is_written_where_it_is_wanted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert auth(data, "cert", "eve", "--out", str(tmp_path)) == 1
    assert "holds no authority that can be read; make one: qubitd auth init" in capsys.readouterr().err
    assert auth(data, "init") == 0
    assert auth(data, "cert", "eve", "--out", str(tmp_path), "--days", "0") == 0
    assert (tmp_path / "eve.pem").exists()
    assert stat.S_IMODE((tmp_path / "eve.key").stat().st_mode) == 0o600
    [account] = read_accounts(data / DIRECTORY).accounts
    assert (account.name, account.token_sha256, account.expires_ns) == ("eve", "", 0)
    assert auth(data, "list") == 0
    assert "certificate expires never" in capsys.readouterr().out


def test_nobody_is_let_in_by_a_certificate_that_could_not_be_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert auth(data, "init") == 0
    (tmp_path / "file").touch()
    assert auth(data, "cert", "eve", "--out", str(tmp_path / "file")) == 1
    assert f"qubitd: {tmp_path}/file/eve.pem cannot be written" in capsys.readouterr().err
    assert read_accounts(data / DIRECTORY).accounts == ()
    assert auth(data, "cert", "eve", "--out", str(tmp_path / "new" / "folder")) == 0
    assert (tmp_path / "new" / "folder" / "eve.key").exists()


def test_the_log_is_shown_and_followed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.mkdir()
    store = SqliteStore(data)
    for number in range(3):
        store.write(functools.partial(_append, number)).result()
    assert main(["audit", "show", "--after", "2", "--data-dir", str(data)]) == 0
    assert capsys.readouterr().out == "       3 1970-01-01 00:00:00 me               did 2\n"
    assert main(["audit", "verify", "--data-dir", str(data)]) == 0
    newest = store.audit.end().hash
    assert capsys.readouterr().out == f"whole: 3 lines, the newest of hash {newest}\n"
    store.close()


def test_a_log_whose_last_lines_were_cut_off_has_not_the_hash_that_was_kept(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.mkdir()
    with closing(SqliteStore(data)) as store:
        kept = store.audit.end().hash
        for number in range(3):
            store.write(functools.partial(_append, number)).result()
        seen = store.audit.end().hash
        store.write(functools.partial(_append, 3)).result()
    verify = ["audit", "verify", "--data-dir", str(data), "--expect"]
    assert main([*verify, kept]) == main([*verify, seen]) == 0
    with closing(sqlite3.connect(data / DATABASE)) as database, database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("DELETE FROM audit WHERE number > 2")
    capsys.readouterr()
    assert main(verify[:-1]) == 0
    assert capsys.readouterr().out.startswith("whole: 2 lines, ")
    assert main([*verify, seen]) == 1
    assert capsys.readouterr().out == f"lines are missing: none of the 2 has the hash {seen}\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("token", ""), "argument name: '' is no name; give 1 to 64 characters without slashes"),
        (("cert", "../../alice"), "'../../alice' is no name"),
        (("token", "bob\n"), r"'bob\n' is no name"),
        (("token", "daemon"), "'daemon' means somebody else in the audit log; give another name"),
        (("token", "bob", "--project", " "), "argument --project: ' ' is no name"),
        (("token", "bob", "--days", "-1"), "'-1' is no number of days; give more than 0, to 36500, or 0 for never"),
        (("token", "bob", "--days", "nan"), "'nan' is no number of days"),
    ],
)
def test_an_account_that_could_not_be_told_or_used_is_refused(
    data: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        auth(data, *words)
    assert reason in capsys.readouterr().err
    assert not data.exists()


def test_what_nobody_reads_to_its_end_is_no_error(data: Path) -> None:
    assert auth(data, "token", "alice") == 0
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "qubitd.cli", "auth", "list", "--data-dir", str(data)]
    with os.fdopen(writing, "wb") as pipe:
        ended = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (141, b"")
