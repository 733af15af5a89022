"""Passes a call on to the daemon that keeps what it is about, as the caller sent it, with the token that came with it,
or with the name in the caller's certificate: the other daemon believes that of one with a daemon's certificate.

The other daemon lets the caller in by itself. It may be away; then the caller is told where it was.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio

from qubitd.server.auth.gate import PASSED_ON, SPEAKS_FOR
from qubitd.server.errors import ServedElsewhereError
from qubitd.server.front.rpc import Call, PassedOnError
from qubitd.server.front.serving import is_loopback
from qubitd.wire.errors import DETAILS_KEY

_MARK = (PASSED_ON, "1")
"""What came with it goes no further."""
_OPTIONS = [("grpc.max_receive_message_length", 64 * 2**20), ("grpc.max_send_message_length", 64 * 2**20)]
_AS_BYTES = (None, None)
"""Serialise nothing and parse nothing."""


class Forwarding:
    """Connections to the other daemons, each opened when it is needed."""

    def __init__(self, credentials: grpc.ChannelCredentials, *, wants_certificates: bool) -> None:
        """Pass calls on.

        Args:
            credentials: for TLS.
            wants_certificates: whether the group's callers come with certificates: then TLS is everywhere.
        """
        self._credentials = credentials
        self._wants_certificates = wants_certificates
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def unary(self, call: Call, elsewhere: ServedElsewhereError) -> bytes:
        """Give the other daemon's answer.

        Raises:
            PassedOnError: its refusal.
            ServedElsewhereError: it is away, or the call came from another daemon already.
        """
        channel = self._channel(call, elsewhere)
        try:
            answer = await channel.unary_unary(f"/{call.rpc}", *_AS_BYTES)(
                call.data, metadata=metadata_of(call), timeout=call.time_left
            )
        except grpc.aio.AioRpcError as error:
            raise _passed_on(error, elsewhere) from error
        return bytes(answer)

    async def stream(self, call: Call, elsewhere: ServedElsewhereError) -> AsyncGenerator[bytes]:
        """Give the other daemon's answers one by one.

        Raises:
            PassedOnError: its refusal.
            ServedElsewhereError: it is away, or the call came from another daemon already.
        """
        channel = self._channel(call, elsewhere)
        answers = channel.unary_stream(f"/{call.rpc}", *_AS_BYTES)(
            call.data, metadata=metadata_of(call), timeout=call.time_left
        )
        try:
            async for answer in answers:
                yield bytes(answer)
        except grpc.aio.AioRpcError as error:
            raise _passed_on(error, elsewhere) from error
        finally:
            answers.cancel()

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels.values():
            await channel.close(None)

    def _channel(self, call: Call, elsewhere: ServedElsewhereError) -> grpc.aio.Channel:
        address = elsewhere.address
        if not address or not elsewhere.can_pass_on or _MARK in call.metadata:
            raise elsewhere
        if address not in self._channels:
            self._channels[address] = self._open(address)
        return self._channels[address]

    def _open(self, address: str) -> grpc.aio.Channel:
        if not self._wants_certificates and is_loopback(address.rpartition(":")[0].strip("[]")):
            return grpc.aio.insecure_channel(address, options=_OPTIONS)
        return grpc.aio.secure_channel(address, self._credentials, options=_OPTIONS)


def metadata_of(call: Call) -> tuple[tuple[str, str | bytes], ...]:
    """Say for whom a call is passed on."""
    token = tuple(pair for pair in call.metadata if pair[0] == "authorization")
    name = () if token or call.certificate is None else ((SPEAKS_FOR, quote(call.certificate)),)
    return (*token, *name, _MARK)


def _passed_on(error: grpc.aio.AioRpcError, elsewhere: ServedElsewhereError) -> Exception:
    trailing: Any = error.trailing_metadata() or ()
    details = tuple((key, value) for key, value in trailing if key == DETAILS_KEY)
    if error.code() is grpc.StatusCode.UNAVAILABLE and not details:  # what a daemon refuses, it says why
        return ServedElsewhereError(
            backend=elsewhere.backend,
            address=elsewhere.address,
            what=elsewhere.what,
            trouble=elsewhere.trouble or "that daemon does not answer now",
        )
    return PassedOnError(code=error.code(), message=error.details() or "", details=details)
