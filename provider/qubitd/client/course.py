"""How far a stream has come: what is read, what is given, and where it is opened again after a cut. No I/O is here."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import grpc

from qubitd.client.link import FIRST_WAIT, Link, Metadata, Patience
from qubitd.client.refusals import asked_to_wait

log = logging.getLogger(__name__)

MessageT = TypeVar("MessageT")
ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)


class Source(Protocol[MessageT, ValueT_co]):
    """Where a stream's values come from, and where it must go on after a cut."""

    @property
    def is_over(self) -> bool:
        """Whether the last value was read: nothing more is waited for."""
        ...

    def open(self, metadata: Metadata) -> grpc.CallIterator[MessageT]:
        """Start the call behind the last value that was read."""
        ...

    def read(self, message: MessageT) -> Sequence[ValueT_co]:
        """Decode a message and move the cursor; what came before is left out."""
        ...


class Course(Generic[ValueT]):
    """A stream, whoever reads it. One that was cut is opened again for as long as the client's patience lasts; a daemon
    that sends to as many as it can, and says when to ask again, is asked until it has room.
    """

    def __init__(self, link: Link, source: Source[Any, ValueT], *, doing: str, patience: float | None) -> None:
        """Begin; `patience` is that of the client unless given."""
        link.check_open()
        self._link = link
        self._source = source
        self._patience = Patience(link, doing=doing, seconds=link.patience if patience is None else patience)
        self.values: deque[ValueT] = deque()
        """What came with the last message and was not given yet."""

    @property
    def is_over(self) -> bool:
        """Whether the last value was read."""
        return self._source.is_over

    @property
    def wants_more(self) -> bool:
        """Whether a message must come before a value can be given."""
        return not self.values and not self._source.is_over

    def open(self) -> grpc.CallIterator[Any]:
        """Start the call; whether a daemon is there shows with its first message.

        Raises:
            ClosedError: the client was closed.
        """
        self._link.check_open()
        return self._source.open(self._link.metadata)

    def take(self, message: Any) -> None:
        """Take in a message.

        Raises:
            MalformedMessageError: this client cannot read it.
        """
        self._patience.renew()
        self.values.extend(self._source.read(message))

    def after(self, error: grpc.RpcError) -> float:
        """Give the seconds after which a stream that was cut is opened again.

        Raises:
            ClientError: the daemon refused it, or was away for too long.
        """
        seconds = asked_to_wait(error)
        if seconds is None:
            return self._patience.after(error)
        log.info("the daemon has too much to send; asking again", extra={"seconds": max(seconds, FIRST_WAIT)})
        return max(seconds, FIRST_WAIT)
