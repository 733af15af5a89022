"""Pages of a list: a token is the id of the last job of the page before, and tells nothing of anybody else's jobs."""

from __future__ import annotations

from qubitd.core.errors import Problem
from qubitd.server.errors import InvalidRequestError
from qubitd.server.store.rows import JobQuery
from qubitd.v1 import jobs_pb2
from qubitd.wire.jobs import decode_status
from qubitd.wire.parsing import check_count, check_text
from qubitd.wire.specs import MAX_BACKEND_NAME, MAX_TAG, MAX_TAGS
from qubitd.wire.terms import MAX_ID

_USUAL_PAGE = 100
_LARGEST_PAGE = 1_000
_STATUSES = 7


def query_of(request: jobs_pb2.JobsListRequest, *, owner: str) -> JobQuery:
    """Read what a page is to show.

    Raises:
        MalformedMessageError: a field is outside its limits.
    """
    check_count(len(request.statuses), where="statuses", most=_STATUSES)
    check_count(len(request.tags), where="tags", most=MAX_TAGS)
    return JobQuery(
        owner=owner,
        limit=check_count(request.page_size, where="page_size", most=_LARGEST_PAGE) or _USUAL_PAGE,
        below=check_text(request.page_token, where="page_token", most=MAX_ID),
        statuses=tuple(decode_status(number) for number in request.statuses),
        tags=tuple(check_text(tag, where="tag", most=MAX_TAG) for tag in request.tags),
        backend=check_text(request.backend, where="backend", most=MAX_BACKEND_NAME),
        session_id=check_text(request.session_id, where="session_id", most=MAX_ID),
        since_ns=check_count(request.since_ns, where="since_ns", most=2**63 - 1),
    )


def unknown_token(token: str) -> InvalidRequestError:
    """Say that a page cannot go on from there: the project has no such job, or has none any more."""
    what = f"{token!r} is none that this daemon gave; take it from the page before, or leave it empty"
    return InvalidRequestError([Problem(where="page_token", what=what)])
