"""What a daemon knows of the others of its group: it ages by itself, and a step of one clock alone makes nobody act."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qubitd.server.errors import ServedElsewhereError, UnknownBackendError
from qubitd.server.group.roster import TOPIC, Roster
from qubitd.server.membership import ABANDONED, BEAT, OFFLINE, Member, Notice
from qubitd.server.watching.announcer import Announcer

SOUTH = Member(
    backend="south",
    fence=1,
    daemon="d",
    address="127.0.0.1:5",
    beat_ns=1,
    age=0.0,
    left_because="",
    notice=Notice(description=b"described"),
)


class Group:
    """A roster on a clock of the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.announcer = Announcer()
        self.roster = Roster(own="north", announcer=self.announcer, steady=lambda: self.now)

    def look(self, *, age: float, beat_ns: int = 1) -> None:
        self.roster.look([replace(SOUTH, backend="north"), replace(SOUTH, age=age, beat_ns=beat_ns)])


def test_a_dead_daemon_shows_as_offline_within_five_seconds() -> None:
    look = BEAT
    assert OFFLINE + look < 5.0


def test_what_was_seen_grows_old_between_two_looks() -> None:
    group = Group()
    group.look(age=1.0)
    assert [one.online for one in group.roster.standings()] == [True, True]
    group.now = OFFLINE - 1.0
    assert [(one.name, one.online) for one in group.roster.standings()] == [("north", True), ("south", False)]


async def test_who_waits_is_woken_when_a_backend_goes_and_comes_but_not_by_each_look() -> None:
    group = Group()
    group.look(age=0.0)
    woken = []
    with group.announcer.listen(TOPIC) as listener:
        for beat_ns, age in ((2, 0.5), (2, OFFLINE), (2, OFFLINE + 1), (3, 0.0)):
            listener.clear()
            group.look(age=age, beat_ns=beat_ns)
            woken.append(listener.is_called)
    assert woken == [False, True, False, True]


def test_an_abandoned_backend_was_silent_by_both_clocks() -> None:
    group = Group()
    group.look(age=0.0)
    group.look(age=3600.0)
    assert group.roster.abandoned() == []
    group.now = ABANDONED
    group.look(age=1.0, beat_ns=2)
    assert group.roster.abandoned() == []
    group.now = 2 * ABANDONED
    group.look(age=ABANDONED, beat_ns=2)
    assert [member.backend for member in group.roster.abandoned()] == ["south"]


def test_a_backend_is_unknown_only_after_another_look() -> None:
    group = Group()
    group.roster.look_again = lambda: group.look(age=0.0)
    assert group.roster.find("north") is None
    assert group.roster.find("south") is not None
    with pytest.raises(UnknownBackendError, match="there is north, south"):
        group.roster.find("east")


def test_what_another_daemon_keeps_is_refused_with_its_address_and_its_trouble() -> None:
    group = Group()
    group.look(age=OFFLINE)
    group.roster.check_own("north", "a session")
    with pytest.raises(ServedElsewhereError, match=r"a session of 'south' .* 127\.0\.0\.1:5.*heard of last"):
        group.roster.check_own("south", "a session")
