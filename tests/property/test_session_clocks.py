"""Sessions and the wall clock: whatever steps it takes, also while the daemon is down, and whether or not the machine
was booted anew meanwhile, no session is open, holds the rack or ends a moment earlier or later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.memory_disk import memory_folder

from qubitd.core.job import JobStatus
from qubitd.server.clocks import Clocks
from qubitd.server.errors import SessionClosedError
from qubitd.server.front.quotas import Quotas
from qubitd.server.scheduling.waiting import Window
from qubitd.server.sessions.book import SessionBook
from qubitd.server.sessions.rules import Outcome
from qubitd.server.store.sqlite_store import SqliteStore
from qubitd.wire.sessions import AtExpiry, SessionInfo, SessionTerms, encode_terms

HOUR = 3600
START_NS = 1_793_000_000 * 10**9
STEPS = st.sampled_from([0, HOUR, -HOUR, 1, -1, 365 * 24 * HOUR])
"""Seconds: somebody sets the clock, or a leap second is put in or taken out."""
DEEDS = st.one_of(
    st.sampled_from(["submit", "start", "end", "renew", "close"]),
    st.tuples(st.just("wait"), st.sampled_from([1, 30, 119, 121, 600])),
    st.tuples(st.just("restart"), st.sampled_from([0, 5, 100_000])),
)
Deed = str | tuple[str, int]
Seen = tuple[Any, ...]


@dataclass
class Life:
    """A book of one session on a clock of the test's, and what can be seen of it."""

    store: SqliteStore
    steady: float = 1_000.0
    wall_ns: int = START_NS
    seen: list[Seen] = field(default_factory=list)
    waiting: int = 0
    running: int = 0
    session_id: str = ""

    def __post_init__(self) -> None:
        clocks = Clocks(wall=lambda: self.wall_ns, steady=lambda: self.steady)
        self.book = SessionBook(store=self.store, clocks=clocks, quotas=Quotas(), served="line5")

    def pass_time(self, seconds: int) -> None:
        self.steady += seconds
        self.wall_ns += seconds * 10**9

    async def open(self, at_expiry: AtExpiry) -> None:
        terms = SessionTerms(key="k", backend="line5", max_seconds=1000.0, idle_seconds=300.0, at_expiry=at_expiry)
        self.session_id = (await self.book.open(encode_terms(terms), owner="ann", author="ann")).session_id

    async def do(self, deed: Deed) -> None:
        """Do something, if it can be done now."""
        match deed:
            case ("wait", seconds):
                self.pass_time(int(seconds))
            case ("restart", origin):
                await self.restart(int(origin))
            case "submit":
                try:
                    self.book.admit(self.session_id, owner="ann")
                    self.waiting += 1
                except SessionClosedError:
                    self.seen.append(("refused",))
            case "start" if self.waiting and not self.running:
                self.moved(JobStatus.QUEUED, JobStatus.RUNNING)
                self.waiting, self.running = self.waiting - 1, 1
            case "end" if self.running:
                self.moved(JobStatus.RUNNING, JobStatus.DONE)
                self.running = 0
            case "renew" if len(self.book):
                await self.book.renew(self.session_id, owner="ann")
            case "close":
                await self.book.close(self.session_id, owner="ann")
            case _:
                pass

    def moved(self, before: JobStatus, after: JobStatus) -> None:
        self.book.moved(self.session_id, before, after, qpu_seconds=2.0)

    async def restart(self, origin: int) -> None:
        """End in order and start again on a steady clock that begins anywhere, as after a boot."""
        if self.running:
            self.moved(JobStatus.RUNNING, JobStatus.QUEUED)
            self.waiting, self.running = self.waiting + 1, 0
        await self.book.settle_all()
        self.steady = float(origin)
        self.__post_init__()
        self.book.load([(self.session_id, JobStatus.QUEUED)] * self.waiting)

    def look(self) -> None:
        """See all that is decided, in seconds from now."""
        for _, outcome in self.book.expired():
            self.seen.append(("over", outcome))
            if outcome is Outcome.REQUEUE:
                for _ in range(self.waiting):
                    self.book.leave(self.session_id)
            else:
                for _ in range(self.waiting):
                    self.moved(JobStatus.QUEUED, JobStatus.CANCELLED)
            self.waiting = 0
        self.store.write(lambda _: None).result()
        windows = [decided(window, self.steady) for window in self.book.windows()]
        info = told(self.book.info(self.session_id, owner="ann"))
        self.seen.append((windows, self.book.next_look() - self.steady, info))


def decided(window: Window, now: float) -> Seen:
    return window.opened, window.needs, window.holds_until - now


def told(info: SessionInfo) -> Seen:
    return info.state, info.elapsed_seconds, info.qpu_seconds, info.holds_rack


async def lived(folder: Path, deeds: Sequence[Deed], steps: Sequence[int], at_expiry: AtExpiry) -> list[Seen]:
    """Live through the deeds while the wall clock takes steps."""
    store = SqliteStore(folder)
    try:
        life = Life(store)
        await life.open(at_expiry)
        for number, deed in enumerate(deeds):
            life.wall_ns += steps[number % len(steps)] * 10**9
            await life.do(deed)
            life.look()
        await life.book.settle_all()
        return life.seen
    finally:
        store.close()


WORKED: list[Deed] = ["submit", "start", ("wait", 600), "end", ("restart", 5), "submit", "start", ("wait", 600), "end"]


@settings(max_examples=60)
@example(deeds=WORKED, steps=[HOUR], at_expiry=AtExpiry.CANCEL)
@example(deeds=WORKED, steps=[-HOUR], at_expiry=AtExpiry.REQUEUE)
@given(
    deeds=st.lists(DEEDS, min_size=5, max_size=25),
    steps=st.lists(STEPS, min_size=1, max_size=5),
    at_expiry=st.sampled_from(AtExpiry),
)
def test_no_step_of_the_wall_clock_moves_a_session(deeds: list[Deed], steps: list[int], at_expiry: AtExpiry) -> None:
    with memory_folder() as folder:
        calm = asyncio.run(lived(folder / "calm", deeds, [0], at_expiry))
        stepping = asyncio.run(lived(folder / "stepping", deeds, steps, at_expiry))
    assert stepping == calm


def test_a_session_of_these_lives_holds_the_rack_and_ends() -> None:
    with memory_folder() as folder:
        seen = asyncio.run(lived(folder, [*WORKED, "submit", ("wait", 600)], [0], AtExpiry.CANCEL))
    assert ("over", Outcome.CANCEL) in seen
    assert any(one[-1][-1] for one in seen if len(one) == 3)
