"""Pages of a list: a token says where the next page goes on, and holds nothing else."""

from __future__ import annotations

import re

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
_TOKEN = re.compile(r"below-([1-9][0-9]{0,17})")


def page_token(number: int) -> str:
    """Give the token of the page after the job that was accepted as the n-th."""
    return f"below-{number}"


def query_of(request: jobs_pb2.JobsListRequest, *, owner: str) -> JobQuery:
    """Read what a page is to show.

    Raises:
        MalformedMessageError: a field is outside its limits.
        InvalidRequestError: the token is none that this daemon gave.
    """
    check_count(len(request.statuses), where="statuses", most=_STATUSES)
    check_count(len(request.tags), where="tags", most=MAX_TAGS)
    return JobQuery(
        owner=owner,
        limit=check_count(request.page_size, where="page_size", most=_LARGEST_PAGE) or _USUAL_PAGE,
        below=_number_of(request.page_token),
        statuses=tuple(decode_status(number) for number in request.statuses),
        tags=tuple(check_text(tag, where="tag", most=MAX_TAG) for tag in request.tags),
        backend=check_text(request.backend, where="backend", most=MAX_BACKEND_NAME),
        session_id=check_text(request.session_id, where="session_id", most=MAX_ID),
        since_ns=check_count(request.since_ns, where="since_ns", most=2**63 - 1),
    )


def _number_of(token: str) -> int | None:
    if not token:
        return None
    match = _TOKEN.fullmatch(token)
    if match is None:
        what = f"{token[:64]!r} is none that this daemon gave; take it from the page before, or leave it empty"
        raise InvalidRequestError([Problem(where="page_token", what=what)])
    return int(match[1])
