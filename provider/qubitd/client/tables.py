"""Calls that carry circuits: tables that the daemon should have go as hashes, with their content only if it has not."""

from __future__ import annotations

from typing import TypeVar

import grpc

from qubitd.client.errors import ForgottenTablesError, NotFoundError
from qubitd.client.link import Link
from qubitd.client.steps import Steps
from qubitd.client.uploads import upload
from qubitd.v1 import jobs_pb2, jobs_pb2_grpc
from qubitd.wire.tables import KnownTables, restore
from qubitd.wire.uploads import MAX_UNARY_BYTES, encode_upload

RequestT = TypeVar("RequestT", jobs_pb2.SubmitRequest, jobs_pb2.ExplainRequest)
ResponseT = TypeVar("ResponseT")

_MARGIN = 4096
"""Bytes of a message that are left to gRPC."""


class TabledCalls:
    """Makes such calls on a link, and remembers what its daemon was sent."""

    def __init__(self, link: Link, jobs: jobs_pb2_grpc.JobsStub) -> None:
        self._link = link
        self._jobs = jobs
        self._known = KnownTables()

    def call(
        self, method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT], request: RequestT, *, doing: str
    ) -> Steps[ResponseT]:
        """Make a call; a daemon that has forgotten tables is sent them again.

        Raises:
            ClientError: the kind that fits.
        """
        contents = self._known.name(request.spec)
        try:
            answer = yield from self._send(method, request, doing)
        except ForgottenTablesError:
            self._known.forget(contents)
            restore(request.spec, contents)
            answer = yield from self._send(method, request, doing)
        self._known.note(contents)
        return answer

    def _send(
        self, method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT], request: RequestT, doing: str
    ) -> Steps[ResponseT]:
        """Send a request in one message, or if it is too big for that ahead in pieces."""
        if request.ByteSize() <= MAX_UNARY_BYTES - _MARGIN:
            return (yield from self._link.call(method, request, doing=doing))
        data = request.SerializeToString()
        try:
            named = yield from self._named(request, data, doing)
            return (yield from self._link.call(method, named, doing=doing))
        except NotFoundError as error:
            if "of upload" not in str(error):
                raise
        # The answer to the first try was lost, or the upload was: the key makes a second one safe.
        named = yield from self._named(request, data, doing)
        return (yield from self._link.call(method, named, doing=doing))

    def _named(self, request: RequestT, data: bytes, doing: str) -> Steps[RequestT]:
        sent = yield from upload(self._link, self._jobs, data, doing=doing)
        return type(request)(upload=encode_upload(sent))
