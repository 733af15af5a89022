"""Sessions as a client sees them; `QubitdClient.sessions`."""

from __future__ import annotations

from typing import Any

from qubitd.client.link import Link
from qubitd.client.steps import Steps
from qubitd.v1 import sessions_pb2, sessions_pb2_grpc
from qubitd.wire.sessions import SessionInfo, SessionTerms, SessionUsage, decode_session, encode_terms


class SessionSteps:
    """The rack for one user between jobs. A job joins a session by the terms that it is submitted with."""

    def __init__(self, link: Link, channel: Any) -> None:
        self._link = link
        self._stub: sessions_pb2_grpc.SessionsStub = sessions_pb2_grpc.SessionsStub(channel)

    def open(self, terms: SessionTerms) -> Steps[SessionInfo]:
        """Open a session; the same key gives the same session."""
        answer = yield from self._link.call(
            self._stub.Open, encode_terms(terms), doing=f"opening a session on {terms.backend}"
        )
        return decode_session(answer.session)

    def get(self, session_id: str) -> Steps[SessionInfo]:
        """Describe a session, also one that is closed."""
        request = sessions_pb2.SessionsGetRequest(session_id=session_id)
        answer = yield from self._link.call(self._stub.Get, request, doing=f"asking for {session_id}")
        return decode_session(answer.session)

    def list(self, *, limit: int = 100, open_only: bool = False) -> Steps[tuple[SessionInfo, ...]]:
        """List sessions, newest first; at most 1000."""
        request = sessions_pb2.SessionsListRequest(limit=limit, open_only=open_only)
        answer = yield from self._link.call(self._stub.List, request, doing="listing sessions")
        return tuple(map(decode_session, answer.sessions))

    def renew(self, session_id: str) -> Steps[SessionInfo]:
        """Say that this client is still there."""
        request = sessions_pb2.RenewRequest(session_id=session_id)
        answer = yield from self._link.call(self._stub.Renew, request, doing=f"renewing {session_id}")
        return decode_session(answer.session)

    def close(self, session_id: str) -> Steps[SessionInfo]:
        """Let a session take no more jobs; those that wait still run."""
        request = sessions_pb2.CloseRequest(session_id=session_id)
        answer = yield from self._link.call(self._stub.Close, request, doing=f"closing {session_id}")
        return decode_session(answer.session)

    def cancel(self, session_id: str) -> Steps[SessionInfo]:
        """Close a session and cancel its jobs that have not ended."""
        request = sessions_pb2.SessionsCancelRequest(session_id=session_id)
        answer = yield from self._link.call(self._stub.Cancel, request, doing=f"cancelling {session_id}")
        return decode_session(answer.session)

    def usage(self, session_id: str) -> Steps[SessionUsage]:
        """Give what a session used of the rack."""
        request = sessions_pb2.UsageRequest(session_id=session_id)
        answer = yield from self._link.call(self._stub.Usage, request, doing=f"asking what {session_id} used")
        return SessionUsage(qpu_seconds=answer.qpu_seconds, elapsed_seconds=answer.elapsed_seconds, jobs=answer.jobs)
