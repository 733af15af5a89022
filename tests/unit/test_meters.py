"""A daemon's numbers, and what Prometheus reads of them over HTTP."""

from __future__ import annotations

import re
import urllib.request

import pytest

from qubitd.server.errors import MetricsError
from qubitd.server.telemetry.meters import Meters
from qubitd.server.telemetry.metrics import published


def scraped(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(qubitd\S+) (\S+)$", text, re.MULTILINE)}


def test_counts_spreads_and_gauges_are_published() -> None:
    meters = Meters()
    meters.count("jobs", "DONE")
    meters.count("jobs", "DONE")
    for seconds in (0.0005, 0.002, 5000.0):
        meters.note("commit", seconds)
    meters.note("stage", 0.25, "run")
    with published(meters, lambda: {"queued_jobs": 7.0}, port=0) as port:
        found = scraped(port)
    assert found["qubitd_queued_jobs"] == 7
    assert found['qubitd_jobs_total{status="DONE"}'] == 2
    assert found["qubitd_commit_seconds_count"] == 3
    assert found["qubitd_commit_seconds_sum"] == pytest.approx(5000.0025)
    assert found['qubitd_commit_seconds_bucket{le="0.001"}'] == 1
    assert found['qubitd_commit_seconds_bucket{le="0.003"}'] == 2
    assert found['qubitd_commit_seconds_bucket{le="600"}'] == 2
    assert found['qubitd_stage_seconds_bucket{activity="run",le="0.3"}'] == 1


def test_a_port_that_is_taken_is_told() -> None:
    with (
        published(Meters(), dict, port=0) as port,
        pytest.raises(MetricsError, match=f"127.0.0.1:{port}"),
        published(Meters(), dict, port=port),
    ):
        pytest.fail("two servers share a port")
