"""Keeps a backend's Target current: the daemon pushes each new revision, and the backend is told."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Protocol

from qubitd.client import BackendInfo, QubitdClient, Stream
from qubitd.core.errors import QubitdError

log = logging.getLogger(__name__)


class Subscriber(Protocol):
    """Wants to know of new descriptions."""

    def update(self, info: BackendInfo) -> None:
        """Take in a description."""
        ...


def follow_revisions(client: QubitdClient, subscriber: Subscriber, name: str) -> None:
    """Tell a subscriber of every new description of a backend, from a thread that ends when it is collected."""
    stream = client.watch_backend(name, patience=float("inf"))
    reference = weakref.ref(subscriber)
    weakref.finalize(subscriber, stream.cancel)
    arguments = (stream, reference)
    threading.Thread(target=_follow, args=arguments, name=f"qubitd-backend-{name}", daemon=True).start()


def _follow(stream: Stream[BackendInfo], reference: weakref.ref[Subscriber]) -> None:
    try:
        for info in stream:
            subscriber = reference()
            if subscriber is None:
                return
            subscriber.update(info)
            del subscriber
    except QubitdError as error:
        # The Target stays as it is; the next question to the daemon says what is wrong with it.
        log.info("no longer told of new revisions", extra={"reason": str(error)})
