"""qubitd.v1.Sessions: the rack for one user between jobs."""

from __future__ import annotations

from qubitd.server.auth.identity import Role, caller
from qubitd.server.engine import Engine
from qubitd.server.front.rpc import Service, unary
from qubitd.server.group.roster import Roster
from qubitd.server.sessions.book import SessionBook
from qubitd.v1 import sessions_pb2
from qubitd.wire.parsing import check_count
from qubitd.wire.sessions import encode_session

_USUAL_PAGE = 100
_LARGEST_PAGE = 1_000


class SessionsService:
    """Its RPCs, named like them."""

    def __init__(self, *, roster: Roster, engine: Engine, sessions: SessionBook) -> None:
        self._roster = roster
        self._engine = engine
        self._sessions = sessions

    def service(self) -> Service:
        """Give the handlers."""
        return Service(
            name="qubitd.v1.Sessions",
            rpcs={
                "Open": unary(sessions_pb2.OpenRequest, self.Open),
                "Get": unary(sessions_pb2.SessionsGetRequest, self.Get),
                "List": unary(sessions_pb2.SessionsListRequest, self.List),
                "Renew": unary(sessions_pb2.RenewRequest, self.Renew),
                "Close": unary(sessions_pb2.CloseRequest, self.Close),
                "Cancel": unary(sessions_pb2.SessionsCancelRequest, self.Cancel),
                "Usage": unary(sessions_pb2.UsageRequest, self.Usage),
            },
        )

    async def Open(self, request: sessions_pb2.OpenRequest) -> sessions_pb2.OpenResponse:
        """Open a session."""
        self._roster.check_own(request.backend, "a session")
        owner = caller().project
        self._engine.check_serving()
        if not self._sessions.is_known(owner=owner, key=request.key):  # else the answer to it was lost
            self._engine.lab.check_open()
        info = await self._sessions.open(request, owner=owner, author=caller().name)
        self._engine.wake()
        return sessions_pb2.OpenResponse(session=encode_session(info))

    async def Get(self, request: sessions_pb2.SessionsGetRequest) -> sessions_pb2.SessionsGetResponse:
        """Describe a session."""
        info = self._sessions.info(request.session_id, owner=self._owner(request.session_id))
        return sessions_pb2.SessionsGetResponse(session=encode_session(info))

    async def List(self, request: sessions_pb2.SessionsListRequest) -> sessions_pb2.SessionsListResponse:
        """List sessions, newest first."""
        limit = check_count(request.limit, where="limit", most=_LARGEST_PAGE) or _USUAL_PAGE
        infos = self._sessions.newest(owner=caller().project, limit=limit, open_only=request.open_only)
        return sessions_pb2.SessionsListResponse(sessions=map(encode_session, infos))

    async def Renew(self, request: sessions_pb2.RenewRequest) -> sessions_pb2.RenewResponse:
        """Note that the client is there."""
        owner = caller().project
        self._check_here(request.session_id, owner=owner)
        info = await self._sessions.renew(request.session_id, owner=owner)
        return sessions_pb2.RenewResponse(session=encode_session(info))

    async def Close(self, request: sessions_pb2.CloseRequest) -> sessions_pb2.CloseResponse:
        """Take no new jobs."""
        owner = self._owner(request.session_id)
        self._check_here(request.session_id, owner=owner)
        self._engine.note(f"asked to close session {request.session_id}", by=caller().name)
        info = await self._sessions.close(request.session_id, owner=owner)
        self._engine.wake()
        return sessions_pb2.CloseResponse(session=encode_session(info))

    async def Cancel(self, request: sessions_pb2.SessionsCancelRequest) -> sessions_pb2.SessionsCancelResponse:
        """Close it and end its jobs."""
        owner = self._owner(request.session_id)
        self._check_here(request.session_id, owner=owner)
        self._engine.note(f"asked to cancel session {request.session_id}", by=caller().name)
        info = await self._engine.cancel_session(owner=owner, session_id=request.session_id)
        return sessions_pb2.SessionsCancelResponse(session=encode_session(info))

    async def Usage(self, request: sessions_pb2.UsageRequest) -> sessions_pb2.UsageResponse:
        """Say what it used."""
        usage = self._sessions.usage(request.session_id, owner=self._owner(request.session_id))
        return sessions_pb2.UsageResponse(
            qpu_seconds=usage.qpu_seconds, elapsed_seconds=usage.elapsed_seconds, jobs=usage.jobs
        )

    def _check_here(self, session_id: str, *, owner: str) -> None:
        """Only the daemon that keeps a session can change it; what it wrote of it can be read anywhere."""
        self._roster.check_own(self._sessions.info(session_id, owner=owner).backend, f"session {session_id}")

    def _owner(self, session_id: str) -> str:
        """An operator may look at and end anybody's."""
        project = caller().project
        return self._sessions.owner_of(session_id) if caller().may(Role.OPERATOR) else project
