"""Every command that asks a daemon finds a lab that serves TLS: by options, by the environment, by a profile."""

from __future__ import annotations

import contextlib
import io
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from qubitd.cli.__main__ import main
from qubitd.cli.daemon_process import start_daemon
from qubitd.client import options

BELL = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2]; h q[0]; cx q[0], q[1]; measure q -> c;'


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsLab:
    """What an operator hands to a user."""

    address: str
    token: str
    ca: Path


@pytest.fixture(scope="module")
def tls_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsLab]:
    """A daemon that was set up as docs/how-to/let-users-in.md says."""
    data = tmp_path_factory.mktemp("tls") / "data"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["auth", "init", "--host", "localhost", "--data-dir", str(data)]) == 0
        assert main(["auth", "token", "alice", "--data-dir", str(data)]) == 0
    token = printed.getvalue().split()[-1]
    with start_daemon(data_dir=data, options=["--host", "0.0.0.0"]) as daemon:
        port = daemon.address.rpartition(":")[2]
        yield TlsLab(address=f"localhost:{port}", token=token, ca=data / "auth" / "ca.pem")


@pytest.fixture(autouse=True)
def away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A user who has set up nothing, on a machine where nobody serves; gives the address at which nobody listens."""
    for name in ("ADDRESS", "PROFILE", "TOKEN", "CA"):
        monkeypatch.delenv(f"QUBITD_{name}", raising=False)
    monkeypatch.setenv("QUBITD_CONFIG", str(tmp_path / "config.toml"))
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        monkeypatch.setattr(options, "USUAL_ADDRESS", address)
        yield address


@pytest.fixture
def bell(tmp_path: Path) -> str:
    file = tmp_path / "bell.qasm"
    file.write_text(BELL)
    return str(file)


def configured(how: str, lab: TlsLab, folder: Path, patch: pytest.MonkeyPatch) -> list[str]:
    """Name the lab in one of the ways there are, and give the options that this takes."""
    if how == "options":
        return ["--server", lab.address, "--token", lab.token, "--ca", str(lab.ca)]
    if how == "environment":
        for name, value in (("ADDRESS", lab.address), ("TOKEN", lab.token), ("CA", str(lab.ca))):
            patch.setenv(f"QUBITD_{name}", value)
        return []
    name = "default" if how == "default profile" else "fridge2"
    file = folder / "config.toml"
    file.write_text(f'[profiles.{name}]\naddress = "{lab.address}"\ntoken = "{lab.token}"\nca = "{lab.ca}"\n')
    file.chmod(0o600)
    return [] if how == "default profile" else ["--profile", name]


@pytest.mark.parametrize("how", ["options", "environment", "default profile", "named profile"])
def test_a_circuit_file_runs_on_a_lab_that_serves_tls(
    how: str,
    tls_lab: TlsLab,
    bell: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = configured(how, tls_lab, tmp_path, monkeypatch)
    assert main(["run", bell, "--shots", "100", "--json", *options]) == 0
    out, err = capsys.readouterr()
    assert err == f"qubitd: using line5 of the daemon at {tls_lab.address}\n"
    job = json.loads(out)["job"]
    assert main(["job", job, *options]) == 0
    assert main(["explain", bell, *options]) == 0
    assert main(["pulses", bell, "--text", *options]) == 0
    assert f"using line5 of the daemon at {tls_lab.address}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "explain", "pulses", "jobs"])
def test_a_lab_that_was_named_and_does_not_answer_is_an_error(
    command: str, bell: str, away: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [command] if command == "jobs" else [command, bell]
    monkeypatch.setenv("QUBITD_ADDRESS", away)
    assert main(words) == 1
    assert f"no daemon answers at {away} (connection refused)" in capsys.readouterr().err
    monkeypatch.delenv("QUBITD_ADDRESS")
    assert main([*words, "--token", "of a lab"]) == 1
    assert f"no daemon answers at {away} (connection refused)" in capsys.readouterr().err
    monkeypatch.setenv("QUBITD_PROFILE", "fridge2")
    assert main(words) == 1
    assert "has no profile 'fridge2'" in capsys.readouterr().err


def test_a_daemon_that_wants_tls_at_the_usual_place_is_not_passed_over(
    tls_lab: TlsLab, bell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(options, "USUAL_ADDRESS", tls_lab.address.replace("localhost", "127.0.0.1"))
    assert main(["run", bell]) == 1
    assert "a daemon that serves TLS wants ca" in capsys.readouterr().err


def test_a_device_to_emulate_goes_with_no_daemon(bell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", bell, "--device", "line5", "--ca", "ca.pem", "--server", "lab-pc"]) == 1
    assert "leave it out, or leave out --server, --ca\n" in capsys.readouterr().err
