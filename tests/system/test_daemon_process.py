"""The daemon as a process: what it accepted survives its death, and every way to start it wrongly is told in a line."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tests.followed import end_of
from tests.left_open import leave_open
from tests.processes import running_process
from tests.system.kill_soak import soak

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.kept_emulator import RECORD, kept_emulator
from qubitd.client.client import QubitdClient
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep
from qubitd.drivers.errors import InstrumentNotFoundError
from qubitd.wire.jobs import StatusChange

END_SECONDS = 2.0
"""What the daemon promises for its end, its children included."""


def bell(*, shots: int = 200, seed: int | None = None) -> JobSpec:
    half = math.pi / 2
    circuit = CircuitBuilder(name="bell", num_qubits=5, num_clbits=2)
    for qubit in (0, 1):
        circuit.add("rz", qubit, params=(half,)).add("sx", qubit).add("rz", qubit, params=(half,))
    circuit.add("cz", 0, 1).add("rz", 1, params=(half,)).add("sx", 1).add("rz", 1, params=(half,))
    circuit.measure(0, 0).measure(1, 1)
    return JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=shots, seed_simulator=seed)


def long_to_emulate() -> JobSpec:
    """A job that keeps the emulated chip busy for seconds."""
    circuits = []
    for n in range(10):
        circuit = CircuitBuilder(name=f"long {n}", num_qubits=5, num_clbits=5)
        for depth in range(20):
            for qubit in range(5):
                circuit.add("sx", qubit).add("rz", qubit, params=(depth + 0.1 + n / 100,)).add("sx", qubit)
            for qubit in range(4):
                circuit.add("cz", qubit, qubit + 1)
        for qubit in range(5):
            circuit.measure(qubit, qubit)
        circuits.append(circuit)
    return JobSpec(batch=pack(circuits), sweep=Sweep(), shots=100_000)


def run_to_end(client: QubitdClient, spec: JobSpec) -> str:
    job_id = client.submit(spec, "line5")
    end_of(client, job_id)
    return job_id


def bits_of(client: QubitdClient, job_id: str) -> list[int]:
    pieces = [result.bits for result in client.results(job_id) if result.bits is not None]
    return [int(value) for value in np.concatenate(pieces)[:, 0]]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with start_daemon(data_dir=tmp_path / "data") as running:
        yield running


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `qubitd serve` to its end, which these arguments bring about at once."""
    command = [sys.executable, "-m", "qubitd.cli", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def assert_told(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended as refused, with lines that say what is wrong, and without a traceback."""
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in ended.stderr


def test_a_seeded_job_gives_the_same_bits_again(daemon: DaemonProcess) -> None:
    with QubitdClient(daemon.address) as client:
        first, second, other = (bits_of(client, run_to_end(client, bell(seed=seed))) for seed in (3, 3, 4))
    assert first == second
    assert first != other
    assert np.bincount(first, minlength=4)[[0, 3]].sum() > 170


def test_a_bell_job_passes_through_every_state_once(daemon: DaemonProcess) -> None:
    with QubitdClient(daemon.address) as client:
        job_id = client.submit(bell(), "line5")
        statuses = [e.what.status.value for e in client.watch(job_id) if isinstance(e.what, StatusChange)]
    assert statuses == ["INITIALIZING", "VALIDATING", "QUEUED", "RUNNING", "DONE"]


def test_a_job_whose_id_was_returned_survives_kill_9(tmp_path: Path) -> None:
    with start_daemon(data_dir=tmp_path / "data") as first, QubitdClient(first.address) as client:
        done = run_to_end(client, bell())
        accepted = [client.submit(bell(shots=20_000), "line5") for _ in range(5)]
        first.kill()
    with start_daemon(data_dir=tmp_path / "data") as second, QubitdClient(second.address) as client:
        ends = [end_of(client, job_id) for job_id in accepted]
        assert client.get_job(done).status is JobStatus.DONE
        assert len(bits_of(client, done)) == 200
    interrupted = [job for job in ends if job.status is JobStatus.ERROR]
    assert all(job.message.startswith("interrupted at program 0") for job in interrupted)
    assert len(interrupted) <= 1
    assert all(job.status is JobStatus.DONE for job in ends if job not in interrupted)


def asked(place: dict[str, Any], command: str) -> dict[str, Any]:
    """What the emulated rack itself says, whoever drives it."""
    with socket.create_connection((place["address"], place["control_port"]), timeout=10) as connection:
        connection.sendall(json.dumps({"command": command}).encode() + b"\n")
        with connection.makefile("rb") as answers:
            return dict(json.loads(answers.readline()))


def rack_at(place: dict[str, Any]) -> psutil.Process:
    """The emulated rack that a daemon started, by the port that it listens on."""
    listening = (found for found in psutil.net_connections("tcp4") if found.status == psutil.CONN_LISTEN)
    (rack,) = {found.pid for found in listening if found.laddr[1:] == (place["control_port"],)}
    return psutil.Process(rack)


def kill_rack(rack: psutil.Process) -> None:
    """End it as a power cut would; nobody else has to take note of its end."""
    rack.kill()
    with suppress(psutil.NoSuchProcess):
        while rack.status() != psutil.STATUS_ZOMBIE:
            continue


def test_the_rack_outlives_a_killed_daemon_and_the_next_one_finds_it_and_makes_it_safe(tmp_path: Path) -> None:
    record = tmp_path / "data" / RECORD
    with start_daemon(data_dir=tmp_path / "data") as first, QubitdClient(first.address) as client:
        run_to_end(client, bell())
        place = json.loads(record.read_text())
        rack = rack_at(place)
        first.kill()
    assert asked(place, "name")["name"] == place["name"]
    assert asked(place, "events")["tables"]
    leave_open(place["address"], "SLOT3:SEQuencer0", {"marker_ovr": {"en": True, "val": 1}})
    assert asked(place, "outputs")["outputs"]["slot3.out0"]["switch_open"]
    with start_daemon(data_dir=tmp_path / "data") as second, QubitdClient(second.address) as client:
        assert json.loads(record.read_text()) == place
        assert not any(state["switch_open"] for state in asked(place, "outputs")["outputs"].values())
        assert client.get_job(run_to_end(client, bell())).status is JobStatus.DONE
        kill_rack(rack)
        assert client.get_job(run_to_end(client, bell())).status is JobStatus.DONE
        assert json.loads(record.read_text()) == place
    assert not record.exists()
    with pytest.raises(OSError, match="refused"):
        asked(place, "name")


def test_a_record_of_a_rack_that_is_gone_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / RECORD).write_text('{"address": "127.0.0.1", "control_port": 1, "name": "x", "cabling": "y"}')
    with start_daemon(data_dir=tmp_path / "data") as daemon, QubitdClient(daemon.address) as client:
        assert client.get_job(run_to_end(client, bell())).status is JobStatus.DONE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_daemon_and_its_children_end_in_time(
    daemon: DaemonProcess, number: signal.Signals, tmp_path: Path
) -> None:
    rack = rack_at(json.loads((tmp_path / "data" / RECORD).read_text()))
    children = [rack, *psutil.Process(daemon.process_id).children(recursive=True)]
    os.kill(daemon.process_id, number)
    assert daemon.wait(END_SECONDS) == 0
    assert psutil.wait_procs(children, timeout=END_SECONDS)[1] == []


def test_a_daemon_whose_instruments_hang_ends_in_time_and_loses_nothing(tmp_path: Path) -> None:
    hasty = (
        "import sys; from qubitd.cli import until_told; until_told.END_SECONDS = 1.0; "
        "from qubitd.cli.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", hasty, "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    with running_process(command, stderr=subprocess.PIPE) as started:
        assert started.stdout is not None
        address = started.stdout.readline().split()[-1]
        emulator = rack_at(json.loads((tmp_path / "data" / RECORD).read_text()))
        with QubitdClient(address) as client:
            run_to_end(client, bell())
            emulator.suspend()
            running, waiting = (client.submit(bell(), "line5") for _ in range(2))
            while client.get_job(running).status is not JobStatus.RUNNING:
                continue
        started.terminate()
        assert started.wait(20.0) == 1
        emulator.kill()
        assert "look whether the outputs are off" in started.communicate()[1]
    with start_daemon(data_dir=tmp_path / "data") as second, QubitdClient(second.address) as client:
        assert end_of(client, running).message.startswith("interrupted at program 0")
        assert end_of(client, waiting).status is JobStatus.DONE


def test_a_daemon_ends_with_whoever_started_it(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; from qubitd.cli.daemon_process import start_daemon; "
        "print(start_daemon(data_dir=pathlib.Path(sys.argv[1])).process_id, flush=True); os._exit(0)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data")]
    started = subprocess.run(command, capture_output=True, text=True, check=True)
    orphan = psutil.Process(int(started.stdout))
    assert psutil.wait_procs([orphan], timeout=10)[1] == []


def test_a_rack_that_died_is_started_anew_and_only_the_job_that_it_played_ends_in_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "data" / RECORD
    with start_daemon(data_dir=tmp_path / "data") as daemon, QubitdClient(daemon.address) as client:
        place = json.loads(record.read_text())
        rack = rack_at(place)
        before = bits_of(client, run_to_end(client, bell(seed=3)))
        runs = asked(place, "runs")["runs"]
        playing, waiting = client.submit(long_to_emulate(), "line5"), client.submit(bell(seed=3), "line5")
        while asked(place, "runs")["runs"] == runs:
            continue
        kill_rack(rack)
        failed = end_of(client, playing)
        assert (failed.status, "TCPIP" in failed.message) == (JobStatus.ERROR, True)
        end_of(client, waiting)
        kill_rack(rack_at(place))
        assert [bits_of(client, waiting), bits_of(client, run_to_end(client, bell(seed=3)))] == [before, before]
        assert json.loads(record.read_text()) == place
        assert asked(place, "name")["name"] == place["name"]
        told = capfd.readouterr().err
    assert len(re.findall("WARNING .*: the emulated rack was gone; starting it anew", told)) == 2
    assert "power" not in told
    assert not record.exists()
    with pytest.raises(OSError, match="refused"):
        asked(place, "name")


def test_a_rack_that_cannot_be_started_anew_is_not_tried_over_and_over(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cabling = tmp_path / "cabling.toml"
    cabling.write_bytes((files("qubitd.emulator") / "cablings" / "line5.toml").read_bytes())
    with kept_emulator(tmp_path, cabling) as kept:
        assert not kept.revive()
        kept.place.simulator.end()
        while not kept.place.simulator.is_gone():
            continue
        cabling.write_text("nothing of the kind")
        for _ in range(2):
            with pytest.raises(InstrumentNotFoundError, match="the emulated rack does not answer; it did not start"):
                kept.revive()
    assert capfd.readouterr().err.count("emulator: ") == 1


def test_a_second_daemon_on_a_data_directory_or_a_port_is_refused(daemon: DaemonProcess, tmp_path: Path) -> None:
    port = daemon.address.rpartition(":")[2]
    same_directory = serve("--data-dir", str(tmp_path / "data"), "--port", "0")
    same_port = serve("--data-dir", str(tmp_path / "other"), "--port", port)
    assert_told(same_directory, str(tmp_path / "data"), f"process {daemon.process_id}", "--data-dir")
    assert_told(same_port, f"port {port}", "--port")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.7.7"])
def test_any_address_but_loopback_is_refused_by_name(tmp_path: Path, host: str) -> None:
    assert_told(serve("--host", host, "--data-dir", str(tmp_path)), host, "qubitd auth init")


def test_a_device_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert_told(serve("--device", "line9", "--data-dir", str(tmp_path)), "line9", "line5")


def test_everything_wrong_with_a_device_file_is_told(tmp_path: Path) -> None:
    text = (files("qubitd.compiler") / "line5.toml").read_text()
    broken = text.replace("pulsed =", "pushed =")
    assert broken != text
    (tmp_path / "device.toml").write_text(broken)
    ended = serve("--device", str(tmp_path / "device.toml"), "--data-dir", str(tmp_path / "data"))
    assert_told(ended, "device.toml", "pairs.q0_q1.pulsed", "pairs.q3_q4.pulsed")
    assert len(ended.stderr.splitlines()) >= 4


def test_everything_wrong_with_a_rack_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "rack.toml").write_text('name = "r"\ntime = "backwards"\nspeed = 3\n')
    ended = serve("--rack", str(tmp_path / "rack.toml"), "--data-dir", str(tmp_path / "data"))
    assert_told(ended, "rack.toml", "time", "speed")


def test_a_rack_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert_told(serve("--rack", str(tmp_path / "none.toml"), "--data-dir", str(tmp_path)), "none.toml")


def test_an_instrument_that_is_not_there_is_told_by_its_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    text = (files("qubitd.drivers") / "racks" / "cluster.toml").read_text()
    real = re.sub(r"\[emulator\].*?(?=\[instruments)", "", text, count=1, flags=re.DOTALL).replace(
        "::5025::", f"::{port}::"
    )
    (tmp_path / "rack.toml").write_text(real)
    ended = serve("--rack", str(tmp_path / "rack.toml"), "--data-dir", str(tmp_path / "data"), "--port", "0")
    assert_told(ended, f"127.0.0.1::{port}")


def test_a_cabling_that_is_not_there_is_told(tmp_path: Path) -> None:
    text = (files("qubitd.drivers") / "racks" / "cluster.toml").read_text()
    (tmp_path / "rack.toml").write_text(text.replace('cabling = "line5"', 'cabling = "mine.toml"'))
    ended = serve("--rack", str(tmp_path / "rack.toml"), "--data-dir", str(tmp_path / "data"), "--port", "0")
    assert_told(ended, "mine.toml", "the emulated rack did not start")


@pytest.mark.timeout(600)
def test_sixty_kills_lose_no_accepted_job(tmp_path: Path) -> None:
    assert not soak(60, tmp_path)
