"""A network between a client and its daemon: it is cut, is away for a while, or lets few bytes pass at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Network:
    """What lies between a client and its daemon."""

    target: str
    most: int = 65_536
    """Bytes that pass at once."""
    is_away: bool = False
    made: int = 0
    refused: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client found the network away."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_away:
            self.refused.set()
            writer.transport.abort()
            return
        self.made += 1
        host, _, port = self.target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self.writers += [writer, far_writer]
        await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(self.most):
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


@asynccontextmanager
async def network(target: str, *, most: int = 65_536) -> AsyncGenerator[tuple[Network, str]]:
    between = Network(target, most)
    server = await asyncio.start_server(between.connect, "127.0.0.1", 0)
    try:
        yield between, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        between.cut()
