"""How a client finds its daemon: what was typed, a named profile, the environment, or the profile `default`.

Address and token come from one place, so that a token never travels to a daemon that it was not made for.
"""

from __future__ import annotations

import os
import stat
import sys
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import cast

from qubitd.client.errors import ConfigError, UnconfiguredError
from qubitd.client.outside import outside

DEFAULT_PROFILE = "default"
_ENVIRONMENT = "QUBITD_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What it takes to reach a daemon."""

    address: str
    """`host:port`."""
    token: str | None = None
    ca: str | None = None
    """File of certificates that the daemon's is checked against."""
    cert: str | None = None
    """File of this client's certificate."""
    key: str | None = None
    """File of the certificate's key."""


_FIELDS = tuple(field.name for field in fields(Access))


def find_access(
    address: str | None = None,
    token: str | None = None,
    *,
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
    profile: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Access:
    """Give the way to a daemon; token and files that are typed here win over those found elsewhere.

    Without address and profile it is the environment's QUBITD_ADDRESS (with QUBITD_TOKEN, _CA, _CERT, _KEY), then its
    QUBITD_PROFILE, then the profile `default`. A QUBITD_TOKEN without QUBITD_ADDRESS is used for none: a UserWarning.

    Raises:
        UnconfiguredError: nothing names a daemon.
        ConfigError: there is no such profile, or a profile cannot be read.
    """
    environment = os.environ if environment is None else environment
    typed = {"token": token, "ca": ca, "cert": cert, "key": key}
    found = _found(address, profile, environment)
    access = Access(**{**found, **{name: value for name, value in typed.items() if value is not None}})
    _warn_of_unused(access, environment)
    return access


def config_file(environment: Mapping[str, str] | None = None) -> Path:
    """Give the file of profiles: QUBITD_CONFIG, or `qubitd/config.toml` where the platform keeps such files."""
    environment = os.environ if environment is None else environment
    if environment.get("QUBITD_CONFIG"):
        return Path(environment["QUBITD_CONFIG"]).expanduser()
    return _config_directory(environment, sys.platform) / "qubitd" / "config.toml"


def _config_directory(environment: Mapping[str, str], platform: str) -> Path:
    if platform == "win32":
        return Path(environment.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    base = Path(environment.get("XDG_CONFIG_HOME", ""))
    return base if base.is_absolute() else Path.home() / ".config"


def _found(address: str | None, profile: str | None, environment: Mapping[str, str]) -> dict[str, str]:
    if address is not None and profile is not None:
        raise ConfigError(f"both the address {address} and the profile {profile!r} are given; leave one of them out")
    if address is not None:
        return {"address": address}
    if profile is not None:
        return _profile(config_file(environment), profile)
    if environment.get("QUBITD_ADDRESS"):
        named = ((name, environment.get(_ENVIRONMENT + name.upper())) for name in _FIELDS)
        return {name: value for name, value in named if value}
    if environment.get("QUBITD_PROFILE"):
        return _profile(config_file(environment), environment["QUBITD_PROFILE"])
    return _profile(config_file(environment), DEFAULT_PROFILE, missing=UnconfiguredError)


def _warn_of_unused(access: Access, environment: Mapping[str, str]) -> None:
    if environment.get("QUBITD_ADDRESS"):
        return
    names = (name for name in _FIELDS if getattr(access, name) is None)
    unused = [variable for name in names if environment.get(variable := _ENVIRONMENT + name.upper())]
    if unused:
        text = (
            f"{', '.join(unused)} of the environment goes with QUBITD_ADDRESS, which is not set, and is not used here"
        )
        warnings.warn(
            f"{text}; set it too, or give the {unused[0].lower()[len(_ENVIRONMENT) :]} itself", stacklevel=outside()
        )


def _profile(path: Path, name: str, *, missing: type[ConfigError] = ConfigError) -> dict[str, str]:
    profiles = _profiles(path)
    if name not in profiles:
        has = f"it has {', '.join(sorted(profiles))}" if profiles else "it has none, or is not there"
        how = f"write [profiles.{name}] with address = ... there, give an address, or set QUBITD_ADDRESS"
        raise missing(f"{path} has no profile {name!r} ({has}); {how}")
    return _checked(path, name, profiles[name])


def _profiles(path: Path) -> dict[str, object]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    unknown = document.keys() - {"profiles"}
    if unknown:
        raise ConfigError(f"{path}: unknown key {', '.join(sorted(unknown))}; profiles stand in [profiles.NAME]")
    return _table(document.get("profiles", {}), f"{path}: profiles")


def _checked(path: Path, name: str, profile: object) -> dict[str, str]:
    where = f"{path}: profiles.{name}"
    values: dict[str, str] = {}
    for key, value in _table(profile, where).items():
        if key not in _FIELDS:
            raise ConfigError(f"{where}.{key} is unknown; a profile has {', '.join(_FIELDS)}")
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{where}.{key} is {value!r}; give a text")
        values[key] = value
    if "address" not in values:
        raise ConfigError(f'{where} has no address; write address = "host:port"')
    if "token" in values:
        _check_is_private(path)
    return {k: str(_beside(path, v)) if k in ("ca", "cert", "key") else v for k, v in values.items()}


def _table(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is {value!r}; give a table")
    return cast("dict[str, object]", value)


def _beside(path: Path, file: str) -> Path:
    """Files are named from the profiles' own directory."""
    return path.parent / Path(file).expanduser()


def _check_is_private(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path} holds a token and others may read it; type: chmod 600 {path}")
