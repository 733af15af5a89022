"""Sends a request that is too big for one message ahead in pieces, and goes on where a cut connection left it."""

from __future__ import annotations

import secrets

import grpc

from qubitd.client.link import Link, Patience
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
    received = 0
    while received < len(data):
        link.check_open()
        try:
            received = yield from _send(jobs, named, data, received)
            patience.renew()
        except grpc.RpcError as error:
            yield Pause(seconds=patience.after(error))
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
