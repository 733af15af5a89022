"""How daemons share a store in PostgreSQL: each writes only while it owns its backend."""

from __future__ import annotations

from collections.abc import Callable

from qubitd.server.store.database import Database
from qubitd.server.store.members import DATABASE_TIME, check_fence
from qubitd.server.store.postgres_pulse import PostgresPulse, open_pulse


class PostgresSharing:
    """One daemon's part."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._owned: tuple[str, int] | None = None
        self.on_written: Callable[[], None] = _nobody_told

    def guard(self, backend: str, fence: int) -> None:
        """Commit nothing from now on unless the backend is owned under this number."""
        self._owned = (backend, fence)

    async def pulse(self) -> PostgresPulse:
        """Open what signs of life take.

        Raises:
            StoreBrokenError: the database is gone.
        """
        return await open_pulse(self._url)

    def check(self, connection: Database) -> None:
        """Look, in a writer's turn, whether it may write.

        Raises:
            FencedError: the backend is owned under another number by now.
        """
        if self._owned is not None:
            check_fence(connection, *self._owned)


def database_time(connection: Database) -> int:
    """Give the time by the server's clock, ns since 1970-01-01 UTC."""
    return int(connection.execute(f"SELECT {DATABASE_TIME}").fetchone()[0])


def _nobody_told() -> None:
    """Nobody shares the store yet."""
