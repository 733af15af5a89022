"""gRPC handlers that take bytes and parse inside, so that malformed bytes get an answer and leave no traceback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from qubitd.core.errors import QubitdError
from qubitd.server.error_codes import code_of, refusal_of
from qubitd.wire.errors import DETAILS_KEY, clip, encode_refusal
from qubitd.wire.parsing import SMALL_MESSAGE, check_count, parse

Request = TypeVar("Request", bound=Message)
Context = grpc.aio.ServicerContext[bytes, bytes]


MAX_BYTES = 65_536
"""Bytes of a request that carries no job and no calibration."""


def unary(
    kind: type[Request], method: Callable[[Request], Awaitable[Message]], *, most: int = MAX_BYTES
) -> grpc.RpcMethodHandler[Any, Any]:
    """One request of at most so many bytes, one answer."""

    async def handle(data: bytes, context: Context) -> bytes:
        try:
            answer = await method(await _read(kind, data, most))
        except QubitdError as error:
            await _refuse(context, error)
        return answer.SerializeToString()

    return grpc.unary_unary_rpc_method_handler(handle)


def stream(kind: type[Request], method: Callable[[Request], AsyncIterator[bytes]]) -> grpc.RpcMethodHandler[Any, Any]:
    """One request, many answers; they come serialised."""

    async def handle(data: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            async for answer in method(await _read(kind, data, MAX_BYTES)):
                yield answer
        except QubitdError as error:
            await _refuse(context, error)

    return grpc.unary_stream_rpc_method_handler(handle)


async def _read(kind: type[Request], data: bytes, most: int) -> Request:
    check_count(len(data), where=f"{kind.DESCRIPTOR.name}, bytes", most=most)
    return parse(kind, data) if len(data) <= SMALL_MESSAGE else await asyncio.to_thread(parse, kind, data)


async def _refuse(context: Context, error: QubitdError) -> NoReturn:
    details = ((DETAILS_KEY, encode_refusal(refusal_of(error))),)
    await context.abort(code_of(error), clip(str(error)), trailing_metadata=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of the wire contract and the handlers of all its RPCs."""

    name: str
    """With its package."""
    rpcs: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    """By the RPC's name."""

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """Give what a gRPC server takes."""
        return grpc.method_handlers_generic_handler(self.name, dict(self.rpcs))
