"""Jobs over gRPC on loopback: every change once and in order, results as recorded, and refusals that say why."""

from __future__ import annotations

IN_ORDER = ["INITIALIZING", "VALIDATING", "QUEUED", "RUNNING", "DONE"]


async def test_a_job_is_seen_through_every_state_once_and_in_order(serve, open_rack_of, request_of) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        job_id = await daemon.submit(request_of())
        assert await daemon.statuses(job_id) == IN_ORDER
        results = await daemon.results(job_id)
    assert [(r.program, r.first_shot, r.shots) for r in results] == [(0, 0, 100)]
