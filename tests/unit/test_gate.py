"""Who is let in, by what they show."""

from __future__ import annotations

import pytest

from qubitd.server.auth.errors import UnauthenticatedError
from qubitd.server.auth.gate import PASSED_ON, SPEAKS_FOR, Gate, Shown, shown
from qubitd.server.auth.identity import LOCAL
from qubitd.server.front.rpc import Call
from qubitd.server.group.forwarding import metadata_of

RPC = "qubitd.v1.Jobs/Submit"
OPEN = Gate(accounts=None, remember=lambda *_: None)


def test_a_daemon_without_accounts_lets_everybody_in_who_calls_it_directly() -> None:
    assert OPEN.admit(RPC, Shown()) == LOCAL
    assert OPEN.admit(RPC, Shown(token="of another daemon")) == LOCAL
    assert OPEN.admit(RPC, Shown(is_passed_on=True)) == LOCAL


def test_a_daemon_without_accounts_gives_no_rights_to_who_has_an_account_elsewhere() -> None:
    with pytest.raises(UnauthenticatedError):
        OPEN.admit(RPC, shown([("authorization", "Bearer x"), (PASSED_ON, "1")], {}))
    with pytest.raises(UnauthenticatedError):
        OPEN.admit(RPC, shown([(SPEAKS_FOR, "eve"), (PASSED_ON, "1")], {}))


def test_a_name_of_any_letters_is_passed_on() -> None:
    call = Call(rpc=RPC, data=b"", metadata=(), certificate="J\u00f6rg", time_left=None)
    assert shown(metadata_of(call), {}).speaks_for == "J\u00f6rg"
    assert all(str(value).isascii() for _, value in metadata_of(call))
