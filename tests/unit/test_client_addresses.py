"""Which addresses a client takes."""

from __future__ import annotations

from typing import Any

import pytest

from qubitd.client import AddressError, QubitdClient
from qubitd.client.addresses import parse_address
from qubitd.client.credentials import Credentials
from qubitd.client.link import CHANNEL_OPTIONS


@pytest.mark.parametrize(
    ("text", "shown", "target"),
    [
        ("localhost", "localhost:50051", "localhost:50051"),
        ("LocalHost:7", "LocalHost:7", "localhost:7"),
        ("127.0.0.1", "127.0.0.1:50051", "ipv4:127.0.0.1:50051"),
        ("127.8.9.10:65535", "127.8.9.10:65535", "ipv4:127.8.9.10:65535"),
        ("::1", "[::1]:50051", "ipv6:[::1]:50051"),
        ("[::1]:9", "[::1]:9", "ipv6:[::1]:9"),
    ],
)
def test_this_machine_is_taken_in_every_spelling(text: str, shown: str, target: str) -> None:
    address = parse_address(text)
    assert (str(address), address.target) == (shown, target)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("10.0.0.5:50051", "ipv4:10.0.0.5:50051"),
        ("lab.example.org", "dns:///lab.example.org:50051"),
        ("[::2]:1", "ipv6:[::2]:1"),
    ],
)
def test_another_machine_is_spoken_to_over_tls_alone(text: str, target: str) -> None:
    address = parse_address(text)
    assert (address.target, address.is_local) == (target, False)
    assert Credentials().channel_credentials(address) is not None
    assert Credentials().channel_credentials(parse_address("localhost")) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://localhost",
        "http://lab:1",
        "localhost:",
        "lab:port",
        ":50051",
        "localhost:999999",
        "\ud800:1",
        "a b\n",
        5,
    ],
)
def test_what_is_no_address_is_refused(text: Any) -> None:
    with pytest.raises(AddressError, match="is no address"):
        parse_address(text)


@pytest.mark.parametrize("port", [0, 65_536])
def test_a_port_outside_its_range_is_refused(port: int) -> None:
    with pytest.raises(AddressError, match=r"outside 1\.\.65535"):
        parse_address(f"localhost:{port}")


def test_files_for_tls_that_cannot_be_used_are_named() -> None:
    nothing: Any = 3
    with pytest.raises(AddressError, match=r"^3 cannot be read: .* not int"):
        Credentials(ca=nothing).channel_credentials(parse_address("lab:1"))
    with pytest.raises(AddressError, match=r"nowhere\.pem cannot be read: No such file"):
        QubitdClient("localhost", ca="nowhere.pem")
    with pytest.raises(AddressError, match="cert and key belong together"):
        QubitdClient("localhost", cert="file.pem")


def test_a_half_open_link_is_noticed_within_25_seconds() -> None:
    options = dict(CHANNEL_OPTIONS)
    assert options["grpc.keepalive_time_ms"] + options["grpc.keepalive_timeout_ms"] <= 25_000
    assert options["grpc.http2.max_pings_without_data"] == 0
