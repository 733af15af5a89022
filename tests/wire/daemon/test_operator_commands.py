"""The operator's commands against a daemon on a rack of paper: tables for people, JSON for scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from qubitd.cli.__main__ import main
from qubitd.client import QubitdClient
from qubitd.server.store.sqlite_store import BLOBS, DATABASE
from qubitd.wire.sessions import SessionTerms
from qubitd.wire.specs import decode_spec

Serve = Callable[..., AbstractAsyncContextManager[Any]]
Ask = Callable[..., Any]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command and give what it printed, and read it if it is JSON."""

    def run(*words: str, code: int = 0) -> Any:
        assert main(words) == code, capsys.readouterr().err
        out = capsys.readouterr().out
        return json.loads(out) if "--json" in words and words[0] != "watch" else out

    return run


async def test_jobs_are_listed_shown_watched_and_cancelled(
    serve: Serve, shut_rack: Any, ask: Ask, request_of: Callable[..., Any]
) -> None:
    spec = decode_spec(request_of(tags=("mine",)).spec)

    def story(address: str) -> None:
        at = ("--server", address)
        assert ask("jobs", *at) == "no jobs\n"
        with QubitdClient(address) as client:
            job_id = client.submit(spec, "line5")
            waiting = client.submit(spec, "line5")
            shut_rack.running.wait()
        [second, first] = ask("jobs", "--tag", "mine", "--json", *at)
        assert (second["job"], first["job"], first["status"]) == (waiting, job_id, "RUNNING")
        assert job_id in ask("jobs", "--status", "running", *at)
        queued = ask("job", waiting, "--json", *at)
        assert (queued["status"], queued["jobs_before_it"], queued["accepted"][:2]) == ("QUEUED", 0, "20")
        assert ask("cancel", waiting, "--json", *at) == {"job": waiting, "status": "CANCELLED"}
        assert "cancelled by its owner before it ran" in ask("watch", waiting, *at, code=1)
        assert ask("cancel", job_id, "--force", *at).startswith("job     ")
        lines = [json.loads(line) for line in ask("watch", job_id, "--json", *at, code=1).splitlines()]
        assert [line["text"].split()[0] for line in lines if line["kind"] == "status"][-1] == "CANCELLED"
        shut_rack.gate.set()
        with QubitdClient(address) as client:
            done = client.submit(spec, "line5")
        assert "100 of 100 shots are kept" in ask("watch", done, *at)
        assert "discriminated" in ask("job", done, *at)

    async with serve(rack=shut_rack) as daemon:
        await asyncio.to_thread(story, daemon.address)


async def test_sessions_slots_and_the_lab_are_shown_and_switched(
    serve: Serve, open_rack_of: Callable[..., Any], ask: Ask
) -> None:
    def story(address: str) -> None:
        at = ("--server", address)
        assert ask("sessions", *at) == "no sessions\n"
        with QubitdClient(address) as client:
            first = client.sessions.open(SessionTerms(key="a", backend="line5")).session_id
            second = client.sessions.open(SessionTerms(key="b", backend="line5")).session_id
        assert [row["state"] for row in ask("sessions", "--close", first, "--json", *at)] == ["closed"]
        assert [row["session"] for row in ask("sessions", "--open", "--json", *at)] == [second]
        assert [row["state"] for row in ask("sessions", "--cancel", second, "--json", *at)] == ["closed"]
        [slot] = ask("slots", "--reserve", "maintenance", "--minutes", "5", "--note", "warm", "--json", *at)
        assert (slot["kind"], slot["note"]) == ("maintenance", "warm")
        later = ask("slots", "--reserve", "calibration", "--start", "2100-01-01T00:00+00:00", "--json", *at)[1]
        assert later["start"] == "2100-01-01 00:00:00"
        assert slot["slot"] in ask("slots", *at)
        assert [row["slot"] for row in ask("slots", "--release", slot["slot"], "--json", *at)] == [later["slot"]]
        assert ask("lab", "drain", "--reason", "helium", "--json", *at)["state"] == "drained"
        assert "helium" in ask("lab", *at)
        assert ask("lab", "stop", "--json", *at)["state"] == "stopped"
        assert ask("lab", "resume", "--json", *at)["state"] == "serving"
        assert ask("lab", "instruments", "--json", *at)[0]["answers"] is True
        [backend] = ask("lab", "backends", "--json", *at)
        assert (backend["backend"], backend["online"], backend["reason"]) == ("line5", True, "")

    async with serve(rack=open_rack_of()) as daemon:
        await asyncio.to_thread(story, daemon.address)


async def test_a_store_is_copied_while_its_daemon_works_and_damage_is_found(
    serve: Serve, open_rack_of: Callable[..., Any], ask: Ask, request_of: Callable[..., Any], tmp_path: Path
) -> None:
    data, copy = str(tmp_path / "data"), tmp_path / "copy"
    big = decode_spec(request_of(client_data=bytes(100_000)).spec)

    def story(address: str) -> None:
        with QubitdClient(address) as client:
            list(client.watch(client.submit(big, "line5")))
        assert "1 jobs, " in ask("store", "backup", "--data-dir", data, "--to", str(copy))
        assert ask("store", "backup", "--data-dir", data, "--to", str(copy), code=1) == ""
        assert ask("store", "migrate", "--data-dir", data, code=1) == ""

    async with serve(rack=open_rack_of()) as daemon:
        await asyncio.to_thread(story, daemon.address)
    assert "1 jobs, " in ask("store", "migrate", "--data-dir", data)
    next((copy / BLOBS).iterdir()).write_bytes(b"rotten")
    assert "its content does not match its name" in ask("store", "check", "--data-dir", str(copy), code=1)
    (copy / DATABASE).write_bytes((copy / DATABASE).read_bytes()[:4096] + bytes(8192))
    assert ask("store", "check", "--data-dir", str(copy), code=1) == ""
    assert ask("store", "check", "--data-dir", str(tmp_path / "nowhere"), code=1) == ""
