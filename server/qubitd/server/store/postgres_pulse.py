"""A daemon's signs of life in PostgreSQL and its ear for the others', on connections of their own: neither waits for a
writer's turn, and none is sent from within a writer's transaction.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, cast

import psycopg

from qubitd.server.errors import DatabaseLostError, FencedError
from qubitd.server.store.members import DATABASE_TIME
from qubitd.server.store.postgres import first_line, linked, place_of

_CHANNEL = "qubitd"


class PostgresPulse:
    """Two connections of the event loop."""

    def __init__(
        self, beating: psycopg.AsyncConnection[Any], listening: psycopg.AsyncConnection[Any], *, place: str
    ) -> None:
        self._place = place
        self._beating = beating
        self._listening = listening

    async def beat(self, backend: str, fence: int) -> None:
        """Give a sign of life.

        Raises:
            FencedError: the backend is owned under another number by now.
            DatabaseLostError: the server does not answer any more.
        """
        sql = f"UPDATE member SET beat_ns = {DATABASE_TIME} WHERE backend = %s AND fence = %s"  # noqa: S608 (constant)
        try:
            done = await self._beating.execute(cast(Any, sql), (backend, fence))
        except psycopg.Error as error:
            raise self._lost(error) from error
        if done.rowcount != 1:
            raise FencedError(backend=backend, fence=fence)

    async def tell(self) -> None:
        """Have the others look.

        Raises:
            DatabaseLostError: the server does not answer any more.
        """
        try:
            await self._beating.execute(cast(Any, f"NOTIFY {_CHANNEL}"))
        except psycopg.Error as error:
            raise self._lost(error) from error

    async def hear(self, timeout: float) -> None:
        """Wait until another daemon has something to tell, or for some seconds.

        Raises:
            DatabaseLostError: the server does not answer any more.
        """
        own = self._beating.info.backend_pid
        try:
            async with aclosing(self._listening.notifies(timeout=timeout)) as notices:
                async for notice in notices:
                    if notice.pid != own:
                        return
        except psycopg.Error as error:
            raise self._lost(error) from error

    def _lost(self, error: psycopg.Error) -> DatabaseLostError:
        return DatabaseLostError(place=self._place, cause=first_line(error))

    async def close(self) -> None:
        """Hang up."""
        await self._beating.close()
        await self._listening.close()


async def open_pulse(url: str) -> PostgresPulse:
    """Connect.

    Raises:
        DatabaseLostError: the server does not answer any more.
    """
    try:
        beating = await psycopg.AsyncConnection.connect(linked(url), autocommit=True)
        # A sign of life need not survive a power cut.
        await beating.execute("SET synchronous_commit = off")
        listening = await psycopg.AsyncConnection.connect(linked(url), autocommit=True)
        await listening.execute(cast(Any, f"LISTEN {_CHANNEL}"))
    except psycopg.Error as error:
        raise DatabaseLostError(place=place_of(url), cause=first_line(error)) from error
    return PostgresPulse(beating, listening, place=place_of(url))
