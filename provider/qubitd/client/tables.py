"""Calls that carry circuits: tables that the daemon should have go as hashes, with their content only if it has not."""

from __future__ import annotations

from typing import TypeVar

import grpc

from qubitd.client.errors import ForgottenTablesError
from qubitd.client.link import Link
from qubitd.v1 import jobs_pb2
from qubitd.wire.tables import KnownTables, restore

RequestT = TypeVar("RequestT", jobs_pb2.SubmitRequest, jobs_pb2.ExplainRequest)
ResponseT = TypeVar("ResponseT")


class TabledCalls:
    """Makes such calls on a link, and remembers what its daemon was sent."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._known = KnownTables()

    def call(
        self, method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT], request: RequestT, *, doing: str
    ) -> ResponseT:
        """Make a call; a daemon that has forgotten tables is sent them again.

        Raises:
            ClientError: the kind that fits.
        """
        batch = request.spec.batch
        contents = self._known.name(batch)
        try:
            answer = self._link.call(method, request, doing=doing)
        except ForgottenTablesError:
            self._known.forget(contents)
            restore(batch, contents)
            answer = self._link.call(method, request, doing=doing)
        self._known.note(contents)
        return answer
