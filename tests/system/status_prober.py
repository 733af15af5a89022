"""Asks a daemon for the status of a job a hundred times a second until its input ends, and says how long that took.

`python -m tests.system.status_prober ADDRESS JOB_ID`: a process of its own, so that no other client's work is in it.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import grpc
import numpy as np

from qubitd.v1 import jobs_pb2, jobs_pb2_grpc

PERIOD = 0.01
"""Seconds from one call to the next."""
PATIENCE = 30.0


def main() -> int:
    """Print one JSON line: the number of calls, and milliseconds."""
    address, job_id = sys.argv[1:]
    over = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    times: list[float] = []
    with grpc.insecure_channel(address) as channel:
        jobs = jobs_pb2_grpc.JobsStub(channel)
        request = jobs_pb2.JobsGetRequest(job_id=job_id)
        jobs.Get(request, timeout=PATIENCE)
        while not over.wait(PERIOD):
            began = time.perf_counter()
            jobs.Get(request, timeout=PATIENCE)
            times.append((time.perf_counter() - began) * 1e3)
    middle, late = np.quantile(times, (0.5, 0.99))
    sys.stdout.write(json.dumps({"calls": len(times), "p50": middle, "p99": late, "most": max(times)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
