"""`qubitd run`: counts alone on stdout, everything else on stderr, and no traceback whatever is wrong."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.processes import running_process

from qubitd.cli.__main__ import main
from qubitd.cli.daemon_process import DaemonProcess
from qubitd.client import options
from qubitd.provider import QubitdJob

BELL = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2]; h q[0]; cx q[0], q[1]; measure q -> c;'
NOTHING = 'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; x q[0];'
WIDE = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[16]; creg c[2]; x q[9]; measure q[9] -> c[1]; measure q[3] -> c[0];'
TOO_WIDE = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[7]; creg c[7]; h q; measure q -> c;'


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `qubitd run` on a text, in this process."""

    def call(text: str, *options: str) -> Outcome:
        file = tmp_path / "mine.qasm"
        file.write_text(text)
        code = main(["run", str(file), *options])
        out, err = capsys.readouterr()
        return Outcome(code=code, out=out, err=err.replace(str(file), "FILE"))

    return call


@pytest.fixture
def unconfigured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody who has set up nothing."""
    for name in ("ADDRESS", "PROFILE"):
        monkeypatch.delenv(f"QUBITD_{name}", raising=False)
    monkeypatch.setenv("QUBITD_CONFIG", str(tmp_path / "none.toml"))


@pytest.fixture
def quiet_port() -> Iterator[int]:
    """A port at which no daemon answers."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_counts_are_a_table_with_the_most_frequent_first(run: Run, daemon: DaemonProcess) -> None:
    outcome = run(BELL, "--shots", "1000", "--seed", "7", "--server", daemon.address)
    head, *rows = outcome.out.splitlines()
    assert outcome.code == 0
    assert head.startswith("line5, revision 1, 1000 shots, job ")
    assert {row.split()[0] for row in rows[:2]} == {"00", "11"}
    numbers = [int(row.split()[1]) for row in rows]
    assert numbers == sorted(numbers, reverse=True)
    assert sum(numbers) == 1000
    assert outcome.err == f"qubitd: using line5 of the daemon at {daemon.address}\n"


def test_decoupling_and_scheduling_reach_the_job(run: Run, daemon: DaemonProcess) -> None:
    options = ("--seed", "7", "--server", daemon.address, "--json", "--dd", "xy4", "--scheduling", "asap")
    outcome = run(BELL, *options)
    assert outcome.code == 0
    resetting = "qreg q[1]; creg c[1]; x q[0]; reset q[0]; measure q[0] -> c[0];"
    refused = run(f'OPENQASM 2.0; include "qelib1.inc"; {resetting}', *options)
    assert refused.code == 1
    assert "without dynamical decoupling" in refused.err


def test_json_is_one_line_and_the_seed_makes_it_repeatable(run: Run, daemon: DaemonProcess) -> None:
    options = ("--shots", "500", "--seed", "7", "--server", daemon.address, "--backend", "line5", "--json")
    first, again = (run(BELL, *options) for _ in range(2))
    document = json.loads(first.out)
    assert first.out.count("\n") == 1
    assert sum(document["counts"].values()) == document["shots"] == 500
    assert [document[name] for name in ("backend", "circuit", "revision", "seed")] == ["line5", "mine", 1, 7]
    assert json.loads(again.out)["counts"] == document["counts"]


def test_a_circuit_that_measures_nothing_is_told_how_to(run: Run, daemon: DaemonProcess) -> None:
    outcome = run(NOTHING, "--server", daemon.address)
    assert outcome == Outcome(
        code=1,
        out="",
        err="qubitd: FILE: measures nothing, so there is nothing to count; add measurements, or use --measure-all\n",
    )
    outcome = run(NOTHING, "--server", daemon.address, "--measure-all", "--json")
    assert max(json.loads(outcome.out)["counts"].items(), key=lambda entry: entry[1])[0] == "01"


@pytest.mark.parametrize("head", ["for int i in [0:2]", "x q[1]; c[1] = measure q[1]; for int i in [0:2] if (c[1])"])
def test_a_measurement_in_a_block_is_one(run: Run, daemon: DaemonProcess, head: str) -> None:
    body = f"{head} {{ x q[0]; c[0] = measure q[0]; }}"
    outcome = run(f'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; {body}', "--server", daemon.address)
    assert outcome.code == 0
    assert outcome.out.splitlines()[1].split()[0].endswith("1")


def test_measure_all_changes_nothing_where_something_is_measured(run: Run, daemon: DaemonProcess) -> None:
    outcome = run(BELL, "--server", daemon.address, "--measure-all", "--json")
    assert set(json.loads(outcome.out)["counts"]) <= {"00", "01", "10", "11"}
    assert "FILE measures already; --measure-all changes nothing" in outcome.err


def test_idle_qubits_are_left_out_and_bits_keep_their_places(run: Run, daemon: DaemonProcess) -> None:
    outcome = run(WIDE, "--server", daemon.address, "--json")
    assert max(json.loads(outcome.out)["counts"].items(), key=lambda entry: entry[1])[0] == "10"
    assert "FILE declares 16 qubits and uses 2; the idle ones are left out" in outcome.err


def test_measure_all_measures_the_qubits_that_are_used(run: Run, daemon: DaemonProcess) -> None:
    wide = 'OPENQASM 3.0; include "stdgates.inc"; qubit[16] q; x q[3]; id q[9];'
    outcome = run(wide, "--server", daemon.address, "--measure-all", "--json")
    assert max(json.loads(outcome.out)["counts"].items(), key=lambda entry: entry[1])[0] == "01"


def test_a_circuit_that_cannot_be_transpiled_is_refused_by_its_file(run: Run, daemon: DaemonProcess) -> None:
    outcome = run('OPENQASM 3.0; include "stdgates.inc"; qubit q; bit c; delay[1e30s] q; c = measure q;',
                  "--server", daemon.address)  # fmt: skip
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith("qubitd: FILE: cannot be transpiled for line5: Python int too large")


def test_a_rounded_delay_is_told_on_stderr(run: Run, daemon: DaemonProcess) -> None:
    text = "OPENQASM 3.0; qubit q; bit c; delay[10.4ns] q; c = measure q;"
    assert "qubitd: Duration is rounded to 10 [dt]" in run(text, "--server", daemon.address).err


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (TOO_WIDE, (), "qubitd: FILE: uses 7 qubits; line5 has 5\n"),
        ("nonsense", (), "FILE, line 1: cannot be read near"),
        (BELL, ("--shots", "0"), "option shots: is 0; the limits are 1 and 100000"),
        (BELL, ("--shots", "1000000000"), "option shots: is 1000000000; the limits are 1 and 100000"),
        (BELL, ("--backend", "line6"), "has no backend 'line6'; did you mean line5?"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_1(
    run: Run, daemon: DaemonProcess, text: str, options: tuple[str, ...], expected: str
) -> None:
    outcome = run(text, "--server", daemon.address, *options)
    assert (outcome.code, outcome.out) == (1, "")
    assert expected in outcome.err
    assert "Traceback" not in outcome.err
    assert "left out" not in outcome.err


def test_an_unknown_server_is_named_with_what_to_do(run: Run, quiet_port: int) -> None:
    outcome = run(BELL, "--server", f"127.0.0.1:{quiet_port}")
    assert outcome.code == 1
    assert outcome.err == (
        f"qubitd: no daemon answers at 127.0.0.1:{quiet_port} (connection refused); "
        "start one with `qubitd serve`, or check the address\n"
    )


def test_a_server_whose_name_nobody_knows_is_named(run: Run) -> None:
    outcome = run(BELL, "--server", "lab.invalid")
    assert outcome.code == 1
    assert outcome.err.startswith("qubitd: no daemon answers at lab.invalid:50051 (no such host name); check how it is")


@pytest.mark.usefixtures("unconfigured")
def test_without_a_server_the_usual_daemon_is_used_if_it_answers(
    run: Run, daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "USUAL_ADDRESS", daemon.address)
    outcome = run(BELL, "--json")
    assert outcome.code == 0
    assert outcome.err == f"qubitd: using line5 of the daemon at {daemon.address}\n"


@pytest.mark.usefixtures("unconfigured")
def test_without_any_daemon_one_is_started_for_this_run(
    run: Run, quiet_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = f"127.0.0.1:{quiet_port}"
    monkeypatch.setattr(options, "USUAL_ADDRESS", usual)
    outcome = run(BELL, "--shots", "100", "--json")
    assert sum(json.loads(outcome.out)["counts"].values()) == 100
    told = f"no daemon at {usual}; using an emulated line5, in a daemon of its own for this run"
    assert outcome.err == f"qubitd: {told}\n"
    assert "nine: no such device or file" in run(BELL, "--backend", "nine").err


@pytest.mark.parametrize("option", [["--shots", "many"], ["--seed", "-1"], ["--seed", "x"], []])
def test_a_wrong_use_is_exit_code_2(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", *option, *(["mine.qasm"] if option else [])])
    assert caught.value.code == 2
    assert "usage: qubitd run" in capsys.readouterr().err


def test_a_terminal_shows_the_state_while_it_changes(
    run: Run, daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    outcome = run(BELL, "--server", daemon.address, "--json")
    assert json.loads(outcome.out)["shots"] == 1024
    assert "job " in outcome.err


def test_ctrl_c_cancels_the_job(run: Run, daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[str] = []
    cancel = QubitdJob.cancel

    def interrupt(job: QubitdJob) -> None:
        raise KeyboardInterrupt

    def note(job: QubitdJob) -> bool:
        cancelled.append(job.job_id())
        return cancel(job)

    monkeypatch.setattr(QubitdJob, "wait_for_final_state", interrupt)
    monkeypatch.setattr(QubitdJob, "cancel", note)
    outcome = run(BELL, "--server", daemon.address, "--shots", "100000")
    assert (outcome.code, outcome.out, len(cancelled)) == (130, "", 1)


def test_ctrl_c_ends_without_a_traceback(daemon: DaemonProcess, tmp_path: Path) -> None:
    file = tmp_path / "mine.qasm"
    file.write_text(BELL)
    command = [sys.executable, "-m", "qubitd.cli", "run", str(file), "--server", daemon.address, "--shots", "100000"]
    with running_process(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("qubitd: using line5")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode in (130, 0)
    assert "Traceback" not in err
    assert process.returncode == 0 or out == ""
