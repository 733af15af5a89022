"""`qubitd explain` and `qubitd pulses`: what a circuit would take and play, from a daemon, with nothing queued."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from qubitd.cli.__main__ import main
from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.explain import duration, plan_lines
from qubitd.compiler.agreement import agrees
from qubitd.core.capacity import Usage
from qubitd.core.plan import JobPlan, LoopPlan, ProgramPlan, StagePlan

ROOT = Path(__file__).parents[2]
BELL = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2]; h q[0]; cx q[0], q[1]; measure q -> c;'
WAITING = (
    'OPENQASM 3.0; include "stdgates.inc"; qubit[1] q; bit[1] c; '
    "sx q[0]; delay[2us] q[0]; sx q[0]; c[0] = measure q[0];"
)


@pytest.fixture
def bell(tmp_path: Path) -> Path:
    file = tmp_path / "bell.qasm"
    file.write_text(BELL)
    return file


def plan_of(*programs: ProgramPlan) -> JobPlan:
    return JobPlan(programs=programs, memories=(), upload_bytes=0, instrument_seconds=0.0, queue_length=0, revision=1)


def test_a_plan_is_written_for_people() -> None:
    plan = JobPlan(
        programs=(ProgramPlan(name="bell", duration=948e-9, num_plays=6, success=0.97),),
        memories=(Usage(sequencer="slot1.seq0 (q0.drive)", memory="instructions", used=18, limit=16384),),
        upload_bytes=5547,
        instrument_seconds=0.216,
        queue_length=1,
        expected_start_ns=1_700_000_000_000_000_000,
        revision=3,
        stages=(StagePlan(name="check", seconds=2e-3), StagePlan(name="run", seconds=0.216)),
        loops=(
            LoopPlan(sequencer="slot1.seq0 (q0.drive)", nests=((4, 25),), written_out=0, reason=""),
            LoopPlan(sequencer="slot4.seq0 (q0.flux)", nests=(), written_out=100, reason="they differ"),
        ),
    )
    assert list(plan_lines(plan, name="line5", shots=1024)) == [
        "line5, revision 3: 1 program of 1024 shots",
        "bell: 948 ns in each shot, 6 pulses; fidelity 0.9700 by the Target's errors",
        "stages: check 2 ms, run 216 ms",
        "upload: 5547 bytes for the first chunk",
        "queue: 1 job would start before it; expected to start at 2023-11-14 22:13:20",
        "programs of the first chunk as loops on the controller:",
        "  slot1.seq0 (q0.drive): 4 x 25",
        "  slot4.seq0 (q0.flux): 100 written out, since they differ",
        "memory of the first chunk:",
        "  slot1.seq0 (q0.drive)  instructions              18 of    16384    0.1%",
    ]


def test_points_of_a_sweep_that_are_alike_are_one_line_of_a_plan() -> None:
    short, long = (ProgramPlan(name="rabi", duration=ns * 1e-9, num_plays=2, success=0.97) for ns in (800, 900))
    plan = JobPlan(
        programs=(short,) * 101 + (long,),
        memories=(),
        upload_bytes=0,
        instrument_seconds=0.0,
        queue_length=0,
        revision=1,
    )
    assert list(plan_lines(plan, name="line5", shots=10))[:4] == [
        "line5, revision 1: 102 programs of 10 shots",
        "rabi, 101 times: 800 ns in each shot, 2 pulses; fidelity 0.9700 by the Target's errors",
        "rabi: 900 ns in each shot, 2 pulses; fidelity 0.9700 by the Target's errors",
        "upload: 0 bytes for the first chunk",
    ]


def test_a_long_plan_tells_how_many_programs_it_leaves_out() -> None:
    programs = [
        ProgramPlan(name=f"c{n}", duration=1e-6, num_plays=n, success=0.97) for n in range(12) for _ in range(3)
    ]
    plan = JobPlan(
        programs=tuple(programs), memories=(), upload_bytes=0, instrument_seconds=0.0, queue_length=0, revision=1
    )
    lines = list(plan_lines(plan, name="line5", shots=10))
    assert lines[10].startswith("c9, 3 times: ")
    assert lines[11] == "and 6 more"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 ns"), (3e-10, "0.3 ns"), (1e-9, "1 ns"), (1.5e-4, "150 us"), (9.997e-4, "1 ms"), (12.0, "12 s")],
)
def test_times_have_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_explain_asks_the_daemon(bell: Path, daemon: DaemonProcess, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--server", daemon.address, "--seed", "1", "--shots", "500"]
    assert main(["explain", str(bell), *options]) == 0
    out = capsys.readouterr().out
    assert out.startswith("line5, revision 1: 1 program of 500 shots\nbell: 9")
    assert "stages: check " in out
    assert "readout)  bins " in out
    assert main(["explain", str(bell), *options, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [stage["name"] for stage in plan["stages"]] == ["check", "schedule", "assemble", "run"]
    assert plan["stages"][-1]["seconds"] == pytest.approx(plan["instrument_seconds"])
    assert 0.9 < plan["programs"][0]["success"] < 1
    assert plan["upload_bytes"] > 1000


def test_explain_predicts_what_the_circuit_gives(
    bell: Path, daemon: DaemonProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--server", daemon.address, "--seed", "1", "--expected"]
    assert main(["explain", str(bell), *options, "--json"]) == 0
    (distribution,) = json.loads(capsys.readouterr().out)["expected"]
    assert sum(distribution.values()) == pytest.approx(1.0)
    assert main(["run", str(bell), "--server", daemon.address, "--seed", "1", "--shots", "4000", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert agrees(counts, distribution) >= 1e-3
    assert main(["explain", str(bell), *options]) == 0
    assert re.search(r"\nbell: expected (00|11) 4\d\.\d\d%, (00|11) 4\d\.\d\d%, ", capsys.readouterr().out)
    assert main(["explain", str(bell), *options, "--sweep", "q0.x.amplitude=0:0.4:3"]) == 1
    assert "is not predicted" in capsys.readouterr().err


def test_explain_counts_the_pulses_of_decoupling(
    tmp_path: Path, daemon: DaemonProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "waiting.qasm"
    file.write_text(WAITING)
    plays = []
    for options in ([], ["--dd", "xy4"]):
        assert main(["explain", str(file), "--server", daemon.address, "--json", *options]) == 0
        (program,) = json.loads(capsys.readouterr().out)["programs"]
        plays.append(program["num_plays"])
    assert plays[1] == plays[0] + 4


def test_explain_says_how_a_sweep_is_played(
    bell: Path, daemon: DaemonProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    axis = "q1.sx.amplitude=0:0.3:41"
    assert (
        main(["explain", str(bell), "--server", daemon.address, "--seed", "1", "--shots", "10", "--sweep", axis]) == 0
    )
    out = capsys.readouterr().out
    assert out.startswith("line5, revision 1: 41 programs of 10 shots\n")
    assert "\nbell, 41 times: 9" in out
    assert "q1.drive): 41\n" in out


@pytest.mark.parametrize(
    ("sweep", "what"),
    [
        ("q0.x.amplitude=0:0.4", "is no sweep; write NAME=FIRST:LAST:POINTS"),
        ("q0.x.amplitude=0:x:3", "is no sweep; write NAME=FIRST:LAST:POINTS"),
        ("q0.x.amplitude=0:nan:3", "in 1 to 1000000 points"),
        ("q0.x.amplitude=0:1:1000000000000", "in 1 to 1000000 points"),
    ],
)
def test_what_is_no_sweep_is_told(bell: Path, capsys: pytest.CaptureFixture[str], sweep: str, what: str) -> None:
    with pytest.raises(SystemExit):
        main(["explain", str(bell), "--sweep", sweep])
    assert what in capsys.readouterr().err


def test_an_axis_that_is_given_twice_is_told(bell: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axes = ("q0.x.amplitude=0:0.4:3", "q1.x.amplitude=0:1:2", "q0.x.amplitude=0:1:2")
    assert main(["explain", str(bell), *(word for axis in axes for word in ("--sweep", axis))]) == 1
    assert "--sweep: gives values for q0.x.amplitude more than once" in capsys.readouterr().err


def test_many_loops_are_counted() -> None:
    loops = LoopPlan(sequencer="slot1.seq0 (q0.drive)", nests=((4,),) * 90, written_out=2, reason="they differ")
    plan = replace(plan_of(), loops=(loops,))
    lines = list(plan_lines(plan, name="line5", shots=10))
    assert f"  slot1.seq0 (q0.drive): {'4, ' * 8}82 more loops, 2 written out, since they differ" in lines


@pytest.mark.parametrize(("suffix", "begins"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_pulses_are_drawn(
    bell: Path, daemon: DaemonProcess, capsys: pytest.CaptureFixture[str], suffix: str, begins: bytes
) -> None:
    output = bell.parent / "made" / f"bell{suffix}"
    assert main(["pulses", str(bell), "--server", daemon.address, "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    assert output.read_bytes().startswith(begins)


def test_pulses_are_written(bell: Path, daemon: DaemonProcess, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--server", daemon.address, "--seed", "1", "--text", "--scheduling", "asap"]
    assert main(["pulses", str(bell), *options]) == 0
    out = capsys.readouterr().out
    assert out.startswith("program 'bell': 9")
    assert out.count(" acquire ") == 2


def test_what_cannot_be_drawn_is_told(
    bell: Path, daemon: DaemonProcess, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["pulses", str(bell), "--output", "bell.gif"]) == 1
    assert "ends in .svg, .png, .pdf" in capsys.readouterr().err
    monkeypatch.setattr("qubitd.cli.pulses.MOST_PULSES", 3)
    assert main(["pulses", str(bell), "--server", daemon.address, "--output", str(bell.parent / "a.svg")]) == 1
    assert "pulses, and a picture shows 1 to 3; use --text" in capsys.readouterr().err


def test_pulses_of_a_labs_own_device_are_drawn_with_its_file(
    bell: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "lab5.toml"
    lab.write_text((ROOT / "server/qubitd/compiler/line5.toml").read_text().replace('"line5"', '"lab5"'))
    with start_daemon(device=str(lab), data_dir=tmp_path / "data") as daemon:
        asked = ["pulses", str(bell), "--server", daemon.address, "--text"]
        assert main(asked) == 1
        assert "lab5: is a device of the lab's own" in capsys.readouterr().err
        assert main([*asked, "--device-file", str(lab)]) == 0
    assert capsys.readouterr().out.startswith("program 'bell': 9")


def test_pulses_that_depend_on_an_outcome_are_written_too(
    tmp_path: Path, daemon: DaemonProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mend.qasm"
    file.write_text(
        'OPENQASM 3.0; include "stdgates.inc"; qubit[1] q; bit[2] c; sx q[0]; c[0] = measure q[0]; '
        "if (c[0]) { x q[0]; } c[1] = measure q[0];"
    )
    assert main(["pulses", str(file), "--server", daemon.address, "--text"]) == 0
    conditional = [line for line in capsys.readouterr().out.splitlines() if line.endswith("if OR of 0")]
    assert len(conditional) == 1
    assert " play " in conditional[0]


def test_a_loop_without_a_bound_is_given_one(
    tmp_path: Path, daemon: DaemonProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "until.qasm"
    file.write_text(
        'OPENQASM 3.0; include "stdgates.inc"; qubit q; bit c; sx q; c = measure q; '
        "while (c == false) { x q; c = measure q; }"
    )
    for command in (["explain"], ["pulses", "--text"]):
        asked = [command[0], str(file), *command[1:], "--server", daemon.address]
        assert main(asked) == 1
        assert "or --max-iterations N" in capsys.readouterr().err
        assert main([*asked, "--max-iterations", "2"]) == 0
    assert capsys.readouterr().out.count(" acquire ") == 3
