"""What projects used of a rack outlives its daemon, and counts at the other racks of the group."""

from __future__ import annotations

import pytest

from qubitd.server.clocks import Clocks
from qubitd.server.queueing.fair_share import FairShare
from qubitd.server.queueing.served import ServedTime
from qubitd.server.scheduling.shares import HALF_LIFE, Shares
from qubitd.server.store.store import Store


class Daemon:
    """One life of a daemon, on a steady clock that began anywhere; its wall clock is never asked."""

    def __init__(self, store: Store, backend: str, *, boot: float = 0.0) -> None:
        self.time = boot
        clocks = Clocks(steady=lambda: self.time, wall=lambda: pytest.fail("the wall clock may step"))
        self.store = store
        self.served = ServedTime(store=store, clocks=clocks, backend=backend)
        weights = {"big": 4.0}
        self.fair = FairShare(store=store, clocks=clocks, served=self.served, backend=backend, weights=weights)

    def used(self, project: str) -> float:
        return self.fair.shares.used(project, at=self.time)

    def end(self) -> None:
        self.served.note(hurried=True)
        self.store.write(lambda w: None).result()


def test_use_outlives_a_daemon_and_fades_while_its_backend_is_served(store: Store) -> None:
    first = Daemon(store, "south")
    first.fair.charge("ann", 60.0)
    first.fair.charge("ann", 40.0)
    first.fair.charge("bob", 30.0)
    first.time += HALF_LIFE
    first.end()
    second = Daemon(store, "south", boot=5e6)
    assert second.used("ann") == pytest.approx(50.0)
    second.fair.charge("bob", 10.0)
    second.time += HALF_LIFE
    second.end()
    third = Daemon(store, "south")
    assert third.used("ann") == pytest.approx(25.0)
    assert third.used("bob") == pytest.approx(12.5)
    assert third.fair.shares.standing("bob") < third.fair.shares.standing("ann")


def test_use_of_the_other_racks_of_a_group_counts_and_is_not_counted_twice(store: Store) -> None:
    south, north = Daemon(store, "south"), Daemon(store, "north", boot=9e5)
    south.fair.charge("ann", 100.0)
    north.fair.charge("bob", 70.0)
    for one in (south, north):
        one.end()
        one.fair.look()
        one.fair.look()
        shares = one.fair.shares
        assert shares.standing("bob") / shares.standing("ann") == pytest.approx(0.7)
    north.fair.charge("bob", 40.0)
    assert north.fair.shares.standing("bob") > north.fair.shares.standing("ann")
    north.end()
    again = Daemon(store, "north")
    again.fair.look()
    assert again.fair.shares.standing("bob") > again.fair.shares.standing("ann")
    assert again.used("ann") == 0.0


def test_use_elsewhere_fades_like_that_here_however_long_a_daemon_lives() -> None:
    shares = Shares()
    shares.take_in({"ann": 8.0}, at=0.0)
    shares.add("bob", 4.0, at=0.0)
    shares.add("eve", 1.0, at=70 * HALF_LIFE)
    assert shares.standing("ann") == pytest.approx(2 * shares.standing("bob"), abs=1e-12)
    rehearsal = shares.copy()
    assert rehearsal.standing("ann") == shares.standing("ann")
    shares.take_in({"ann": 8.0}, at=70 * HALF_LIFE)
    assert shares.standing("ann") == pytest.approx(8 * shares.standing("eve"))


def test_a_project_may_have_a_greater_share_after_a_restart_as_before(store: Store) -> None:
    first = Daemon(store, "south")
    first.fair.charge("big", 100.0)
    first.fair.charge("ann", 30.0)
    first.end()
    for daemon in (first, Daemon(store, "south", boot=7.0)):
        assert daemon.fair.shares.standing("big") < daemon.fair.shares.standing("ann")
        assert daemon.used("big") > daemon.used("ann")
