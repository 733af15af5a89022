"""Who is let in, by what they show."""

from __future__ import annotations

import pytest

from qubitd.server.auth.errors import UnauthenticatedError
from qubitd.server.auth.gate import PASSED_ON, Gate, Shown, shown
from qubitd.server.auth.identity import LOCAL

RPC = "qubitd.v1.Jobs/Submit"
OPEN = Gate(accounts=None, remember=lambda *_: None)


def test_a_daemon_without_accounts_lets_everybody_in_who_calls_it_directly() -> None:
    assert OPEN.admit(RPC, Shown()) == LOCAL
    assert OPEN.admit(RPC, Shown(token="of another daemon")) == LOCAL
    assert OPEN.admit(RPC, Shown(is_passed_on=True)) == LOCAL


def test_a_daemon_without_accounts_gives_no_rights_to_who_has_an_account_elsewhere() -> None:
    with pytest.raises(UnauthenticatedError):
        OPEN.admit(RPC, shown([("authorization", "Bearer x"), (PASSED_ON, "1")], {}))
