"""gRPC handlers that take bytes and parse inside, so that malformed bytes get an answer and leave no traceback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from qubitd.core.errors import QubitdError
from qubitd.server.auth.gate import Gate, Shown, shown
from qubitd.server.error_codes import code_of, refusal_of
from qubitd.server.errors import ServedElsewhereError
from qubitd.server.front.receiving import Parcel, Turns
from qubitd.wire.errors import DETAILS_KEY, clip, encode_refusal
from qubitd.wire.parsing import SMALL_MESSAGE, check_count, parse

Request = TypeVar("Request", bound=Message)
Context = grpc.aio.ServicerContext[bytes, bytes]


MAX_BYTES = 65_536
"""Bytes of a request that carries no job and no calibration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it came."""

    rpc: str
    data: bytes
    metadata: tuple[tuple[str, str | bytes], ...]
    time_left: float | None
    """Seconds; None for any time."""
    certificate: str | None
    """Name in the caller's; None without one."""


class PassedOnError(Exception):
    """What another daemon of the group answered instead of what was asked for."""

    def __init__(self, *, code: grpc.StatusCode, message: str, details: tuple[tuple[str, str | bytes], ...]) -> None:
        self.code = code
        self.details = details
        super().__init__(message)


class Forward(Protocol):
    """Passes calls on to the daemon whose they are."""

    async def unary(self, call: Call, elsewhere: ServedElsewhereError) -> bytes:
        """Give the other daemon's answer."""
        ...

    def stream(self, call: Call, elsewhere: ServedElsewhereError) -> AsyncGenerator[bytes]:
        """Give the other daemon's answers one by one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What every call goes through."""

    gate: Gate
    forward: Forward | None = None
    """None for a daemon that shares its store with no other."""
    turns: Turns = field(default_factory=Turns)
    passed_on: Turns = field(default_factory=Turns)
    """Of calls that came through another daemon, which keeps their turns there meanwhile: would they wait for turns of
    the other kind, two daemons could wait for each other.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Generic[Request]):
    """One request of at most so many bytes, one answer."""

    kind: type[Request]
    method: Callable[[Request], Awaitable[Message]]
    most: int

    def handler(self, rpc: str, door: Door) -> grpc.RpcMethodHandler[Any, Any]:
        """Give what a gRPC server takes."""

        async def answer(data: bytes, context: Context) -> bytes:
            with door.gate.let_in(rpc, _shown(context)):
                try:
                    return (await self.method(await _read(self.kind, data, self.most))).SerializeToString()
                except ServedElsewhereError as elsewhere:
                    if door.forward is None:
                        raise
                    return await door.forward.unary(_call(rpc, data, context), elsewhere)

        async def handle(data: bytes, context: Context) -> bytes:
            try:
                return await answer(data, context)
            except (QubitdError, PassedOnError) as error:
                await _refuse(context, error)

        return grpc.unary_unary_rpc_method_handler(handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Generic[Request]):
    """One request of at most so many bytes, one answer. Whoever reads it has its only copy.

    To gRPC it is a stream of one message, which looks the same on the wire: else gRPC would hold a copy of the request
    until it is answered, and would read it before the caller is known.
    """

    kind: type[Request]
    method: Callable[[Parcel], Awaitable[Message]]
    most: int

    def handler(self, rpc: str, door: Door) -> grpc.RpcMethodHandler[Any, Any]:
        """Give what a gRPC server takes."""

        async def answer(context: Context) -> bytes:
            proof = _shown(context)
            with door.gate.let_in(rpc, proof):
                turns = door.passed_on if proof.is_passed_on else door.turns
                parcel = await turns.receive(lambda: _only_message(context))
                try:
                    check_count(len(parcel.data), where=_bytes_of(self.kind), most=self.most)
                    return (await self.method(parcel)).SerializeToString()
                except ServedElsewhereError as elsewhere:
                    if door.forward is None or parcel.is_dropped:
                        raise
                    return await door.forward.unary(_call(rpc, parcel.data, context), elsewhere)
                finally:
                    parcel.make_way()

        async def handle(_messages: AsyncIterator[bytes], context: Context) -> bytes:
            try:
                return await answer(context)
            except (QubitdError, PassedOnError) as error:
                await _refuse(context, error)

        return grpc.stream_unary_rpc_method_handler(handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming(Generic[Request]):
    """One request, many answers; they come serialised. Before each one the caller is looked at again."""

    kind: type[Request]
    method: Callable[[Request], AsyncGenerator[bytes]]

    def handler(self, rpc: str, door: Door) -> grpc.RpcMethodHandler[Any, Any]:
        """Give what a gRPC server takes."""

        async def answers(data: bytes, context: Context) -> AsyncGenerator[bytes]:
            try:
                async with aclosing(self.method(await _read(self.kind, data, MAX_BYTES))) as own:
                    async for answer in own:
                        yield answer
            except ServedElsewhereError as elsewhere:
                if door.forward is None:
                    raise
                async with aclosing(door.forward.stream(_call(rpc, data, context), elsewhere)) as others:
                    async for answer in others:
                        yield answer

        async def handle(data: bytes, context: Context) -> None:
            try:
                proof = _shown(context)
                with door.gate.let_in(rpc, proof):
                    async with aclosing(answers(data, context)) as given:
                        async for answer in given:
                            door.gate.admit(rpc, proof)
                            if not await _was_sent(context, answer):
                                return
            except (QubitdError, PassedOnError) as error:
                await _refuse(context, error)

        return grpc.unary_stream_rpc_method_handler(handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving(Generic[Request]):
    """Many requests of at most so many bytes each, one answer. At each one the caller is looked at again."""

    kind: type[Request]
    method: Callable[[AsyncGenerator[Request]], Awaitable[Message]]
    most: int

    def handler(self, rpc: str, door: Door) -> grpc.RpcMethodHandler[Any, Any]:
        """Give what a gRPC server takes."""
        gate = door.gate

        async def handle(messages: AsyncIterator[bytes], context: Context) -> bytes:
            try:
                proof = _shown(context)

                async def requests() -> AsyncGenerator[Request]:
                    async for data in messages:
                        gate.admit(rpc, proof)
                        yield await _read(self.kind, data, self.most)

                with gate.let_in(rpc, proof):
                    async with aclosing(requests()) as received:
                        answer = await self.method(received)
            except QubitdError as error:
                await _refuse(context, error)
            return answer.SerializeToString()

        return grpc.stream_unary_rpc_method_handler(handle)


Rpc = Unary[Any] | Whole[Any] | Streaming[Any] | Receiving[Any]


def unary(kind: type[Request], method: Callable[[Request], Awaitable[Message]], *, most: int = MAX_BYTES) -> Rpc:
    """One request of at most so many bytes, one answer."""
    return Unary(kind=kind, method=method, most=most)


def whole(kind: type[Request], method: Callable[[Parcel], Awaitable[Message]], *, most: int) -> Rpc:
    """One request of at most so many bytes, which is read by the method itself, one answer."""
    return Whole(kind=kind, method=method, most=most)


def stream(kind: type[Request], method: Callable[[Request], AsyncGenerator[bytes]]) -> Rpc:
    """One request, many answers; they come serialised."""
    return Streaming(kind=kind, method=method)


def receive(kind: type[Request], method: Callable[[AsyncGenerator[Request]], Awaitable[Message]], *, most: int) -> Rpc:
    """Many requests of at most so many bytes each, one answer."""
    return Receiving(kind=kind, method=method, most=most)


def _shown(context: Context) -> Shown:
    metadata: Any = context.invocation_metadata() or ()
    return shown(metadata, context.auth_context())


async def _was_sent(context: Context, answer: bytes) -> bool:
    """Send one answer of a stream; False if the caller has hung up, which is no fault of anybody."""
    try:
        await context.write(answer)
    except grpc.aio.InternalError:
        return False
    return True


async def _only_message(context: Context) -> bytes:
    message: Any = await context.read()
    return message if isinstance(message, bytes) else b""


def _bytes_of(kind: type[Message]) -> str:
    return f"{kind.DESCRIPTOR.name}, bytes"


async def _read(kind: type[Request], data: bytes, most: int) -> Request:
    check_count(len(data), where=_bytes_of(kind), most=most)
    return parse(kind, data) if len(data) <= SMALL_MESSAGE else await asyncio.to_thread(parse, kind, data)


def _call(rpc: str, data: bytes, context: Context) -> Call:
    metadata: Any = context.invocation_metadata() or ()
    return Call(
        rpc=rpc,
        data=data,
        metadata=tuple(map(tuple, metadata)),
        time_left=context.time_remaining(),
        certificate=_shown(context).certificate,
    )


async def _refuse(context: Context, error: QubitdError | PassedOnError) -> NoReturn:
    if isinstance(error, PassedOnError):
        await context.abort(error.code, str(error), trailing_metadata=error.details)
    details = ((DETAILS_KEY, encode_refusal(refusal_of(error))),)
    await context.abort(code_of(error), clip(str(error)), trailing_metadata=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of the wire contract and the handlers of all its RPCs."""

    name: str
    """With its package."""
    rpcs: Mapping[str, Rpc]
    """By the RPC's name."""

    def handler(self, door: Door) -> grpc.GenericRpcHandler[Any, Any]:
        """Give what a gRPC server takes; every call passes the gate."""
        handlers = {name: rpc.handler(f"{self.name}/{name}", door) for name, rpc in self.rpcs.items()}
        return grpc.method_handlers_generic_handler(self.name, handlers)
