"""How long the controller waits for us: the share of idle time between the chunks of a batch, in real time.

100 circuits x 1000 shots of about 10 us each, and the passive reset of the demo device before each, on an emulated rack
whose runs last as long as they would, with cables in the place of a chip, so that it has worked a run out long before
its end. While a chunk runs, the next one is compiled, assembled and brought to sequencers that stand idle, and the last
one is discriminated and recorded. What is left is idle time: seeing the end, reading the bins, bringing in what must go
to sequencers that ran, and starting. It is all the time between the first start and the last end in which no pulse is
due. With `--circuits 1000 --shots 40` every chunk brings other circuits. The last line of `--json` is one JSON object;
its `ratio` is the goal's share over ours.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from qubitd.cli.child import Child
from qubitd.cli.daemon_process import start_daemon
from qubitd.client import QubitdClient
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec, JobStatus
from qubitd.core.sweep import Sweep

GOAL = 0.05
"""Share of the time in which the controller may be idle."""
_READY = re.compile(r"emulator ready on (?P<address>[0-9.]+) control [0-9]+")


def main() -> int:
    """Run the batch; the exit code is 1 if the controller was idle for longer than the goal allows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--circuits", type=int, default=100)
    parser.add_argument("--shots", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    spent, played = measure(batch(options.circuits, options.shots))
    idle = spent["idle"] + spent["run"] - played
    share = idle / (idle + played)
    for activity, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"{activity:12} {seconds:8.3f} s")
    print(f"pulses last {played:.3f} s; idle for {share:.2%} of the controller's time (goal {GOAL:.0%})")
    if options.json:
        print(json.dumps({"idle_share": share, "spent": spent, "played": played, "ratio": GOAL / share}))
    return 0 if share <= GOAL else 1


def batch(circuits: int, shots: int) -> JobSpec:
    """Make circuits of about 10 us that differ from each other."""
    builders = []
    for number in range(circuits):
        builder = CircuitBuilder(name=f"c{number}", num_qubits=5, num_clbits=5)
        for layer in range(40):
            for qubit in range(5):
                builder.add("sx", qubit).add("rz", qubit, params=(0.01 * number * layer,))
            for qubit in (0, 2):
                builder.add("cz", qubit, qubit + 1)
        for qubit in range(5):
            builder.measure(qubit, qubit)
        builders.append(builder)
    return JobSpec(batch=pack(builders), sweep=Sweep(), shots=shots)


def measure(spec: JobSpec) -> tuple[dict[str, float], float]:
    """Give the seconds that each activity took, and that the pulses last with their resets."""
    emulator = Child("qubitd.emulator", ["--real-time", "--loopback"], name="the emulated rack")
    try:
        ready = _READY.fullmatch(emulator.first_line())
        if ready is None:
            raise SystemExit("the emulated rack did not say where it is")
        with tempfile.TemporaryDirectory() as folder:
            rack = rack_file(Path(folder), ready["address"])
            with (
                start_daemon(data_dir=Path(folder) / "data", rack=rack) as daemon,
                QubitdClient(daemon.address) as client,
            ):
                job_id = client.submit(spec, daemon.backend)
                for _ in client.watch(job_id):
                    pass
                job = client.get_job(job_id)
    finally:
        emulator.stop()
    if job.status is not JobStatus.DONE:
        raise SystemExit(f"the batch ended {job.status.value}: {job.message}")
    return {spent.activity: spent.seconds for spent in job.spent}, job.instrument_seconds


def rack_file(folder: Path, address: str) -> Path:
    """Write the demo rack's file for a rack in real time, at an address."""
    text = (files("qubitd.drivers") / "racks" / "cluster.toml").read_text()
    before, _, rest = text.partition("[emulator]")
    before = before.replace('time = "virtual"', 'time = "real"')
    path = folder / "rack.toml"
    path.write_text(before + rest[rest.index("[instruments") :].replace("127.0.0.1", address))
    return path


if __name__ == "__main__":
    sys.exit(main())
