"""A job as a notebook shows it: its state, its progress, and when it changed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from qubitd.client import Progress
from qubitd.provider.story import StatusTime

_COLOURS = {"DONE": "#2e7d32", "ERROR": "#c62828", "CANCELLED": "#6d4c41"}
_WAITING = "#1565c0"


def as_html(
    job_id: str, backend: str, now: StatusTime | None, statuses: Sequence[StatusTime], shots: Progress | None
) -> str:
    """Give a job as a table: what is known of it, and when it changed as far as that was told."""
    status = "not asked for yet" if now is None else now.status.name
    rows = [("job", f"<code>{escape(job_id)}</code>"), ("backend", escape(backend)), ("status", _badge(status))]
    if shots is not None and shots.total:
        rows.append(("shots", _bar(shots)))
    rows += [(entry.status.name, _after(entry, statuses[0])) for entry in statuses]
    if now is not None and now.message:
        rows.append(("reason", escape(now.message)))
    cells = "".join(f"<tr><th style='text-align:left'>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _badge(status: str) -> str:
    return f"<b style='color:{_COLOURS.get(status, _WAITING)}'>{status}</b>"


def _bar(shots: Progress) -> str:
    return f"<progress value='{shots.done}' max='{shots.total}'></progress> {shots.done} of {shots.total}"


def _after(entry: StatusTime, first: StatusTime) -> str:
    return f"+{(entry.time_ns - first.time_ns) * 1e-9:.3f} s"
