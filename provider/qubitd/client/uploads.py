"""Sends a request that is too big for one message ahead in pieces, and goes on where a cut connection left it."""

from __future__ import annotations

import secrets

import grpc

from qubitd.client.errors import BusyError
from qubitd.client.link import Link, Patience
from qubitd.client.refusals import is_passing, to_error
from qubitd.client.steps import Pause, Send, Steps
from qubitd.v1 import jobs_pb2, jobs_pb2_grpc
from qubitd.wire.uploads import Upload, upload_messages, upload_of

_SECONDS = 300.0
"""Deadline of one stream of pieces."""


def upload(link: Link, jobs: jobs_pb2_grpc.JobsStub, data: bytes, *, doing: str) -> Steps[Upload]:
    """Send a request ahead; all of it is there on return.

    Raises:
        ClientError: the kind that fits.
    """
    named = upload_of(data, secrets.token_hex(16))
    patience = Patience(link, doing=doing, seconds=link.patience)
    give_up = link.now() + link.patience
    received = 0
    while received < len(data):
        link.check_open()
        try:
            received = yield from _send(jobs, named, data, received)
            patience.renew()
        except grpc.RpcError as error:
            if is_passing(error):
                yield Pause(seconds=patience.after(error))
            else:
                yield Pause(seconds=_until_there_is_room(link, error, doing=doing, give_up=give_up))
            received = yield from _received(jobs, named)
    return named


def _send(jobs: jobs_pb2_grpc.JobsStub, named: Upload, data: bytes, first: int) -> Steps[int]:
    messages = upload_messages(named, data, first=first)
    answer: jobs_pb2.UploadResponse = yield Send(method=jobs.Upload, request=messages, seconds=_SECONDS)
    return answer.received


def _received(jobs: jobs_pb2_grpc.JobsStub, named: Upload) -> Steps[int]:
    """Ask how much is there, and take no answer for nothing."""
    try:
        return (yield from _send(jobs, named, b"", 0))
    except grpc.RpcError:
        return 0


def _until_there_is_room(link: Link, error: grpc.RpcError, *, doing: str, give_up: float) -> float:
    """Give the seconds that a daemon asks for that has too many uploads under way.

    Raises:
        ClientError: it is another refusal, or has lasted too long.
    """
    refusal = to_error(error, doing=doing)
    if not isinstance(refusal, BusyError) or refusal.retry_after is None or link.now() > give_up:
        raise refusal from error
    return refusal.retry_after
