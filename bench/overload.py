"""Times status calls while many send 16 MB each, to the daemon and to a bare `grpc.aio` server that only swallows.

The bare server has the same calls, lets as many uploads go on at once, writes nothing, reads nothing and runs no job:
what a status call takes there is the senders', the asker's and the machine's own. The last line of `--json` is one
JSON object; its `ratio` is the daemon's p99 over the bare server's, each the least of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil

from qubitd.cli.daemon_process import start_daemon
from qubitd.client import QubitdClient
from qubitd.core.circuit import CircuitBuilder, pack
from qubitd.core.job import JobSpec
from qubitd.core.sweep import Sweep
from qubitd.server.front.serving import SERVER_OPTIONS
from qubitd.server.front.uploads import MOST_AT_ONCE
from qubitd.v1 import jobs_pb2

ROOT = Path(__file__).parents[1]
GOAL_MILLISECONDS = 50.0


def main() -> int:
    """Print what status calls take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senders", type=int, default=64, help="clients with 16 MB each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="of each server, in turn (%(default)s)")
    parser.add_argument("--json", action="store_true", help="end with one JSON line")
    parser.add_argument("--swallow", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.swallow:
        asyncio.run(swallow())
        return 0
    found: dict[str, list[dict[str, float]]] = {"daemon": [], "bare": []}
    for _ in range(arguments.rounds):
        with daemon() as (address, process_id):
            found["daemon"].append(measured(address, process_id, arguments.senders))
        with bare() as (address, process_id):
            found["bare"].append(measured(address, process_id, arguments.senders))
        for name in found:
            print(f"{name:6} " + "  ".join(f"{key} {value:8.1f}" for key, value in found[name][-1].items()))
    least = {name: min(one["p99"] for one in rounds) for name, rounds in found.items()}
    ratio = least["daemon"] / least["bare"]
    print(f"p99 of status calls: {least['daemon']:.1f} ms (goal {GOAL_MILLISECONDS:g}), {ratio:.2f} of a bare server's")
    if arguments.json:
        print(json.dumps({"ratio": ratio, "p99": least, "rounds": found}))
    return 0


@contextmanager
def daemon() -> Generator[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as folder, start_daemon(data_dir=Path(folder)) as running:
        yield running.address, running.process_id


@contextmanager
def bare() -> Generator[tuple[str, int]]:
    command = [sys.executable, __file__, "--swallow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise SystemExit("the bare server has no output")
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.kill()


def measured(address: str, process_id: int, senders: int) -> dict[str, float]:
    """Ask for the status of a small job while many send big ones.

    Returns:
        Milliseconds of the calls, MB of the server's memory at the most, and seconds that it computed.
    """
    server = psutil.Process(process_id)
    with QubitdClient(address) as client:
        job_id = client.submit(small(), "line5")
    began = worked(server)
    prober = started("status_prober", address, job_id)
    sending = started("big_senders", address, str(senders))
    sending.communicate()
    told, _ = prober.communicate()
    (most,) = [line for line in Path(f"/proc/{process_id}/status").read_text().splitlines() if "VmHWM" in line]
    return {**json.loads(told), "MB": int(most.split()[1]) / 1024, "work": worked(server) - began}


def started(module: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"tests.system.{module}", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, start_new_session=True)


def worked(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def small() -> JobSpec:
    circuit = CircuitBuilder(name="flip", num_qubits=5, num_clbits=1).add("x", 0).measure(0, 0)
    return JobSpec(batch=pack([circuit]), sweep=Sweep(), shots=10)


async def swallow() -> None:
    """Serve until killed: take uploads, and give the same answer to everything else."""
    turn = asyncio.Semaphore(MOST_AT_ONCE)
    status = jobs_pb2.JobsGetResponse(job=jobs_pb2.Job(job_id=str(uuid.uuid4()), backend="line5"))

    async def upload(messages: AsyncIterator[bytes], _context: Any) -> bytes:
        async with turn:
            received = 0
            async for data in messages:
                received = received or jobs_pb2.UploadRequest.FromString(data).upload.size
            return bytes(jobs_pb2.UploadResponse(received=received).SerializeToString())

    async def submit(_data: bytes, _context: Any) -> bytes:
        return bytes(jobs_pb2.SubmitResponse(job_id=str(uuid.uuid4())).SerializeToString())

    async def get(_data: bytes, _context: Any) -> bytes:
        return bytes(status.SerializeToString())

    server = grpc.aio.server(options=SERVER_OPTIONS)
    handlers = {
        "Upload": grpc.stream_unary_rpc_method_handler(upload),
        "Submit": grpc.unary_unary_rpc_method_handler(submit),
        "Get": grpc.unary_unary_rpc_method_handler(get),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("qubitd.v1.Jobs", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    sys.exit(main())
