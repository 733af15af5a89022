"""Whoever asks for more than there is room for is refused with the reason, and with when to ask again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import grpc.aio
import pytest
from tests.wire.daemon.conftest import PaperRack, Serve, Served

from qubitd.client.errors import BusyError
from qubitd.client.refusals import to_error
from qubitd.server.auth.accounts import Account, new_token, read_accounts, token_digest, write_accounts
from qubitd.server.front import uploads
from qubitd.server.front.access import DIRECTORY
from qubitd.server.front.quotas import Quotas
from qubitd.server.services import jobs
from qubitd.server.watching import watches
from qubitd.v1 import jobs_pb2, sessions_pb2, sessions_pb2_grpc

MakeRequest = Callable[..., jobs_pb2.SubmitRequest]
Shown = tuple[tuple[str, str], ...]


@pytest.fixture
def ann(tmp_path: Path) -> Shown:
    """What a user with a project of her own shows."""
    token, directory = new_token(), tmp_path / "data" / DIRECTORY
    account = Account(name="ann", project="ann", role="user", token_sha256=token_digest(token))
    write_accounts(directory, read_accounts(directory).with_account(account))
    return (("authorization", f"Bearer {token}"),)


async def busy(call: Awaitable[object]) -> BusyError:
    """Give what a client sees of a call that is too much."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    error = to_error(refused.value, doing="asking")
    assert isinstance(error, BusyError)
    return error


async def test_a_project_with_enough_jobs_or_sessions_is_told_when_to_come_again(
    serve: Serve, shut_rack: PaperRack, request_of: MakeRequest, ann: Shown
) -> None:
    async with serve(rack=shut_rack, quotas=Quotas(jobs=1, sessions=1)) as daemon:
        await daemon.jobs.Submit(request_of(), metadata=ann)
        refused = await busy(daemon.jobs.Submit(request_of(), metadata=ann))
        assert "project ann has 1 jobs that have not ended; the limit is 1" in str(refused)
        assert refused.retry_after == 10.0
        sessions = sessions_pb2_grpc.SessionsStub(daemon.channel)
        await sessions.Open(sessions_pb2.OpenRequest(key="a", backend="line5"), metadata=ann)
        refused = await busy(sessions.Open(sessions_pb2.OpenRequest(key="b", backend="line5"), metadata=ann))
        assert "project ann has 1 sessions that are not over; the limit is 1" in str(refused)
        assert refused.retry_after == 10.0


async def test_who_sends_too_fast_is_told_when_the_next_may_come(
    serve: Serve, shut_rack: PaperRack, request_of: MakeRequest, ann: Shown
) -> None:
    async with serve(rack=shut_rack, quotas=Quotas(submits_per_minute=1)) as daemon:
        await daemon.jobs.Submit(request_of(), metadata=ann)
        refused = await busy(daemon.jobs.Submit(request_of(), metadata=ann))
        assert "sends more than 1 jobs a minute" in str(refused)
        assert refused.retry_after is not None
        assert 0.0 < refused.retry_after <= 60.0


@pytest.mark.parametrize("what", ["watch", "results", "upload"])
async def test_what_would_take_too_much_memory_at_once_is_to_be_sent_again_in_a_moment(
    serve: Serve, shut_rack: PaperRack, request_of: MakeRequest, ann: Shown, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(watches, "MOST", 0)
    monkeypatch.setattr(jobs, "_MOST_READERS", 0)
    monkeypatch.setattr(uploads, "MOST_OF_ONE", 0)
    async with serve(rack=shut_rack) as daemon:
        job_id = (await daemon.jobs.Submit(request_of(), metadata=ann)).job_id
        refused = await busy(_asked(daemon, what, job_id, ann))
        assert "send this again in a moment" in str(refused)
        assert refused.retry_after == 1.0


async def _asked(daemon: Served, what: str, job_id: str, shown: Shown) -> object:
    match what:
        case "watch":
            return [m async for m in daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=job_id), metadata=shown)]
        case "results":
            return [m async for m in daemon.jobs.Results(jobs_pb2.ResultsRequest(job_id=job_id), metadata=shown)]
        case _:
            upload = jobs_pb2.UploadRequest(upload=jobs_pb2.Upload(upload_id="u", size=8, sha256=bytes(32)))
            return await daemon.jobs.Upload(iter([upload]), metadata=shown)
