"""The connection to a daemon: one channel, its options, and how long the client waits for a daemon that went away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import grpc

from qubitd.client.addresses import Address
from qubitd.client.credentials import Credentials
from qubitd.client.errors import ClosedError, LostError, UnreachableError
from qubitd.client.refusals import advice_on, is_passing, reason_of, to_error

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

CallT = TypeVar("CallT")

Metadata = tuple[tuple[str, str], ...]
"""What every call carries: the token, if there is one."""

CALL_SECONDS = 30.0
"""Deadline of one unary call."""
PATIENCE = 60.0
"""Seconds for which a daemon that was there may stay away."""
FIRST_WAIT = 0.05
LONGEST_WAIT = 1.0

CHANNEL_OPTIONS = (
    # A half-open link is noticed within 25 s; the daemon permits these pings.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 4_000),
    # A ping that measures the link would otherwise be waited for for a minute, and no other is sent meanwhile.
    ("grpc.http2.ping_timeout_ms", 4_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    # How long a connection may take to be answered: over TLS and an ocean, from a busy machine.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Loopback never goes through a proxy, whatever the environment says.
    ("grpc.enable_http_proxy", 0),
    # Streams come in pieces of 1 MiB; descriptions and plans of big jobs are larger.
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
)


class Clock(Protocol):
    """Time as the link sees it; tests pass their own."""

    def now(self) -> float:
        """Give the monotonic time, seconds."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event, at most so long; give whether it is set."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Give the monotonic time, seconds."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event, at most so long; give whether it is set."""
        return event.wait(seconds)


def _channel(address: Address, credentials: Credentials) -> grpc.Channel:
    shown = credentials.channel_credentials(address)
    if shown is None:
        return grpc.insecure_channel(address.target, options=CHANNEL_OPTIONS)
    return grpc.secure_channel(address.target, shown, options=CHANNEL_OPTIONS)


class Link:
    """One channel to one daemon, shared by all calls and streams of a client."""

    def __init__(
        self,
        address: Address,
        *,
        token: str | None,
        patience: float,
        clock: Clock,
        credentials: Credentials | None = None,
    ) -> None:
        self.address = address
        self.metadata: Metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.patience = patience
        self.clock = clock
        self.channel = _channel(address, credentials or Credentials())
        self.closed = threading.Event()
        self._ending: set[object] = set()
        self.was_reached = False
        """Whether the daemon ever answered; from then on its absence is waited out."""

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        *,
        doing: str,
        replay: bool = True,
    ) -> ResponseT:
        """Make a unary call.

        Args:
            method: of a generated stub.
            request: its message.
            doing: what the call is for, for errors.
            replay: whether it may be sent again when the answer was lost.

        Raises:
            ClientError: the kind that fits.
        """
        patience = Patience(self, doing=doing, seconds=self.patience if replay else 0.0)
        while True:
            self.check_open()
            try:
                response = method(request, timeout=CALL_SECONDS, metadata=self.metadata)
            except grpc.RpcError as error:
                patience.pause(error, self.closed)
            except ValueError as error:
                raise self._closed_error() from error
            else:
                self.was_reached = True
                return response

    def start(self, opener: Callable[[Metadata], CallT]) -> CallT:
        """Start a stream; whether a daemon is there shows with its first message.

        Raises:
            ClosedError: the link was closed.
        """
        self.check_open()
        try:
            return opener(self.metadata)
        except ValueError as error:
            raise self._closed_error() from error

    def let_end(self, call: Any) -> None:
        """Let a stream that has given everything end by itself: gRPC cancels one that is dropped before."""
        self._ending.add(call)
        call.add_done_callback(self._ending.discard)

    def check_open(self) -> None:
        """Do nothing while the link is open.

        Raises:
            ClosedError: it was closed.
        """
        if self.closed.is_set():
            raise self._closed_error()

    def close(self) -> None:
        """Close the channel; every call in flight ends."""
        self.closed.set()
        self.channel.close()

    def _closed_error(self) -> ClosedError:
        """Also the meaning of a ValueError from gRPC: another thread closed the channel just now."""
        return ClosedError(f"the client of {self.address} was closed; make a new one")


class Patience:
    """Waits between tries, longer each time, until the daemon was away for too long."""

    def __init__(self, link: Link, *, doing: str, seconds: float) -> None:
        self._link = link
        self._doing = doing
        self._seconds = seconds
        self._since: float | None = None
        self._wait = FIRST_WAIT

    def renew(self) -> None:
        """Start over: the daemon answered."""
        self._link.was_reached = True
        self._since = None
        self._wait = FIRST_WAIT

    def pause(self, error: grpc.RpcError, stop: threading.Event) -> None:
        """Wait before another try, or until `stop` is set.

        Raises:
            ClientError: another try is of no use, or patience is at its end.
        """
        link = self._link
        link.check_open()
        if not is_passing(error):
            link.was_reached = True
            raise to_error(error, doing=self._doing) from error
        if not link.was_reached:
            reason = reason_of(error)
            raise UnreachableError(address=str(link.address), reason=reason, advice=advice_on(reason)) from error
        now = link.clock.now()
        self._since = now if self._since is None else self._since
        left = self._since + self._seconds - now
        if left <= 0:
            raise LostError(
                address=str(link.address), seconds=self._seconds, doing=self._doing, reason=reason_of(error)
            ) from error
        link.clock.wait(stop, min(self._wait, left))
        self._wait = min(2 * self._wait, LONGEST_WAIT)
