"""What all watches have in common: a project has so many open at once, and one that told nothing for long says where it
stands. All of it in the event loop's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Hashable, Iterable
from contextlib import contextmanager

from qubitd.server.auth.identity import LOCAL, caller
from qubitd.server.errors import TooBusyError
from qubitd.server.watching.announcer import Announcer
from qubitd.server.watching.silence import Silence

MOST = 64
"""Watches of one kind of one project, unless it is the machine's own."""
MOST_OF_BACKENDS = 1024
"""Of backends: every program that uses one watches it, to follow its Target, and a project may be a whole lab."""


class Watches:
    """The watches of one kind that are open."""

    def __init__(self, *, announcer: Announcer, steady: Callable[[], float], most: int) -> None:
        """Wake them by an announcer; `steady` gives s on a clock that nobody sets; a project has so many at most."""
        self._announcer = announcer
        self._steady = steady
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_more(self) -> Generator[None]:
        """Have one of the caller's project open.

        Raises:
            TooBusyError: it has as many as it may have.
        """
        owner = caller().project
        if owner != LOCAL.project and self._open[owner] >= self._most:
            raise TooBusyError(what=f"{self._most} watches of {owner} are open already", limit=self._most)
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open[owner] -= 1

    async def of_topics(
        self, *topics: Hashable, news: Callable[[], Iterable[bytes]], bookmark: Callable[[], bytes]
    ) -> AsyncGenerator[bytes]:
        """Send what is new, now and after each announcement, for ever.

        Args:
            topics: of which any is announced when there may be news.
            news: gives the messages that were not sent yet.
            bookmark: gives the message that says where the watch stands.

        Raises:
            TooBusyError: the caller's project has as many as it may have.
        """
        silence = Silence(self._steady)
        with self.one_more(), self._announcer.listen(*topics) as listener:
            while True:
                listener.clear()
                for message in news():
                    yield message
                    silence.end()
                if not silence.left:
                    yield bookmark()
                    silence.end()
                await listener.wait(silence.left)
