"""What a store that several daemons write offers beside what one daemon needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Pulse(Protocol):
    """A daemon's signs of life, and its ear for the others'."""

    async def beat(self, backend: str, fence: int) -> None:
        """Give a sign of life."""
        ...

    async def tell(self) -> None:
        """Have the others look."""
        ...

    async def hear(self, timeout: float) -> None:
        """Wait until another daemon has something to tell, or for some seconds."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


class Sharing(Protocol):
    """How a daemon shares its store with others."""

    on_written: Callable[[], None]
    """Called from the writer's thread whenever something became durable."""

    def guard(self, backend: str, fence: int) -> None:
        """Commit nothing from now on unless the backend is owned under this number."""
        ...

    async def pulse(self) -> Pulse:
        """Open what signs of life take."""
        ...
