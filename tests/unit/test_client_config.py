"""Where a client finds its daemon, and that a token goes nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from qubitd.client import Access, ConfigError, config_file, find_access
from qubitd.client.config import _config_directory

PROFILES = """
[profiles.default]
address = "localhost:1"

[profiles.lab]
address = "localhost:2"
token = "secret"
ca = "lab.pem"
key = "/etc/lab.key"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(PROFILES)
    path.chmod(0o600)
    return path


@pytest.fixture
def environment(file: Path) -> dict[str, str]:
    return {"QUBITD_CONFIG": str(file)}


def test_what_is_typed_wins_over_everything(environment: dict[str, str]) -> None:
    everything = environment | {"QUBITD_ADDRESS": "localhost:9", "QUBITD_TOKEN": "t", "QUBITD_PROFILE": "lab"}
    assert find_access("localhost:3", environment=everything) == Access(address="localhost:3")
    assert find_access("localhost:3", "mine", environment=everything).token == "mine"


def test_a_named_profile_gives_everything_and_files_lie_beside_it(environment: dict[str, str], file: Path) -> None:
    found = find_access(profile="lab", environment=environment | {"QUBITD_ADDRESS": "localhost:9"})
    expected = Access(address="localhost:2", token="secret", ca=str(file.parent / "lab.pem"), key="/etc/lab.key")
    assert found == expected
    assert find_access(profile="lab", token="other", environment=environment).token == "other"


def test_the_environment_names_a_daemon_before_any_profile_does(environment: dict[str, str]) -> None:
    named = environment | {"QUBITD_ADDRESS": "localhost:9", "QUBITD_TOKEN": "t", "QUBITD_PROFILE": "lab"}
    assert find_access(environment=named) == Access(address="localhost:9", token="t")


def test_a_token_of_the_environment_does_not_travel_to_the_daemon_of_a_profile(environment: dict[str, str]) -> None:
    with pytest.warns(UserWarning, match="QUBITD_TOKEN of the environment goes with QUBITD_ADDRESS, which is not set"):
        assert find_access(environment=environment | {"QUBITD_TOKEN": "t"}) == Access(address="localhost:1")
    with pytest.warns(UserWarning, match=r"QUBITD_CA, QUBITD_KEY of .* or give the ca itself") as told:
        find_access("localhost:3", "mine", environment={"QUBITD_TOKEN": "t", "QUBITD_CA": "a", "QUBITD_KEY": "k"})
    assert told[0].filename == __file__


def test_the_environment_names_a_profile(environment: dict[str, str]) -> None:
    assert find_access(environment=environment | {"QUBITD_PROFILE": "lab"}).address == "localhost:2"
    assert find_access(environment=environment).address == "localhost:1"


@pytest.mark.parametrize(
    ("text", "profile", "what"),
    [
        (PROFILES, "other", r"has no profile 'other' \(it has default, lab\)"),
        ("", "lab", r"has no profile 'lab' \(it has none, or is not there\)"),
        ("profiles", "lab", "is no TOML"),
        ("[lab]", "lab", r"unknown key lab; profiles stand in \[profiles.NAME\]"),
        ("profiles = 1", "lab", "profiles is 1; give a table"),
        ("profiles.lab = 1", "lab", "profiles.lab is 1; give a table"),
        ("[profiles.lab]", "lab", "profiles.lab has no address"),
        ("[profiles.lab]\naddress = 1", "lab", "profiles.lab.address is 1; give a text"),
        ("[profiles.lab]\nadress = 'x'", "lab", "profiles.lab.adress is unknown; a profile has address, token, ca"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_by_place(
    file: Path, environment: dict[str, str], text: str, profile: str, what: str
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=what) as caught:
        find_access(profile=profile, environment=environment)
    assert str(file) in str(caught.value)


def test_a_token_that_others_may_read_is_refused(file: Path, environment: dict[str, str]) -> None:
    file.chmod(0o640)
    assert find_access(environment=environment).address == "localhost:1"
    with pytest.raises(ConfigError, match=f"others may read it; type: chmod 600 {file}"):
        find_access(profile="lab", environment=environment)


def test_an_address_and_a_profile_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="both the address localhost and the profile 'lab' are given"):
        find_access("localhost", profile="lab", environment={})


def test_where_nothing_names_a_daemon_the_ways_to_name_one_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give an address, or set QUBITD_ADDRESS"):
        find_access(environment={"QUBITD_CONFIG": str(tmp_path / "none.toml")})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path} cannot be read"):
        find_access(environment={"QUBITD_CONFIG": str(tmp_path)})


def test_profiles_lie_where_the_platform_keeps_such_files() -> None:
    assert config_file({"XDG_CONFIG_HOME": "/etc/me"}) == Path("/etc/me/qubitd/config.toml")
    assert config_file({}) == Path.home() / ".config/qubitd/config.toml"
    assert _config_directory({"APPDATA": "/roaming"}, "win32") == Path("/roaming")
    assert _config_directory({}, "darwin") == Path.home() / "Library/Application Support"
