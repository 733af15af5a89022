"""What all calls and streams of a client share, and how long it waits for a daemon that went away. No I/O is here."""

from __future__ import annotations

import os
from collections.abc import Callable
from numbers import Real
from typing import TypeVar

import grpc

from qubitd.client.addresses import Address
from qubitd.client.errors import ClosedError, ConfigError, LostError, UnreachableError
from qubitd.client.refusals import advice_on, busy_for, is_passing, reason_of, to_error
from qubitd.client.steps import Pause, Send, Steps

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

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
    # A client that is new asks the daemon itself, and not what another client of this process was told before.
    ("grpc.use_local_subchannel_pool", 1),
    # Loopback never goes through a proxy, whatever the environment says.
    ("grpc.enable_http_proxy", 0),
    # Streams come in pieces of 1 MiB; descriptions and plans of big jobs are larger.
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
)


class Link:
    """Whom a client speaks to, and what it knows of them."""

    def __init__(self, address: Address, *, token: str | None, patience: float, now: Callable[[], float]) -> None:
        """Begin.

        Raises:
            ConfigError: the token cannot be sent, or the patience is no number of seconds.
        """
        self.address = address
        self.metadata: Metadata = () if token is None else _shown(token)
        self.patience = _seconds(patience)
        self.now = now
        """Gives the monotonic time, seconds."""
        self.is_closed = False
        self._process = os.getpid()
        self.was_reached = False
        """Whether the daemon ever answered; from then on its absence is waited out."""

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        *,
        doing: str,
        replay: bool = True,
        patience: float | None = None,
    ) -> Steps[ResponseT]:
        """Make a unary call, as often as it takes.

        Args:
            method: of a generated stub.
            request: its message.
            doing: what the call is for, for errors.
            replay: whether it may be sent again when the answer was lost.
            patience: seconds for which a daemon that was there may stay away; those of the client unless given.

        Raises:
            ClientError: the kind that fits.
        """
        seconds = self.patience if patience is None else patience
        waiting = Patience(self, doing=doing, seconds=seconds if replay else 0.0)
        while True:
            self.check_open()
            try:
                answer: ResponseT = yield Send(method=method, request=request, seconds=CALL_SECONDS)
            except grpc.RpcError as error:
                yield Pause(seconds=waiting.after(error))
            else:
                self.was_reached = True
                return answer

    @property
    def is_copied(self) -> bool:
        """Whether this process was forked from the one that connected: gRPC's threads stayed there."""
        return os.getpid() != self._process

    def check_open(self) -> None:
        """Do nothing while the client is open.

        Raises:
            ClosedError: it was closed, or is another process's.
        """
        if self.is_copied:
            why = "belongs to the process that made it, and this one was forked from that"
            raise ClosedError(f"the client of {self.address} {why}; make a new one here")
        if self.is_closed:
            raise self.closed_error()

    def closed_error(self) -> ClosedError:
        """Say that the client is closed; also the meaning of gRPC's complaint about a channel closed just now."""
        return ClosedError(f"the client of {self.address} was closed; make a new one")


def _shown(token: object) -> Metadata:
    """Give what shows a token; one that was read from a file may end a line."""
    if not isinstance(token, str):
        raise ConfigError(f"token is a {type(token).__name__}; give the text that `qubitd auth` wrote")
    bare = token.strip()
    if not (bare.isascii() and bare.isprintable()):
        raise ConfigError("token holds a character that none has; give the text that `qubitd auth` wrote")
    return (("authorization", f"Bearer {bare}"),) if bare else ()


def _seconds(patience: object) -> float:
    """Read a number of seconds of any real type; infinity is one."""
    if isinstance(patience, bool) or not isinstance(patience, Real) or not float(patience) >= 0:
        raise ConfigError(f"patience is {patience!r}; give seconds of 0 or more")
    return float(patience)


class Patience:
    """Says how long to wait between tries, longer each time, until the daemon was away for too long."""

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

    def after(self, error: grpc.RpcError) -> float:
        """Give the seconds to wait before another try.

        Raises:
            ClientError: another try is of no use, or patience is at its end.
        """
        link = self._link
        link.check_open()
        busy = busy_for(error)
        link.was_reached |= busy is not None or not is_passing(error)
        if busy is None and not is_passing(error):
            raise to_error(error, doing=self._doing) from error
        if not link.was_reached:
            reason = reason_of(error)
            raise UnreachableError(address=str(link.address), reason=reason, advice=advice_on(reason)) from error
        now = link.now()
        self._since = now if self._since is None else self._since
        left = self._since + self._seconds - now
        if left <= 0:
            raise self._lost(error) if busy is None else to_error(error, doing=self._doing) from error
        wait = min(max(self._wait, busy or 0.0), left)
        self._wait = min(2 * self._wait, LONGEST_WAIT)
        return wait

    def _lost(self, error: grpc.RpcError) -> LostError:
        address, reason = str(self._link.address), reason_of(error)
        return LostError(address=address, seconds=self._seconds, doing=self._doing, reason=reason)
