"""Sends a request that is too big for one message ahead in pieces, and goes on where a cut connection left it."""

from __future__ import annotations

import secrets

import grpc

from qubitd.client.errors import BusyError
from qubitd.client.link import Link, Patience
from qubitd.client.refusals import is_passing, to_error
from qubitd.v1 import jobs_pb2, jobs_pb2_grpc
from qubitd.wire.uploads import Upload, upload_messages, upload_of

_SECONDS = 300.0
"""Deadline of one stream of pieces."""


def upload(link: Link, jobs: jobs_pb2_grpc.JobsStub, data: bytes, *, doing: str) -> Upload:
    """Send a request ahead; all of it is there on return.

    Raises:
        ClientError: the kind that fits.
    """
    named = upload_of(data, secrets.token_hex(16))
    patience = Patience(link, doing=doing, seconds=link.patience)
    give_up = link.clock.now() + link.patience
    received = 0
    while received < len(data):
        link.check_open()
        try:
            received = _send(link, jobs, named, data, received)
            patience.renew()
        except grpc.RpcError as error:
            if is_passing(error):
                patience.pause(error, link.closed)
            else:
                _wait_for_room(link, error, doing=doing, give_up=give_up)
            received = _received(link, jobs, named)
    return named


def _send(link: Link, jobs: jobs_pb2_grpc.JobsStub, named: Upload, data: bytes, first: int) -> int:
    messages = upload_messages(named, data, first=first)
    answer: jobs_pb2.UploadResponse = jobs.Upload(messages, timeout=_SECONDS, metadata=link.metadata)
    return answer.received


def _received(link: Link, jobs: jobs_pb2_grpc.JobsStub, named: Upload) -> int:
    """Ask how much is there, and take no answer for nothing."""
    try:
        return _send(link, jobs, named, b"", 0)
    except grpc.RpcError:
        return 0


def _wait_for_room(link: Link, error: grpc.RpcError, *, doing: str, give_up: float) -> None:
    """Wait as long as a daemon asks for that has too many uploads under way.

    Raises:
        ClientError: it is another refusal, or has lasted too long.
    """
    refusal = to_error(error, doing=doing)
    if not isinstance(refusal, BusyError) or refusal.retry_after is None or link.clock.now() > give_up:
        raise refusal from error
    link.clock.wait(link.closed, refusal.retry_after)
